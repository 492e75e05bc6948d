"""What of a call triggers its restriction: its content, its port, or where it goes.

At one's own mirror a call is played with its controls: the same sizes and times with all bits
inverted, or with random bytes, and the call itself at another port.  What happens to them beside
what happens to the call tells the three apart.  It refuses to say anything of a call that works,
and of a service that is not the mirror: a mirror never shows that the real one is not blocked.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from circumtest.finding import ArmState, Comparison, Outline
from circumtest.model import Cell
from circumtest.tally import Tally

CONTENT = "triggered by content"
PORT = "by port"
DESTINATION = "by destination"
UNKNOWN = "trigger not shown"
MASKS = ("inverted", "random")
OTHER_PORT = "port"
FEWEST = 4
"""Blocks without one success that are surely more than chance: Wilson's limit is below a half."""


def tell(
    outline: Outline, comparisons: Sequence[Comparison], tallies: Mapping[Cell, Tally]
) -> tuple[Comparison, ...]:
    """The comparisons, each call's with what triggers its restriction outside, where that shows."""
    by_cell = {one.cell: one for one in comparisons}
    variants = _variants(outline)
    transports = {one.name: one.transport for one in outline.handshakes}
    told = []
    for one in comparisons:
        rows = {
            name: by_cell[cell]
            for name, handshake in variants.get(one.cell.handshake, {}).items()
            if (cell := replace(one.cell, handshake=handshake)) in by_cell
        }
        place = [each for each in comparisons if _same_place(each.cell, one.cell)]
        several = {transports[each.cell.handshake] for each in place}
        gone = len(several) > 1 and all(_cut_off(tallies[each.cell]) for each in place)
        found = _trigger(one, rows, gone=gone) if rows else ""
        told.append(_told(one, found) if found else one)
    return tuple(told)


def _told(one: Comparison, found: str) -> Comparison:
    """Where nothing reaches the place, the network in between is not as such at fault."""
    if found == DESTINATION:
        return replace(one, trigger=found, attribution=None)
    return replace(one, trigger=found)


def _variants(outline: Outline) -> dict[str, dict[str, str]]:
    """By the name of a handshake those of its variants, by what they differ in."""
    found: dict[str, dict[str, str]] = {}
    for one in outline.handshakes:
        if one.variant:
            found.setdefault(one.base, {})[one.variant] = one.name
    return found


def _same_place(one: Cell, other: Cell) -> bool:
    return replace(one, handshake="") == replace(other, handshake="")


def _trigger(one: Comparison, rows: Mapping[str, Comparison], *, gone: bool) -> str:
    """`gone`: nothing reaches the mirror from outside, over either transport.

    Where one of them was not tried, or passes, it may be that transport and not the place.
    """
    if one.outside.state is ArmState.RESTRICTED:
        return _of_restricted(rows)
    return DESTINATION if OTHER_PORT in rows and gone else ""


def _of_restricted(rows: Mapping[str, Comparison]) -> str:
    masked = [rows[name].outside.state for name in MASKS if name in rows]
    port = rows[OTHER_PORT].outside.state if OTHER_PORT in rows else ArmState.UNCLEAR
    if masked and all(state is ArmState.WORKS for state in masked):
        return CONTENT
    if masked and all(state is ArmState.RESTRICTED for state in masked) and port is ArmState.WORKS:
        return PORT
    return UNKNOWN


def _cut_off(tally: Tally) -> bool:
    """Whether nothing at all passes to the mirror outside, while it answers inside."""
    nothing = tally.outside_controls >= FEWEST and tally.outside_controls_passed == 0
    return nothing and 2 * tally.inside_controls_passed > tally.inside_controls
