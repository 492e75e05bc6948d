"""What one look at a network gave, and the kind of network that it allows one to say it is.

Values and a pure judgement.  The order of the rules is the order of suspicion, and each needs a
quorum: one server that is dead, or one that is cached, never decides.  It refuses to say
"restricted": that is for verdicts, which begin where this says "fine".
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import msgspec

from circumtest.live.advice import ENVIRONMENTS, EnvironmentKind, TroubleKind, said
from circumtest.live.trouble import Trouble, trouble
from circumtest.model import Attribution, Cause

QUORUM = 2
"""Answers that say the same before it counts."""
DAY = 86400.0
OFF = 60.0
"""Seconds by which a clock may be wrong unsaid; VPNs that compare clocks allow 30 to 120."""
# What nobody public has, whatever a resolver says (RFC 1918, 6598, 3927, 1122, 4193).
_NOWHERE = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "::/128", "::1/128", "fc00::/7", "fe80::/10"),
    )
)


class Environment(msgspec.Struct, frozen=True):
    """What kind of network this is, in words, with what was seen; `notes` forbid nothing.

    `versions` are the IP versions over which neutral servers answered.
    """

    kind: EnvironmentKind
    sentence: str
    remedy: str
    seen: tuple[str, ...] = ()
    notes: tuple[Trouble, ...] = ()
    versions: frozenset[int] = frozenset()

    @property
    def fine(self) -> bool:
        """Whether verdicts may be thought of at all."""
        return self.kind is EnvironmentKind.FINE


@dataclass(frozen=True)
class Resolved:
    """A name asked of one resolver: its addresses, or why there are none."""

    resolver: str
    name: str
    addresses: tuple[str, ...] = ()
    cause: Cause | None = None


@dataclass(frozen=True)
class Answer:
    """One server asked: `ok` when it said what it ought to, `other` when somebody said something.

    `off` is by how many seconds this machine's clock is wrong according to it, None where it does
    not tell; `by_number` when its address was known without a resolver.
    """

    name: str
    version: int
    ok: bool = False
    other: bool = False
    by_number: bool = False
    off: float | None = None
    said: str = ""


@dataclass(frozen=True)
class Sight:
    """All that one look gave.  `ways` are devices by IP version; `up` those that are up."""

    ways: dict[int, str] = field(default_factory=dict)
    up: tuple[str, ...] = ()
    names: Sequence[Resolved] = ()
    invented: Sequence[Resolved] = ()
    """A name that does not exist, asked of each resolver."""
    pages: Sequence[Answer] = ()
    servers: Sequence[Answer] = ()
    listed: Sequence[Answer] = ()
    stun: Sequence[Answer] = ()
    symmetric: bool = False
    """Whether the STUN servers saw different ports of one socket."""
    late: bool = False
    """Whether this machine itself was too late for some answers: silence then says nothing."""

    def passed(self, answers: Sequence[Answer]) -> int:
        """How many different ones were as they ought to be."""
        return len({one.name for one in answers if one.ok})

    def asked(self, answers: Sequence[Answer]) -> int:
        return len({one.name for one in answers})


def judge(sight: Sight) -> Environment:
    """The kind of network, its words, and the notes beside it."""
    kind, words = _kind(sight)
    advice = ENVIRONMENTS[kind]
    device = next(iter(sight.ways.values()), "DEVICE")
    given: dict[str, object] = {"servers": sight.asked(sight.servers), "device": device, **words}
    fine = kind is EnvironmentKind.FINE
    return Environment(
        kind,
        said(advice.sentence, **given),
        said(advice.remedy, **given),
        tuple(_seen(sight)),
        tuple(_notes(sight)) if fine else (),
        frozenset(one.version for one in sight.servers if one.ok),
    )


def _kind(sight: Sight) -> tuple[EnvironmentKind, dict[str, object]]:
    if not sight.ways:
        why = "no device is up" if not sight.up else "no route leads out"
        return EnvironmentKind.NO_NETWORK, {"why": why}
    passed = sight.passed(sight.servers)
    enough = passed >= QUORUM
    strange = sum(one.other for one in sight.pages)
    if not enough and strange >= QUORUM and sight.passed(sight.pages) == 0:
        asked = sight.asked(sight.pages)
        return EnvironmentKind.CAPTIVE_PORTAL, {"portals": strange, "asked": asked}
    if (off := _clock(sight)) is not None:
        return EnvironmentKind.CLOCK, {"off": off}
    return _working(sight) if enough else _barred(sight, passed)


def _working(sight: Sight) -> tuple[EnvironmentKind, dict[str, object]]:
    """Enough neutral servers answer: what is left that could be wrong is names."""
    if lie := _lie(sight):
        return EnvironmentKind.WRONG_DNS, {"why": lie}
    if sight.names and not any(one.addresses for one in sight.names):
        return EnvironmentKind.NO_DNS, {"why": _why(sight)}
    return EnvironmentKind.FINE, {}


def _barred(sight: Sight, passed: int) -> tuple[EnvironmentKind, dict[str, object]]:
    """Not enough of them do.  Whatever neutral passes forbids calling it an allow-list, and so does
    a machine that was late."""
    if sight.late or passed + sight.passed(sight.pages) + sight.passed(sight.stun):
        return EnvironmentKind.DOUBTFUL, {"passed": passed}
    if sight.passed(sight.listed):
        return EnvironmentKind.ALLOW_LIST, {}
    if lie := _lie(sight):
        return EnvironmentKind.WRONG_DNS, {"why": lie}
    if any(one.addresses for one in sight.names):
        return EnvironmentKind.DNS_ONLY, {}
    return EnvironmentKind.NO_ANSWER, {}


# ------------------------------------------------------------------ the single signs


def _lie(sight: Sight) -> str:
    """How the resolvers lie, "" when they do not: by a quorum of names, or by one invented."""
    known: dict[str, set[str]] = {}
    for one in sight.names:
        if one.addresses:
            known.setdefault(one.name, set()).update(one.addresses)
    nowhere = [name for name, addresses in known.items() if all(map(_is_nowhere, addresses))]
    if len(nowhere) >= QUORUM and len(nowhere) == len(known):
        return "it gives private addresses for public names"
    every = [frozenset(addresses) for addresses in known.values()]
    if len(every) > QUORUM and len(set(every)) == 1:
        return "it gives one and the same address for every name"
    first = {address for addresses in every for address in addresses}
    forged = [address for one in sight.invented for address in one.addresses]
    if forged and len(every) >= QUORUM and first.issuperset(forged):
        return "it gives addresses for a name that does not exist"
    return ""


def _is_nowhere(address: str) -> bool:
    it = ipaddress.ip_address(address)
    return any(it in network for network in _NOWHERE if network.version == it.version)


def _offsets(sight: Sight) -> list[float]:
    return [one.off for one in (*sight.pages, *sight.servers) if one.off is not None]


def _clock(sight: Sight) -> str | None:
    """How wrong the clock is when a quorum says that it is by a day or more, in one direction."""
    off = _offsets(sight)
    for direction in (1.0, -1.0):
        far = [one for one in off if one * direction >= DAY]
        if len(far) >= QUORUM and len(far) * 2 > len([one for one in off if one]):
            return _span(median(far))
    return None


def _span(seconds: float) -> str:
    """A time span for people."""
    seconds = abs(seconds)
    for size, word in ((DAY, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"


def _why(sight: Sight) -> str:
    """Why names do not resolve: the most common cause."""
    causes = [str(one.cause) for one in sight.names if one.cause]
    return max(set(causes), key=causes.count) if causes else "no resolver is set"


def _notes(sight: Sight) -> list[Trouble]:
    notes = []
    for version, kind in ((6, TroubleKind.BROKEN_IPV6), (4, TroubleKind.BROKEN_IPV4)):
        asked = [one for one in sight.servers if one.version == version]
        if version in sight.ways and len(asked) >= QUORUM and not any(one.ok for one in asked):
            notes.append(trouble(kind))
    if sight.asked(sight.stun) > QUORUM and not sight.passed(sight.stun):
        notes.append(trouble(TroubleKind.NO_STUN, servers=sight.asked(sight.stun)))
    if sight.symmetric:
        detail = f"{sight.passed(sight.stun)} STUN servers compared"
        here = Attribution.ENVIRONMENT
        notes.append(trouble(TroubleKind.SYMMETRIC_NAT, attribution=here, detail=detail))
    off = [one.off for one in sight.pages if one.off is not None]
    if len(off) >= QUORUM and abs(median(off)) > OFF:
        notes.append(trouble(TroubleKind.CLOCK_OFF, off=_span(median(off))))
    resolvers = dict.fromkeys(one.resolver for one in sight.names)
    for number, resolver in enumerate(resolvers, 1):
        mine = [one for one in sight.names if one.resolver == resolver]
        if len(mine) >= QUORUM and not any(one.addresses for one in mine):
            detail = f"the one named in place {number} of {len(resolvers)}: {mine[0].cause}"
            notes.append(trouble(TroubleKind.RESOLVER, detail=detail))
    return notes


def _seen(sight: Sight) -> list[str]:
    """What was seen, a line for each sort; without an address of anybody's."""
    lines = [
        "routes: " + (", ".join(f"IPv{v} by {d}" for v, d in sorted(sight.ways.items())) or "none")
    ]
    resolved = len({one.name for one in sight.names if one.addresses})
    lines.append(f"names: {resolved} of {len({one.name for one in sight.names})} resolve")
    for what, answers in (
        ("neutral pages", sight.pages),
        ("neutral servers", sight.servers),
        ("servers that allow-lists let through", sight.listed),
        ("neutral STUN servers", sight.stun),
    ):
        if answers:
            lines.append(f"{what}: {sight.passed(answers)} of {sight.asked(answers)} answer")
        lines += sorted({f"  {one.name}: {one.said}" for one in answers if one.said and not one.ok})
    return lines
