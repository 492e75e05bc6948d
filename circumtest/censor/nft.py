"""The simple rules of a policy as an nftables ruleset: text in, nothing run.

Made from the values that `Censor` judges by, so the two cannot say different things about a packet.
Flows are remembered in dynamic sets, not by conntrack mark: a mark set on the first packet of a UDP
flow is lost with that packet when it is dropped, since its conntrack entry is never confirmed.
It refuses nothing that is simple (`Rule.simple`); the other rules are the middlebox's.  `numgen
random` takes no seed: the kernel's losses are the policy's in distribution, not the simulator's one
by one.

Packets are sorted by link, family and transport, since every word costs: a hundred rules one after
another cost more than the forwarding.  What may belong to something remembered is put to every rule
(`every-udp`), all else to those that its first byte leaves over (`circumtest.censor.sieve`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from circumtest.censor.nftrule import asked, chains
from circumtest.censor.nftwords import (
    KEYS,
    SIDES,
    chain,
    counter_of,
    key_of,
    keys,
    memory,
    milliseconds,
    range_of,
    rule_of,
)
from circumtest.censor.policy import FLOW_MEMORY, MAX_FLOWS, Policy, Rule, Scope, Way
from circumtest.censor.sieve import Chosen, shapes_of, sieve
from circumtest.model import Transport

__all__ = ["PRIORITY", "SIDES", "TABLE", "counter_of", "rule_of", "ruleset"]

TABLE = "circumtest"
PRIORITY = -160
"""Of the chain: before mangle (-150), where packets are queued for the middlebox."""


class _Kind(NamedTuple):
    """Packets that come by one link, of one family and transport."""

    way: Way
    version: int
    transport: Transport

    def __str__(self) -> str:
        return f"{self.transport}-{self.way}{self.version}"

    @property
    def key(self) -> str:
        return f'"{SIDES[self.way]}" . ipv{self.version} . {self.transport}'


_KINDS = tuple(_Kind(*kind) for kind in product(SIDES, (4, 6), Transport))


def ruleset(policy: Policy) -> str:
    """The text for `nft -f -`: a table of its own that replaces the one of an earlier policy.

    A counter a rule, named `counter_of(rule.id)`, counts what that rule has dropped.
    """
    rules = [rule for rule in policy.rules if rule.simple]
    looks = ", ".join(f"{kind.key} : goto look-{kind}" for kind in _KINDS)
    sorting = f"iifname . meta nfproto . meta l4proto vmap {{ {looks} }}"
    lines = [
        f"add table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        *(f"  {line}" for line in _shared(rules)),
        *(f"  {line}" for rule in rules for line in chains(rule)),
        *(f"  {line}" for transport in Transport for line in _every(rules, transport)),
        *(f"  {line}" for line in (_looks(rules) if rules else ())),
        "  chain forward {",
        f"    type filter hook forward priority {PRIORITY}; policy accept;",
        *([f"    {sorting}"] if rules else []),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------ who is asked


def _concerned(rules: Sequence[Rule], transport: Transport) -> list[Rule]:
    """Rules that a packet may meet: an address is listed for both transports."""
    return [r for r in rules if r.scope is Scope.ADDRESS or any(shapes_of(r, transport))]


def _every(rules: Sequence[Rule], transport: Transport) -> Iterable[str]:
    jumps = [f"jump match-{rule.id}" for rule in _concerned(rules, transport)]
    return chain(f"every-{transport}", jumps)


def _looks(rules: Sequence[Rule]) -> Iterable[str]:
    """The way of a packet: to every rule when something of it is remembered, else by first byte."""
    names: dict[tuple[str, ...], str] = {}
    for kind in _KINDS:
        by_byte, otherwise = sieve(rules, kind.transport)
        lines = ["jump age"] if _ages(rules) else []
        scopes = dict.fromkeys(rule.scope for rule in _concerned(rules, kind.transport))
        lines += [_known(scope, kind) for scope in scopes if scope is not Scope.PACKET]
        ways = []
        for low, high, chosen in _runs(by_byte):
            asking = tuple(_asked(rules, chosen, kind))
            if asking not in names:
                names[asking] = f"from-{len(names)}"
                yield from chain(names[asking], asking)
            ways.append(f"{range_of(low, high, hexadecimal=True)} : goto {names[asking]}")
        if ways:
            lines.append(f"@ih,0,8 vmap {{ {', '.join(ways)} }}")
        yield from chain(f"look-{kind}", [*lines, *_asked(rules, otherwise, kind)])


def _runs(by_byte: Mapping[int, Chosen]) -> list[tuple[int, int, Chosen]]:
    """First bytes in a row that leave over the same, as first, last and what."""
    runs: list[tuple[int, int, Chosen]] = []
    for byte, chosen in sorted(by_byte.items()):
        if runs and runs[-1][1:] == (byte - 1, chosen):
            runs[-1] = (runs[-1][0], byte, chosen)
        else:
            runs.append((byte, byte, chosen))
    return runs


def _known(scope: Scope, kind: _Kind) -> str:
    """What some rule remembers goes to every rule.  A flow is kept by each of its packets."""
    key, known = key_of(scope, kind.version, kind.way), f"@{KEYS[scope][0]}{kind.version}"
    kept = f"update {known} {{ {key} }} " if scope is Scope.FLOW else ""
    return f"{key} {known} {kept}goto every-{kind.transport}"


def _asked(rules: Sequence[Rule], chosen: Chosen, kind: _Kind) -> Iterable[str]:
    for position in chosen:
        yield from asked(rules[position], kind.transport, kind.way, kind.version)


def _shared(rules: Sequence[Rule]) -> Iterable[str]:
    """What rules have in common: all that any of them remembers, and when flows began."""
    for scope in KEYS:
        holds = [rule.hold for rule in rules if rule.scope is scope]
        if holds:
            name = KEYS[scope][0]
            yield from memory(scope, name, max(holds), MAX_FLOWS * len(holds))
            kept = (f"{side} update @{name}{v} {{ {key} }}" for v, side, key in keys(scope))
            yield from chain(f"keep-{name}", kept)
    ages = _ages(rules)
    if not ages:
        return
    yield from memory(Scope.FLOW, "begun", FLOW_MEMORY)
    for seconds in ages:
        yield from memory(Scope.FLOW, f"young{milliseconds(seconds)}-", seconds)
    yield from chain("age", _age(ages))


def _ages(rules: Sequence[Rule]) -> list[float]:
    """The ages that flows must have for some rule."""
    return sorted({r.seconds for r in rules if r.seconds and r.scope is not Scope.ADDRESS})


def _age(ages: Iterable[float]) -> Iterable[str]:
    """When a flow began: for as long as it is young it is in a set whose elements nobody renews."""
    for version, side, key in keys(Scope.FLOW):
        begun = f"@begun{version}"
        yield f"{side} {key} {begun} update {begun} {{ {key} }} return"
    for version, side, key in keys(Scope.FLOW):
        young = [f"update @young{milliseconds(n)}-{version} {{ {key} }}" for n in ages]
        yield " ".join([f"{side} update @begun{version} {{ {key} }}", *young])
