"""A policy as an nftables ruleset: text in, nothing run.

Made from the values that `Censor` judges by, so the two cannot say different things about a packet.
Flows are remembered in dynamic sets, not by conntrack mark: a mark set on the first packet of a UDP
flow is lost with that packet when it is dropped, since its conntrack entry is never confirmed.
It refuses nothing: what a policy can say, this compiles.  `numgen random` takes no seed: the
kernel's losses are the policy's in distribution, not the simulator's one by one.
"""

from collections.abc import Iterable

from circumtest.censor.policy import (
    FLOW_MEMORY,
    MAX_FLOWS,
    PERMILLE,
    Bits,
    Drop,
    Lose,
    Policy,
    Rule,
    Scope,
    Shape,
    Way,
)

TABLE = "circumtest"
UDP_HEADER = 8
"""Bytes; `udp length` counts them."""
SIDES = {Way.UP: "client", Way.DOWN: "backbone"}
"""The censor's links by which packets of either direction come in."""
_PREFIX = "hits-"
_FAMILIES = {4: "ip", 6: "ip6"}


def ruleset(policy: Policy) -> str:
    """The text for `nft -f -`: a table of its own that replaces the one of an earlier policy.

    A counter a rule, named `counter_of(rule.id)`, counts what that rule has dropped.
    """
    lines = [
        f"add table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        *(f"  {line}" for rule in policy.rules for line in _rule(rule)),
        "  chain forward {",
        "    type filter hook forward priority 0; policy accept;",
        *(f"    jump match-{rule.id}" for rule in policy.rules),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def counter_of(rule: str) -> str:
    """The name of a rule's counter.  Prefixed: a bare id may be a word of nft's own."""
    return f"{_PREFIX}{rule}"


def rule_of(counter: str) -> str:
    """The id of the rule that a counter belongs to."""
    return counter.removeprefix(_PREFIX)


def expression(shape: Shape) -> str:
    """The nft match of one shape, with every offset counted from the layer 4 payload."""
    parts = [f"meta l4proto {shape.transport}"]
    if shape.port is not None:
        parts.append(f"th dport {shape.port}")
    if shape.length is not None:
        least, most = (bound + UDP_HEADER for bound in shape.length)
        parts.append(f"udp length {_range(least, most)}")
    parts += [_bits(bits) for bits in shape.bits]
    return " ".join(parts)


def _bits(bits: Bits) -> str:
    return f"@ih,{bits.offset},{bits.width} {_range(bits.low, bits.high, hexadecimal=True)}"


def _range(low: int, high: int, *, hexadecimal: bool = False) -> str:
    one, other = (f"{n:#x}" if hexadecimal else str(n) for n in (low, high))
    return one if low == high else f"{one}-{other}"


def _rule(rule: Rule) -> Iterable[str]:
    yield f"counter {counter_of(rule.id)} {{ }}"
    if rule.scope is Scope.FLOW:
        yield from _memory(f"-{rule.id}", FLOW_MEMORY)
    if rule.seconds:
        yield from _memory(f"-begun-{rule.id}", FLOW_MEMORY)
        yield from _memory(f"-young-{rule.id}", rule.seconds)
        yield from _chain(f"age-{rule.id}", _age(rule))
    yield from _chain(f"act-{rule.id}", [*_spared(rule), _action(rule)])
    found = "learn" if rule.scope is Scope.FLOW else "act"
    if rule.scope is Scope.FLOW:
        yield from _chain(f"learn-{rule.id}", _learn(rule))
    matches = [
        f"{expression(shape)} goto {found}-{rule.id}"
        for signature in rule.match
        for shape in signature.shapes
    ]
    aged = [f"jump age-{rule.id}"] if rule.seconds else []
    known = _known(rule) if rule.scope is Scope.FLOW else []
    yield from _chain(f"match-{rule.id}", [*aged, *known, *matches])


def _memory(name: str, seconds: float) -> Iterable[str]:
    for version in _FAMILIES:
        address = f"ipv{version}_addr"
        yield (
            f"set flows{version}{name} {{ "
            f"type {address} . inet_service . {address} . inet_service . inet_proto; "
            f"flags dynamic,timeout; timeout {round(seconds * 1000)}ms; size {MAX_FLOWS}; }}"
        )


def _age(rule: Rule) -> list[str]:
    """When a flow began: for as long as it is young it is in a set whose elements nobody renews."""
    lines = []
    for version in _FAMILIES:
        begun = f"@flows{version}-begun-{rule.id}"
        lines += [
            f"{tuple_} {begun} update {begun} {{ {tuple_} }} return"
            for tuple_ in (_tuple(version, "s", "d"), _tuple(version, "d", "s"))
        ]
    for version in _FAMILIES:
        tuple_, young = _tuple(version, "s", "d"), f"@flows{version}-young-{rule.id}"
        begun = f"@flows{version}-begun-{rule.id}"
        lines.append(f"add {young} {{ {tuple_} }} add {begun} {{ {tuple_} }} return")
    return lines


def _spared(rule: Rule) -> list[str]:
    """What ends the action before it begins: a flow that is still young."""
    if not rule.seconds:
        return []
    return [
        f"{tuple_} @flows{version}-young-{rule.id} return"
        for version in _FAMILIES
        for tuple_ in (_tuple(version, "s", "d"), _tuple(version, "d", "s"))
    ]


def _known(rule: Rule) -> list[str]:
    """A packet of a remembered flow, either way, keeps the memory fresh and is acted on."""
    lines = []
    for version in _FAMILIES:
        for tuple_ in (_tuple(version, "s", "d"), _tuple(version, "d", "s")):
            flows = f"@flows{version}-{rule.id}"
            lines.append(f"{tuple_} {flows} update {flows} {{ {tuple_} }} goto act-{rule.id}")
    return lines


def _learn(rule: Rule) -> list[str]:
    return [
        f"update @flows{version}-{rule.id} {{ {_tuple(version, 's', 'd')} }} goto act-{rule.id}"
        for version in _FAMILIES
    ]


def _tuple(version: int, one: str, other: str) -> str:
    ip = _FAMILIES[version]
    return f"{ip} {one}addr . th {one}port . {ip} {other}addr . th {other}port . meta l4proto"


def _action(rule: Rule) -> str:
    parts = []
    if rule.direction in SIDES:
        parts.append(f'iifname "{SIDES[rule.direction]}"')
    if rule.after:
        parts.append(f"ct packets > {rule.after}")
    match rule.action:
        case Drop():
            pass
        case Lose() as lose:
            parts.append(f"numgen random mod {PERMILLE} < {lose.permille}")
    return " ".join([*parts, f"counter name {counter_of(rule.id)} drop"])


def _chain(name: str, lines: Iterable[str]) -> Iterable[str]:
    yield f"chain {name} {{"
    yield from (f"  {line}" for line in lines)
    yield "}"
