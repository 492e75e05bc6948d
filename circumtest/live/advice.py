"""What can be wrong, in plain words: every kind with its sentence and what to do about it.

The one table that everybody who speaks to a person reads.  Sentences say what was seen, remedies
what to type or to do.  It refuses to know a network, and to say "blocked": that is a verdict, and
none of these is one.
"""

from enum import StrEnum
from typing import NamedTuple

from circumtest.model import Attribution


class EnvironmentKind(StrEnum):
    """What a connection is before any verdict; all but FINE forbid one."""

    FINE = "fine"
    NO_NETWORK = "no-network"
    NO_ANSWER = "no-answer"
    CAPTIVE_PORTAL = "captive-portal"
    ALLOW_LIST = "allow-list"
    DNS_ONLY = "dns-only"
    NO_DNS = "no-dns"
    WRONG_DNS = "wrong-dns"
    CLOCK = "clock"
    DOUBTFUL = "doubtful"


class TroubleKind(StrEnum):
    """What is wrong with a tunnel (the first seven are `TunnelFault`'s), or worth knowing."""

    HANDSHAKE = "handshake"
    AUTH = "auth"
    NO_DATA = "no-data"
    NO_UDP = "no-udp"
    WRONG_SOURCE = "wrong-source"
    MTU = "mtu"
    BINARY = "binary"
    DNS_AROUND = "dns-around"
    DNS_SILENT = "dns-silent"
    SAME_EXIT = "same-exit"
    SYMMETRIC_NAT = "symmetric-nat"
    FAR_END = "far-end"
    NO_UDP_EITHER_WAY = "no-udp-either-way"
    BROKEN_IPV6 = "broken-ipv6"
    BROKEN_IPV4 = "broken-ipv4"
    NO_STUN = "no-stun"
    CLOCK_OFF = "clock-off"
    RESOLVER = "resolver"
    UNKNOWN_MTU = "unknown-mtu"
    UNKNOWN_NAT = "unknown-nat"


class Advice(NamedTuple):
    """`sentence` and `remedy` may hold {names} that `said` fills; `fatal` forbids a verdict.

    `attribution` is with whom it is wrong as far as the kind alone tells.
    """

    attribution: Attribution
    sentence: str
    remedy: str
    fatal: bool = True


_TUNNEL, _HERE = Attribution.TUNNEL, Attribution.ENVIRONMENT

ENVIRONMENTS: dict[EnvironmentKind, Advice] = {
    EnvironmentKind.FINE: Advice(
        _HERE,
        "The network is there: names resolve, and neutral servers answer.",
        "Nothing has to be done.",
        fatal=False,
    ),
    EnvironmentKind.NO_NETWORK: Advice(
        _HERE,
        "This machine has no network: {why}.",
        "Plug in the cable or join a Wi-Fi network, look with `ip address` and `ip route`, and"
        " try again.",
    ),
    EnvironmentKind.NO_ANSWER: Advice(
        _HERE,
        "The network device is up, but nobody answers: neither a resolver nor any of {servers}"
        " neutral servers.",
        "Restart the router or join another network; `ping` your gateway (`ip route`) to see how"
        " far packets get.",
    ),
    EnvironmentKind.CAPTIVE_PORTAL: Advice(
        _HERE,
        "A sign-in page stands in between: {portals} of {asked} neutral pages were answered by"
        " somebody else.",
        "Open any page that begins with http:// in a browser, sign in or accept the"
        " terms, and try again.",
    ),
    EnvironmentKind.ALLOW_LIST: Advice(
        _HERE,
        "This network is an allow-list: servers on it answer, and none of {servers} neutral ones"
        " does.  No VPN and no app is to blame.",
        "Use another network (Wi-Fi instead of mobile, another operator), or wait until the list"
        " is lifted; results from this network say nothing about your VPN.",
    ),
    EnvironmentKind.DNS_ONLY: Advice(
        _HERE,
        "Only names are answered here: a resolver replies, and none of {servers} neutral servers"
        " does.",
        "Check that the line is paid for and signed in, that no firewall of your own is closed"
        " (`sudo nft list ruleset`), or use another network.",
    ),
    EnvironmentKind.NO_DNS: Advice(
        _HERE,
        "Names do not resolve ({why}), while servers answer by their addresses.",
        "Set another resolver, for example `resolvectl dns {device} 9.9.9.9`, or write"
        " `nameserver 9.9.9.9` to /etc/resolv.conf, and try again.",
    ),
    EnvironmentKind.WRONG_DNS: Advice(
        _HERE,
        "The resolver lies: {why}.",
        "Set another resolver, for example `resolvectl dns {device} 9.9.9.9`, better one over"
        " TLS (`resolvectl dnsovertls {device} yes`), and try again.",
    ),
    EnvironmentKind.CLOCK: Advice(
        _HERE,
        "This machine's clock is wrong by about {off}: certificates seem not yet or no longer"
        " valid, and VPNs that compare clocks refuse.",
        "Type `sudo timedatectl set-ntp true`, or set it by hand: `sudo date -s '2026-01-31"
        " 12:00'` with the right time.",
    ),
    EnvironmentKind.DOUBTFUL: Advice(
        _HERE,
        "Only {passed} of {servers} neutral servers answered: too few to tell a bad line from a"
        " restricted one.",
        "Try again in a minute; where it stays so, use another network.",
    ),
}

TROUBLES: dict[TroubleKind, Advice] = {
    TroubleKind.HANDSHAKE: Advice(
        _TUNNEL,
        "The VPN's server does not answer: it is down, unreachable or blocked, or does not know"
        " us ({detail}).",
        "Check the server's address, port and keys in the configuration; see on the server that"
        " it runs and knows this client; try another port or network.",
    ),
    TroubleKind.AUTH: Advice(
        _TUNNEL,
        "The VPN's server answers and does not let us in ({detail}).",
        "Check the user name, the password or the key in the configuration; ask whoever runs the"
        " server whether the account is still valid.",
    ),
    TroubleKind.NO_DATA: Advice(
        _TUNNEL,
        "The VPN says that it is up, and nothing comes through it ({detail}).",
        "See on the server that it forwards (`sysctl net.ipv4.ip_forward`) and masquerades; where"
        " it does, its data packets are lost on the way: try another port or protocol.",
    ),
    TroubleKind.NO_UDP: Advice(
        _TUNNEL,
        "The VPN carries no UDP: connections pass and datagrams do not, and calls need them"
        " ({detail}).",
        "Switch UDP on at the server (dante: `command: udpassociate`; Shadowsocks: `-u` and no"
        " plugin; see that its answers leave by the address that was asked), or take a VPN that"
        " carries UDP, WireGuard for example.",
    ),
    TroubleKind.WRONG_SOURCE: Advice(
        _TUNNEL,
        "Answers come back from another address than the one that was asked, and programs drop"
        " them ({detail}).",
        "On a server with several addresses bind the program to the one that clients use (dante:"
        " `internal:` and `external:`; Shadowsocks: `-s ADDRESS`).",
    ),
    TroubleKind.MTU: Advice(
        _TUNNEL,
        "Large packets vanish in the VPN, {where}: up to {mtu} octets pass, larger ones are lost"
        " without a word.",
        "Set the MTU in the configuration: WireGuard `MTU = {mtu}` under [Interface]; OpenVPN"
        " `tun-mtu {mtu}`; any device: `sudo ip link set dev NAME mtu {mtu}`.{also}",
    ),
    TroubleKind.BINARY: Advice(
        _TUNNEL,
        "The VPN's program does not run ({detail}).",
        "Install what is missing and read what the program says; `circumtest doctor` tells what"
        " to type.",
    ),
    TroubleKind.DNS_AROUND: Advice(
        _TUNNEL,
        "Names are asked for outside of the VPN: {detail}.",
        "Name a resolver that is reached through it: WireGuard `DNS = ADDRESS` under [Interface];"
        " OpenVPN `dhcp-option DNS ADDRESS`; a device: `resolvectl dns NAME ADDRESS`.",
        fatal=False,
    ),
    TroubleKind.DNS_SILENT: Advice(
        _TUNNEL,
        "The resolver that the VPN names does not answer through it ({detail}).",
        "Name another resolver in the configuration, for example `DNS = 9.9.9.9`.",
        fatal=False,
    ),
    TroubleKind.SAME_EXIT: Advice(
        _TUNNEL,
        "The far end sees the same address with and without the VPN: this traffic does not leave"
        " by the VPN's server.",
        "See that everything is routed into it: WireGuard `AllowedIPs = 0.0.0.0/0, ::/0`; OpenVPN"
        " `redirect-gateway def1`.",
    ),
    TroubleKind.SYMMETRIC_NAT: Advice(
        _TUNNEL,
        "A symmetric NAT stands in between: every server is shown another port of ours"
        " ({detail}).  Calls straight to the other person cannot be set up through it; calls"
        " through a relay can.",
        "Nothing has to be done where calls use relays; on a server of your own, masquerade"
        " without `random` or `fully-random` (nft, iptables); in a router at home, switch UPnP or"
        " `full cone NAT` on.",
        fatal=False,
    ),
    TroubleKind.FAR_END: Advice(
        Attribution.ENDPOINT,
        "The far end of this test does not answer, with the VPN or without it.",
        "See that the mirror runs (`circumtest serve`) and that its token is the right one; with"
        " public servers try others, or later.",
    ),
    TroubleKind.NO_UDP_EITHER_WAY: Advice(
        Attribution.ENDPOINT,
        "Datagrams to the far end of this test pass neither with the VPN nor without it, while"
        " connections do: it takes none, or they are lost either way.",
        "Open the far end's UDP ports in the firewall of its server, or name another far end;"
        " where it does answer others, this network drops datagrams and the VPN carries none.",
    ),
    TroubleKind.BROKEN_IPV6: Advice(
        _HERE,
        "There is a route for IPv6, and no neutral server answers over it.",
        "Programs that try IPv6 first wait for nothing: switch it off for this network, or ask"
        " the provider.",
        fatal=False,
    ),
    TroubleKind.BROKEN_IPV4: Advice(
        _HERE,
        "There is a route for IPv4, and no neutral server answers over it; IPv6 works.",
        "What is reached by IPv4 only cannot be tested here: use another network, or ask the"
        " provider.",
        fatal=False,
    ),
    TroubleKind.NO_STUN: Advice(
        _HERE,
        "None of {servers} neutral STUN servers answers over UDP, while connections pass: UDP is"
        " not let through here, or STUN is not.",
        "Calls need UDP: a VPN over TCP or TLS may bring them; or use another network.",
        fatal=False,
    ),
    TroubleKind.CLOCK_OFF: Advice(
        _HERE,
        "This machine's clock is off by about {off}: VPNs that compare clocks (Shadowsocks 2022,"
        " VMess) may refuse.",
        "Type `sudo timedatectl set-ntp true`.",
        fatal=False,
    ),
    TroubleKind.RESOLVER: Advice(
        _HERE,
        "One of this system's resolvers is of no use ({detail}); another one answers.",
        "Take it out of the settings of this network, for example by `resolvectl dns DEVICE"
        " ADDRESS` with the good one.",
        fatal=False,
    ),
    TroubleKind.UNKNOWN_MTU: Advice(
        _TUNNEL,
        "Whether large packets pass could not be found out: {detail}.",
        "Run it with a mirror of your own (`circumtest serve` on a server abroad): it answers"
        " packets of any size.",
        fatal=False,
    ),
    TroubleKind.UNKNOWN_NAT: Advice(
        _TUNNEL,
        "What kind of NAT stands in between could not be found out: {detail}.",
        "Name two or more STUN servers with different addresses.",
        fatal=False,
    ),
}

NO_IPV6 = (
    "  IPv6 needs 1280: with less than that, take the IPv6 addresses out of the configuration, too."
)
"""What comes behind the remedy for an MTU where it is so small."""


def said(text: str, **words: object) -> str:
    """A sentence or remedy with its {names} filled in; one that nobody gave stays readable.

    An empty detail takes its brackets along.
    """
    filled = text.format_map(_Given({name: str(word) for name, word in words.items()}))
    return filled.replace(" ()", "")


class _Given(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "" if name in ("detail", "also") else "?"
