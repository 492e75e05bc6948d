"""What an observer sees of each tunnel, as rows.

The words are careful: what was not recognised was not recognised by this program, today, in these
packets.  It refuses to call anything undetectable.
"""

from collections.abc import Sequence

from circumtest.appearance import Appearance, Named, Sighting
from circumtest.report.rows import ABSENT, NOT_RECOGNISED, Table

TITLE = "what an observer sees"
SHOWN = 6
"""Sizes that a row has room for."""
_HEADS = (
    "tunnel",
    "over",
    "nDPI",
    "with heuristics",
    "as random bytes",
    "signatures",
    "server name",
    "JA4",
    "first sizes",
    "other flows",
)
_SURE = "DPI"
"""nDPI's word for what it found in the packets themselves."""


def appearances(sightings: Sequence[Sighting]) -> Table | None:
    """A row a tunnel that was watched; None where none was.

    Sizes are payloads in bytes, those towards the client negative.
    """
    if not sightings:
        return None
    return Table(TITLE, _HEADS, tuple(_row(one) for one in sightings))


def _row(sighting: Sighting) -> tuple[str, ...]:
    tunnel, seen = sighting.cell.tunnel, sighting.appearance
    if seen is None:
        return (tunnel, "nothing passed", *[ABSENT] * (len(_HEADS) - 2))
    over = f"{seen.over} {seen.port}" if seen.port else seen.over
    same = seen.ndpi == seen.heuristics
    return (
        tunnel,
        over if sighting.played else f"{over}, no trial in it",
        _named(seen.ndpi),
        "the same" if same and seen.ndpi else _named(seen.heuristics),
        _random(seen),
        ", ".join(seen.signatures) or ABSENT,
        f"{seen.name} (ECH)" if seen.ech else seen.name or ABSENT,
        seen.ja4 or ABSENT,
        " ".join(f"{size:+d}" for size in seen.sizes[:SHOWN]) or ABSENT,
        _others(seen),
    )


def _named(named: Named | None) -> str:
    """A label, and when or how it was found."""
    if named is None:
        return "not asked"
    if not named.label:
        return NOT_RECOGNISED
    if not named.packet:
        return f"{named.label} (a guess: {named.confidence})"
    sure = "" if named.confidence == _SURE else f", {named.confidence}"
    return f"{named.label} (packet {named.packet}{sure})"


def _random(seen: Appearance) -> str:
    """Whether the heuristic for fully encrypted traffic blocks the first segment."""
    if seen.fully_encrypted is None:
        return ABSENT
    return f"{'yes' if seen.fully_encrypted else 'no'} ({seen.set_bits:.2f} bits/byte)"


def _others(seen: Appearance) -> str:
    """The flows beside it by their labels, each with how many there were."""
    said = []
    for one in seen.others:
        label = one.label or (NOT_RECOGNISED if seen.ndpi else "not asked")
        said.append(f"{one.over} {label}" + (f" ×{one.flows}" if one.flows > 1 else ""))
    return ", ".join(said) or ABSENT


def caveats(sightings: Sequence[Sighting]) -> tuple[str, ...]:
    """What the table does not show; nothing where there is no table."""
    seen = [one.appearance for one in sightings if one.appearance is not None]
    if not sightings:
        return ()
    engines = sorted({one.engine for one in seen if one.ndpi is not None})
    said = [f"nDPI was not asked: {one.engine}" for one in seen if one.ndpi is None][:1]
    who = " or ".join(engines) or "anything here"
    said.append(
        f"what is not recognised by {who} is not undetectable: others look for other things, "
        "and at more than the first packets of a connection"
    )
    return tuple(said)
