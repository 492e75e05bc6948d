"""The teeth table of tunnels: what each named censor does to each of them, as data.

What is not named here works.  A word says how far it came: `down: FAULT`, the tunnel is not up;
`stream: STAGE CAUSE`, it is up and 12 KiB do not come through; `call: STAGE CAUSE`, that much comes
through and a call does not.  Rules that take a flow by chance are played as if they took all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from circumtest import configs
from circumtest.lab.servers import Server
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.servers.openvpn import OpenvpnServer
from circumtest.lab.servers.shadowsocks import SsServer
from circumtest.lab.servers.trojan import TrojanServer
from circumtest.model import Transport
from tests.lab.specimens import Specimen, every
from tests.lab.teeth.cell import WORKS

_KNOWN = {specimen.name: specimen for specimen in every()}
_ON_443: Mapping[str, Callable[[], Server]] = {
    "openvpn-tcp": partial(OpenvpnServer, proto="tcp", port=443),
    "shadowsocks": partial(SsServer, port=443),
    "socks-microsocks": partial(Microsocks, port=443),
    "trojan": partial(TrojanServer, port=443),
}
SPECIMENS: Mapping[str, Specimen] = {
    **_KNOWN,
    **{
        f"{name} on 443": replace(_KNOWN[name], name=f"{name} on 443", server=server)
        for name, server in _ON_443.items()
    },
}
"""The contract's tunnels, and some of them where a censor of ports looks."""
PROFILES = configs.names("policies")

WIREGUARD = ("wireguard", "wireguard-userspace", "command-interface")
ON_ALREADY = ("interface", "netns")
OPENVPN_UDP = (
    "openvpn-udp",
    "openvpn-login",
    "openvpn-tls-auth",
    "openvpn-tls-crypt",
    "openvpn-tls-crypt-v2",
)
OPENVPN = (*OPENVPN_UDP, "openvpn-tcp", "openvpn-tcp on 443")
NOISE = ("shadowsocks", "shadowsocks on 443", "command-socks", "ss2022")
"""Streams of nothing but random bytes; their datagrams go beside them."""
IN_TLS = (
    "http-connect-tls",
    "shadowsocks-obfs-tls",
    "vmess-tls",
    "vmess-ws-tls",
    "vless-tls",
    "vless-ws-tls",
    "vless-reality",
    "trojan",
    "trojan on 443",
    "trojan-v2ray",
    "anytls",
    "shadowtls",
    "stunnel-socks",
)
"""A TLS connection for each of theirs."""

HANDSHAKE, NO_DATA = "down: handshake", "down: no-data"
STREAM = "stream: connectivity timeout"

Words = tuple[str, ...]
"""What may be seen: more than one where the tunnel's own timing decides how far it comes."""
COUNTED = (STREAM, "stream: down handshake", HANDSHAKE, NO_DATA)
"""After so many packets: whether an echo comes first depends on what is said again.  Of a proxy
each stream shakes hands, and obfs4 pads its own by chance."""
HURRIED = {"anytls": "stream: connectivity eof_error"}
"""Seen to hang up on a silent server before we did, instead of STREAM."""


def _all(tunnels: Iterable[str], *words: str) -> dict[str, Words]:
    return dict.fromkeys(tunnels, words)


EXPECTED: dict[str, dict[str, Words]] = {name: {} for name in PROFILES} | {
    "calls-and-wireguard": {
        **_all((*WIREGUARD, "chain-wireguard-socks"), HANDSHAKE),
        **_all(ON_ALREADY, NO_DATA),
    },
    "ru-wireguard-2023": _all((*WIREGUARD, *ON_ALREADY, "chain-wireguard-socks"), *COUNTED),
    "ru-openvpn": _all(OPENVPN, HANDSHAKE),
    "gfw-fep-2023": {
        **_all(NOISE, STREAM),
        **_all(("vmess-tcp", "obfs4", "tor-obfs4"), HANDSHAKE),
    },
    "tls-in-tls-2024": {
        **_all((*IN_TLS, *NOISE, "vmess-tcp"), STREAM),
        **_all(("openconnect-tls", "tor"), HANDSHAKE),
        # Its own handshake is padded by chance, and so passes or does not.
        **_all(("obfs4", "tor-obfs4"), HANDSHAKE, NO_DATA),
    },
    "iran-protocol-whitelist": {
        **_all(("openvpn-tcp on 443", "socks-microsocks on 443"), HANDSHAKE),
        **_all(("shadowsocks on 443",), STREAM),
    },
    "l4-25": _all((one for one in SPECIMENS if one != "ssh"), *COUNTED),
    "mobile-whitelist": {
        **_all(SPECIMENS, HANDSHAKE),
        **_all(ON_ALREADY, NO_DATA),
    },
}
JOINED = ("trojan", "trojan on 443", "trojan-v2ray")
"""V2Ray's Trojan makes one datagram of two that are sent right after one another (seen with V2Ray
4.34 against both servers).  A WhatsApp call says each request twice, so that some of them mean
nothing: its calls may fail behind any censor, and behind none."""
_JOINED = ("call: allocate timeout", "call: connectivity timeout")


def expected(profile: str, tunnel: str) -> Words:
    """The words of the table; those that a tunnel's own fault makes possible come last."""
    if tunnel in EXPECTED[profile]:
        words = EXPECTED[profile][tunnel]
        return (*words, HURRIED[tunnel]) if tunnel in HURRIED and STREAM in words else words
    works = WORKS[Transport.UDP in SPECIMENS[tunnel].carries]
    return (works, *_JOINED) if tunnel in JOINED else (works,)


def breaks(profile: str, tunnel: str) -> bool:
    """Whether the profile is expected to do something to the tunnel."""
    return tunnel in EXPECTED[profile]
