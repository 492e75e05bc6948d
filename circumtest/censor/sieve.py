"""Which shapes a packet's first byte leaves over, so that the kernel need not ask about them all.

With a hundred rules the asking costs more than the forwarding; nearly every shape says something
about the first byte.  It refuses to decide: what is left over is asked about in full.
"""

from collections.abc import Iterable, Sequence

from circumtest.censor.policy import Bits, Rule, Shape
from circumtest.model import Transport

Chosen = tuple[int, ...]
"""Positions of rules in a policy, rising."""


def sieve(rules: Sequence[Rule], transport: Transport) -> tuple[dict[int, Chosen], Chosen]:
    """Rules that a packet may match: by its first byte, and when that byte tells nothing.

    Only bytes that leave over more than the second value are in the first; the second holds for all
    others and for packets without a payload.
    """
    always: set[int] = set()
    by_byte: dict[int, set[int]] = {}
    for position, rule in enumerate(rules):
        for shape in shapes_of(rule, transport):
            possible = first_bytes(shape)
            if len(possible) == 256:
                always.add(position)
            else:
                for byte in possible:
                    by_byte.setdefault(byte, set()).add(position)
    more = {
        byte: tuple(sorted(chosen | always))
        for byte, chosen in sorted(by_byte.items())
        if chosen - always
    }
    return more, tuple(sorted(always))


def shapes_of(rule: Rule, transport: Transport) -> Iterable[Shape]:
    """The shapes of a rule that this transport can have."""
    for signature in rule.match:
        yield from (shape for shape in signature.shapes if shape.transport is transport)


def first_bytes(shape: Shape) -> frozenset[int]:
    """First bytes with which a payload may have the shape; all of them when it needs none."""
    return frozenset(
        byte for byte in range(256) if all(_leaves_open(bits, byte) for bits in shape.bits)
    )


def _leaves_open(bits: Bits, byte: int) -> bool:
    """Whether the test can still succeed when the payload begins with this byte."""
    if bits.offset >= 8:
        return True
    shared = min(8 - bits.offset, bits.width)
    rest = bits.width - shared
    value = byte >> (8 - bits.offset - shared) & (1 << shared) - 1
    return bits.low >> rest <= value <= bits.high >> rest
