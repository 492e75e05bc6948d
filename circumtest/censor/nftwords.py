"""Words of nft: matches, keys, sets and chains, from which `circumtest.censor.nft` says a policy.

Text only.  It refuses to know what is done with a packet.
"""

import re
from collections.abc import Iterable

from circumtest.censor.policy import MAX_FLOWS, Bits, Scope, Shape, Way

UDP_HEADER = 8
"""Bytes; `udp length` counts them."""
SIDES = {Way.UP: "client", Way.DOWN: "backbone"}
"""The censor's links by which packets of either direction come in."""
_PREFIX = "hits-"
FAMILIES = {4: "ip", 6: "ip6"}
KEYS = {
    Scope.FLOW: ("flows", "{a} . inet_service . {a} . inet_service . inet_proto"),
    Scope.TRIPLE: ("triples", "{a} . {a} . inet_service . inet_proto"),
    Scope.ADDRESS: ("hosts", "{a}"),
}
"""What the scopes remember: the set's name, and its type by the type of an address."""


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
        parts.append(f"udp length {range_of(least, most)}")
    parts += [_bits(bits) for bits in shape.bits]
    return " ".join(parts)


def _bits(bits: Bits) -> str:
    return f"@ih,{bits.offset},{bits.width} {range_of(bits.low, bits.high, hexadecimal=True)}"


def range_of(low: int, high: int, *, hexadecimal: bool = False) -> str:
    """`low-high`, or the number that they both are."""
    one, other = (f"{n:#x}" if hexadecimal else str(n) for n in (low, high))
    return one if low == high else f"{one}-{other}"


def merged(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """The same ports in ranges without overlaps."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


def memory(scope: Scope, name: str, seconds: float, size: int = MAX_FLOWS) -> Iterable[str]:
    """Sets `name`4 and `name`6 for what a scope remembers, each element for so many seconds."""
    for version in FAMILIES:
        key = KEYS[scope][1].format(a=f"ipv{version}_addr")
        yield (
            f"set {name}{version} {{ type {key}; flags dynamic,timeout; "
            f"timeout {milliseconds(seconds)}ms; size {size}; }}"
        )


def keys(scope: Scope) -> Iterable[tuple[int, str, str]]:
    """Family, side by which a packet comes, and what is remembered of it, the client first."""
    for version in FAMILIES:
        for way, side in SIDES.items():
            yield version, f'iifname "{side}"', key_of(scope, version, way)


def key_of(scope: Scope, version: int, way: Way) -> str:
    """What is remembered of a packet that goes this way: the same both ways of a flow."""
    ip, (client, server) = FAMILIES[version], "sd" if way is Way.UP else "ds"
    match scope:
        case Scope.ADDRESS:
            return f"{ip} {server}addr"
        case Scope.TRIPLE:
            return f"{ip} {client}addr . {ip} {server}addr . th {server}port . meta l4proto"
        case _:
            one, other = (f"{ip} {end}addr . th {end}port" for end in (client, server))
            return f"{one} . {other} . meta l4proto"


def milliseconds(seconds: float) -> int:
    """The kernel's grain of time."""
    return round(seconds * 1000)


def chain(name: str, lines: Iterable[str]) -> Iterable[str]:
    """A chain that is not hooked anywhere."""
    yield f"chain {name} {{"
    yield from (f"  {line}" for line in lines)
    yield "}"


def parts(text: str, size: int = 24_000) -> Iterable[str]:
    """A ruleset in several transactions, in order, each of about `size` characters.

    For those whose netlink messages must be short: a character becomes four to six bytes, and an
    ordinary user has 212 kB (net.core.wmem_default).  What is in a table stands in lines, or blocks
    of lines, indented by two spaces, each behind what it refers to.
    """
    part, table = "", ""
    for block in re.findall(r"^(?:  \S.*\{\n(?:    .*\n)*  \}|.*)\n", text, re.MULTILINE):
        if block.startswith("table "):
            table = block
        if len(part) + len(block) > size and block.startswith("  "):
            yield f"{part}}}\n"
            part = table
        part += block
    yield part
