"""What a reader must know before believing the numbers: warnings, in words.

It refuses to change a verdict: what makes one impossible is `circumtest.verdict`'s to see.
"""

from collections.abc import Collection, Iterable

from circumtest.finding import (
    BEYOND,
    CONTROL_TUNNELS,
    HANDSHAKE_ONLY,
    LIVE,
    MIRROR,
    ArmFinding,
    ArmState,
    Comparison,
    Doubt,
    Outline,
    Verdict,
    VerdictKind,
)
from circumtest.model import Cell, Level, Role
from circumtest.stats import ALPHA, fewest_pairs
from circumtest.tally import Tally


def of_cell(
    cell: Cell, tally: Tally, outside: ArmFinding, verdict: Verdict, tunnel: str = ""
) -> tuple[str, ...]:
    """What is odd about one cell, most serious first; `tunnel` is the kind of its tunnel."""
    said = [*_leaks(tally, verdict)]
    if cell.policy == LIVE:
        said += _live(tally, verdict, outside, tunnel)
    elif outside.state is ArmState.FAILS:
        said.append(
            f"calls fail outside under `{cell.policy}`, which restricts nothing:"
            " the instrument or the place is at fault, no censor"
        )
    if verdict.kind is VerdictKind.CONTROL_FAILED and verdict.reason == "differs":
        said.append("`none` differs from the outside: the harness treats its arms differently")
    if 0 < tally.faults.total() < tally.blocks:
        said.append(f"the tunnel was down in {tally.faults.total()} of {tally.blocks} blocks")
    if verdict.reason == HANDSHAKE_ONLY:
        said.append("handshake-only block: a call set up in the tunnel goes on without it")
    elif verdict.reason == BEYOND:
        said.append("blocked beyond its set-up: a call set up in the tunnel dies without it")
    failed = tally.outside_controls - tally.outside_controls_passed
    if failed:
        said.append(f"the outside control failed in {failed} of {tally.outside_controls} blocks")
    said += [
        f"{count} of {tally.blocks} blocks are void ({reason})"
        for reason, count in sorted(tally.voids.items())
        if "control: failed" not in reason and "tunnel-down" not in reason
    ]
    return tuple(said)


def _live(tally: Tally, verdict: Verdict, outside: ArmFinding, tunnel: str) -> Iterable[str]:
    if tally.same_exits and tunnel not in CONTROL_TUNNELS:
        yield (
            f"leaves by the same address as without it, in {tally.same_exits} blocks: it may be no"
            " tunnel at all for this"
        )
    if verdict.reason == Doubt.ENDPOINT:
        yield "fails outside and inside: nobody knows whether the service itself is up"
    elif outside.state is ArmState.FAILS:
        yield "fails outside; whether it is restricted or down is not known"


def _leaks(tally: Tally, verdict: Verdict) -> Iterable[str]:
    if tally.wrong_exits:
        yield f"LEAK: the far end saw a foreign address in {tally.wrong_exits} inside trials"
    if tally.leaks:
        yield f"LEAK: packets went around the tunnel in {tally.leaks} inside trials"
    if verdict.kind is VerdictKind.CONTROL_FAILED and verdict.reason == Doubt.LEAK:
        yield (
            f"LEAK: {tally.inside_successes} trials succeeded through `isolated`,"
            " which leads nowhere"
        )


def of_run(
    outline: Outline, comparisons: Iterable[Comparison], strangers: Collection[Cell]
) -> tuple[str, ...]:
    """What is odd about, and not shown by, the whole run; each cell's own warnings come after."""
    said = [*_too_few(outline)]
    if strangers:
        said.append(f"{len(strangers)} cells are not in the plan; their trials are left out")
    if outline.level is Level.QUICK and any(one.role is Role.CALL for one in outline.handshakes):
        said.append("level quick does not show silence that begins after 22 s")
    said += _places(outline)
    for one in comparisons:
        said += [f"{one.cell}: {text}" for text in one.warnings]
    return tuple(said)


def _places(outline: Outline) -> Iterable[str]:
    """What a live run does not show by its nature."""
    if MIRROR in outline.targets and LIVE in outline.policies:
        yield (
            "a mirror shows what is done to the content and the ports of calls; it never shows that"
            " the real service is not blocked"
        )
    for one in outline.handshakes:
        if one.reached:
            stages = ", ".join(one.reached)
            yield f"{one.name}: only {stages}, which strangers are answered; no call, and no sound"
    yield from outline.notes


def _too_few(outline: Outline) -> Iterable[str]:
    claims = len(outline.claims())
    if not claims:
        return
    fewest = fewest_pairs(ALPHA / claims, early=outline.stop_early)
    if outline.blocks < fewest:
        yield (
            f"{outline.blocks} blocks can never show a difference among {claims} claims:"
            f" {fewest} would be the fewest"
        )
