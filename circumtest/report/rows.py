"""What is shown, as rows of text: the same ones for every format.

It refuses to format: `text` and `markdown` lay the rows out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from circumtest.appearance import Sighting
from circumtest.finding import (
    CONTROL_TUNNELS,
    LIVE,
    ArmFinding,
    ArmState,
    Comparison,
    Difference,
    Findings,
    Rate,
    VerdictKind,
)
from circumtest.model import Attribution, Role, Transport

ABSENT = "—"
LOOKS = "(nDPI's label)"
NOT_RECOGNISED = "not recognised"
STRANGERS = "Only what real services answer to strangers was tried: no call was made."
WIDE = 8
"""Tunnels that a table has as columns; more are rows."""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table: column heads, then rows of as many cells."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def answer(findings: Findings) -> tuple[str, ...]:
    """The run in a few sentences: what is restricted outside, and which tunnels help."""
    claims = [one for one in findings.comparisons if one.claim]
    if any(one.leak for one in findings.comparisons):
        return ("LEAK: something reached the far end by a way that it must not have. See below.",)
    sentences = []
    for policy in findings.outline.policies:
        here = [one for one in claims if one.cell.policy == policy]
        sentences.append(f"{policy}: {_sentence(here)}")
    if any(one.reached for one in findings.outline.handshakes):
        sentences.append(STRANGERS)
    return tuple(sentences)


def _sentence(here: list[Comparison]) -> str:
    if not here:
        return "no calls were tried."
    said = [_outside_in_words(here)]
    restricted = {one.cell.handshake for one in here if one.outside.state is ArmState.RESTRICTED}
    calls = {one.cell.handshake for one in here}
    for kind, words, whole in (
        (VerdictKind.BYPASSES, "brought back by", restricted),
        (VerdictKind.DOES_NOT_BYPASS, "not brought back by", restricted),
        (VerdictKind.BREAKS_CALLS, "broken by", calls),
        (VerdictKind.DEGRADES, "degraded by", calls),
    ):
        if tunnels := _by_tunnel(here, kind, whole):
            said.append(f"{words} {', '.join(tunnels)}.")
    down = sorted({one.cell.tunnel for one in here if one.verdict.kind is VerdictKind.TUNNEL_DOWN})
    if down:
        said.append(f"down for some calls: {', '.join(down)}.")
    said += _fallbacks(here)
    said += _triggers(here)
    said += _with_whom(here)
    if any(one.verdict.kind is VerdictKind.INCONCLUSIVE for one in here):
        said.append("Some cells are inconclusive.")
    return " ".join(said)


def _triggers(here: list[Comparison]) -> list[str]:
    """What the restricted calls are recognised by, where their variants tell."""
    told = {one.cell.handshake: one.trigger for one in here if one.trigger}
    return [f"{name}: {trigger}." for name, trigger in told.items()]


def _with_whom(here: list[Comparison]) -> list[str]:
    """With whom failures lie, where that could be told (in live runs)."""
    told: dict[str, list[str]] = {}
    for one in here:
        if one.attribution is not None:
            cell, is_tunnel = one.cell, one.attribution is Attribution.TUNNEL
            told.setdefault(str(one.attribution), []).append(
                cell.tunnel if is_tunnel else cell.handshake
            )
    return [
        f"with whom it lies: {who}: {', '.join(dict.fromkeys(of))}." for who, of in told.items()
    ]


def _fallbacks(here: list[Comparison]) -> list[str]:
    """Which calls work over one transport only: outside, and inside which tunnels."""
    places: dict[tuple[str, Transport], list[str]] = {}
    for one in here:
        told = one.fallback
        for only, place in ((told.outside, "outside"), (told.inside, f"in {one.cell.tunnel}")):
            if only is not None:
                places.setdefault((told.app, only), []).append(place)
    return [
        f"{app} works only over {only.upper()}: {', '.join(dict.fromkeys(where))}."
        for (app, only), where in places.items()
    ]


def _outside_in_words(here: list[Comparison]) -> str:
    """That nothing is restricted is said only where every call was seen to work."""
    if restricted := _names(one for one in here if one.outside.state is ArmState.RESTRICTED):
        return f"restricted outside: {restricted}."
    working = {one.cell.handshake for one in here if one.outside.state is ArmState.WORKS}
    if all(one.cell.handshake in working for one in here):
        return "no call is restricted."
    return "no restriction was shown."


def _by_tunnel(here: list[Comparison], kind: VerdictKind, whole: set[str]) -> list[str]:
    """The tunnels with that verdict, each with its calls where these are not the whole of it."""
    calls: dict[str, list[str]] = {}
    for one in here:
        if one.verdict.kind is kind:
            calls.setdefault(one.cell.tunnel, []).append(one.cell.handshake)
    return [
        tunnel if whole <= set(calls[tunnel]) else f"{tunnel} ({', '.join(calls[tunnel])} only)"
        for tunnel in sorted(calls)
    ]


def _names(comparisons: Iterable[Comparison]) -> str:
    return ", ".join(dict.fromkeys(one.cell.handshake for one in comparisons))


def printable(text: str) -> str:
    """Text without control characters: a foreign run's names must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


# ------------------------------------------------------------------ the matrix


def matrices(findings: Findings) -> tuple[Table, ...]:
    """One table a policy and target: a row a handshake, a column a tunnel.

    What each tunnel looks like stands below, where somebody watched.  With more than WIDE tunnels
    it is turned: a row a tunnel, the outside first.
    """
    by_cell = {one.cell: one for one in findings.comparisons}
    tunnels = [one.name for one in findings.outline.tunnels]
    tables = []
    for policy in findings.outline.policies:
        for target in findings.outline.targets:
            rows = []
            for handshake in findings.outline.handshakes:
                here = [
                    one
                    for cell, one in by_cell.items()
                    if (cell.policy, cell.target) == (policy, target)
                    and cell.handshake == handshake.name
                ]
                if not here:
                    continue
                line = findings.outline.mos
                verdicts = (_verdict(one, line) for one in here)
                rows.append((handshake.name, _outside(here, line), *verdicts))
            if findings.sightings:
                seen = {one.cell.tunnel: _looks(one) for one in findings.sightings}
                rows.append((LOOKS, ABSENT, *(seen.get(name, ABSENT) for name in tunnels)))
            title = policy if target == "lab" else f"{policy}, {target}"
            table = Table(title, ("handshake", "outside", *tunnels), tuple(rows))
            tables.append(_turned(table) if len(tunnels) > WIDE else table)
    return tuple(tables)


def _looks(sighting: Sighting) -> str:
    """nDPI's label for a tunnel, which says nothing of what others recognise."""
    seen = sighting.appearance
    if seen is None or seen.ndpi is None:
        return ABSENT
    return seen.ndpi.label or NOT_RECOGNISED


def _turned(table: Table) -> Table:
    """Columns as rows."""
    heads, *rows = zip(table.heads, *table.rows, strict=True)
    return Table(table.title, ("tunnel", *heads[1:]), tuple(rows))


def _outside(here: list[Comparison], line: float) -> str:
    """The outside arm of a row, from the cell that has most pairs of it.

    Of equals from one that knows more than that it fails: at a real service only those through
    which it works do.
    """
    played = [one for one in here if one.outside.rate.n]
    if not played:
        return "?"
    arms = [one.outside for one in played]
    best = max(arms, key=lambda arm: (arm.rate.n, arm.state is not ArmState.FAILS))
    return _arm(best) + _sound(best, line)


def _arm(arm: ArmFinding) -> str:
    at = f" at {arm.death}" if arm.death and arm.state is not ArmState.WORKS else ""
    return f"{arm.state}{at}"


def _sound(arm: ArmFinding, line: float) -> str:
    """The opinion of the sound, where it is a bad one and the arm's death does not tell."""
    if arm.mos is None or arm.mos >= line or arm.state is not ArmState.WORKS:
        return ""
    return f", MOS {arm.mos:.1f}"


def _verdict(one: Comparison, line: float) -> str:
    if one.verdict.kind is VerdictKind.UNSUPPORTED:
        return ABSENT
    if one.verdict.kind is VerdictKind.CONTEXT:
        return str(one.verdict.reason)
    if one.verdict.kind is VerdictKind.CONTROL_OK:
        return "ok"
    if one.verdict.kind is VerdictKind.DEGRADES and one.inside.mos is not None:
        return f"{one.verdict}, MOS {one.inside.mos:.1f}"
    return f"{one.verdict}{_sound(one.inside, line)}"


# ------------------------------------------------------------------ the long table


def long(findings: Findings) -> Table:
    """A row a cell with its numbers."""
    heads = (
        "cell",
        "outside",
        "inside",
        "inside − outside",
        "p",
        "verdict",
        "MOS",
        "where it died",
    )
    return Table("all cells", heads, tuple(_numbers(one) for one in findings.comparisons))


def _numbers(one: Comparison) -> tuple[str, ...]:
    p = one.p if one.p_adjusted is None else one.p_adjusted
    died = [
        f"{name}: {arm.death}"
        for name, arm in (("outside", one.outside), ("inside", one.inside))
        if arm.death
    ]
    cell = f"{one.cell.policy}/{one.cell.target} {one.cell.handshake} {one.cell.tunnel}"
    return (
        cell,
        _rate(one.outside.rate),
        _rate(one.inside.rate),
        _difference(one.difference) if one.pairs else ABSENT,
        f"{p:.2g}" if one.pairs else ABSENT,
        str(one.verdict),
        _opinions(one),
        "; ".join(died) or ABSENT,
    )


def _opinions(one: Comparison) -> str:
    """The median opinions of the sound outside and inside."""
    both = [ABSENT if arm.mos is None else f"{arm.mos:.1f}" for arm in (one.outside, one.inside)]
    return ABSENT if both == [ABSENT, ABSENT] else " / ".join(both)


def _rate(rate: Rate) -> str:
    return f"{rate.successes}/{rate.n} [{rate.low:.2f}, {rate.high:.2f}]" if rate.n else ABSENT


def _difference(difference: Difference) -> str:
    return f"{difference.estimate:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


# ------------------------------------------------------------------ what is not shown


def caveats(findings: Findings) -> tuple[str, ...]:
    """Warnings of the run, then what its results do not show."""
    tunnels = [one for one in findings.outline.tunnels if one.kind not in CONTROL_TUNNELS]
    calls = [one for one in findings.outline.handshakes if one.role is Role.CALL]
    said = list(findings.warnings)
    if tunnels and calls and LIVE not in findings.outline.policies:
        said.append(
            "a lab shows what happens under the policies named above, not what any network does"
        )
    return tuple(said)
