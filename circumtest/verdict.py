"""From one cell's counts to the verdict that they allow: the table of docs/architecture.md, 5.

The order of the rules is the order of suspicion: first that nothing was measured, then that the
network, the tunnel or the harness was at fault, and only then that calls are treated differently.
It refuses to be more certain than the counts: what is left over is inconclusive.
"""

from collections.abc import Collection

from circumtest import stats
from circumtest.finding import (
    BEYOND,
    HANDSHAKE_ONLY,
    ISOLATED,
    OPEN,
    ArmFinding,
    ArmState,
    Doubt,
    Rate,
    Verdict,
    VerdictKind,
)
from circumtest.model import TunnelFault
from circumtest.stats import ALPHA, MOST_BLOCKS, Interval, fewest_pairs, pairs_needed, wilson
from circumtest.tally import Count, Tally

WORKS = 0.8
"""An arm works when at least this share succeeded and Wilson's lower limit is above HALF."""
HALF = 0.5
"""An arm fails when Wilson's upper limit is below this: surely more failures than successes."""
QUORUM = 3
"""Endpoints of a real service at which calls fail before anything is said: one may be down."""
MOST_VOID = 0.1
"""The share of void blocks beyond which a cell says nothing."""


# ------------------------------------------------------------------ what an arm is


def state(successes: float, n: float) -> ArmState:
    """WORKS, FAILS or UNCLEAR, by the two lines above; four unanimous blocks are the fewest."""
    rate = wilson(successes, n)
    if rate.high < HALF:
        return ArmState.FAILS
    if rate.low > HALF and rate.estimate >= WORKS:
        return ArmState.WORKS
    return ArmState.UNCLEAR


def outside(count: Count, policy: str) -> ArmFinding:
    """The outside arm.  RESTRICTED is FAILS beside controls that passed, except under `open`.

    Under a policy that restricts nothing a failure is the instrument's.
    """
    finding = inside(count)
    if finding.state is ArmState.FAILS and policy != OPEN:
        return ArmFinding(ArmState.RESTRICTED, finding.rate, finding.death, finding.mos)
    return finding


def inside(count: Count) -> ArmFinding:
    """The inside arm."""
    interval = wilson(count.successes, count.n)
    rate = Rate(count.successes, count.n, interval.low, interval.high)
    return ArmFinding(state(count.successes, count.n), rate, count.death(), count.mos)


def at_service(without: ArmFinding, within: ArmFinding, failed_at: Collection[str]) -> ArmFinding:
    """The outside arm at a real service, which may be down itself.

    RESTRICTED only beside an inside arm that works, and only where QUORUM endpoints failed.
    """
    if without.state is not ArmState.RESTRICTED:
        return without
    if within.state is ArmState.WORKS and len(failed_at) >= QUORUM:
        return without
    return ArmFinding(ArmState.FAILS, without.rate, without.death, without.mos)


# ------------------------------------------------------------------ before any claim


def fault(tally: Tally, alpha: float, *, early: bool) -> Verdict | None:
    """What forbids comparing at all: nothing played, a leak, the network, the tunnel, the harness.

    None when the arms may be compared.
    """
    if tally.wrong_exits or tally.leaks:
        return _doubt(Doubt.LEAK)
    if tally.blocks == 0:
        return Verdict(VerdictKind.INCONCLUSIVE, Doubt.TOO_FEW, fewest_pairs(alpha, early=early))
    if 2 * tally.unsupported > tally.blocks:
        return Verdict(VerdictKind.UNSUPPORTED)
    if _no_environment(tally):
        return _doubt(Doubt.ENVIRONMENT)
    if (down := _tunnel_fault(tally)) is not None:
        return Verdict(VerdictKind.TUNNEL_DOWN, down)
    if tally.void > MOST_VOID * tally.blocks:
        return _doubt(Doubt.INVALID)
    return None


def _doubt(doubt: Doubt) -> Verdict:
    return Verdict(VerdictKind.INCONCLUSIVE, doubt)


def _no_environment(tally: Tally) -> bool:
    """Neutral traffic to the same place fails outside in most blocks: no fault of any tunnel's."""
    return tally.outside_controls > 0 and 2 * tally.outside_controls_passed < tally.outside_controls


def _tunnel_fault(tally: Tally) -> TunnelFault | None:
    """The most common fault where the tunnel was down in half of the blocks or more.

    A tunnel that says it is up and through which neutral traffic mostly fails carries no data;
    unless calls pass all the same, for then it is the control that is at fault.
    """
    if 2 * tally.faults.total() >= tally.blocks:
        return min(tally.faults, key=lambda one: (-tally.faults[one], one))
    dead = 2 * tally.inside_controls_passed < tally.inside_controls
    carried = 2 * tally.inside_successes >= tally.inside_controls
    return TunnelFault.NO_DATA if dead and not carried else None


# ------------------------------------------------------------------ the table


def claim(
    tally: Tally,
    arms: tuple[ArmFinding, ArmFinding],
    difference: Interval,
    p_adjusted: float,
    *,
    family_alpha: float,
    early: bool,
    service: bool = False,
) -> Verdict:
    """The verdict on a call through a real tunnel, once `fault` found nothing.

    `p_adjusted` decides; `family_alpha` (alpha over the number of claims) serves only to say how
    many blocks would do.  `service` is whether a real service was asked, which may be down.
    """
    without, within = arms[0].state, arms[1].state
    if _spoilt(tally.inside):
        if not _spoilt(tally.outside, sure=False):
            return Verdict(VerdictKind.DEGRADES)
        if without is ArmState.RESTRICTED:
            # Sound that nobody would bear brings no call back, even where it is a little better.
            return Verdict(VerdictKind.DOES_NOT_BYPASS)
    match without, within:
        case ArmState.WORKS, ArmState.WORKS:
            return Verdict(VerdictKind.NOT_NEEDED)
        case ArmState.RESTRICTED, ArmState.FAILS:
            return Verdict(VerdictKind.DOES_NOT_BYPASS)
        case ArmState.RESTRICTED, ArmState.WORKS if _shown(difference.low, p_adjusted):
            return Verdict(VerdictKind.BYPASSES)
        case ArmState.WORKS, ArmState.FAILS if _shown(-difference.high, p_adjusted):
            return Verdict(VerdictKind.BREAKS_CALLS)
        case ArmState.FAILS, _ if (doubt := _failing(within, service=service)) is not None:
            return _doubt(doubt)
    return _undecided(tally, family_alpha, early=early)


def _failing(within: ArmState, *, service: bool) -> Doubt | None:
    """What a call that fails outside and is not restricted is a sign of; None for too few."""
    if not service:
        return Doubt.ENVIRONMENT
    # Where it works inside it failed at fewer endpoints than it takes.
    return {ArmState.FAILS: Doubt.ENDPOINT, ArmState.WORKS: Doubt.UNSTEADY}.get(within)


def _shown(margin: float, p_adjusted: float) -> bool:
    return margin > 0 and p_adjusted <= ALPHA


def _spoilt(count: Count, *, sure: bool = True) -> bool:
    """Whether calls are set up and then carry too little sound, or sound that nobody would bear.

    They fail for it (`lossy`), or succeed below the line (`dull`): most calls that are not good are
    of these, and the good ones are surely the fewer; unless `sure`, not surely the more.
    """
    good = count.successes - count.dull
    bad = count.n - good
    fate = state(good, count.n)
    few = fate is ArmState.FAILS if sure else fate is not ArmState.WORKS
    return few and 2 * (count.lossy + count.dull) > bad


def _undecided(tally: Tally, family_alpha: float, *, early: bool) -> Verdict:
    """Too few blocks, with how many would do should the rates stay; or none would."""
    pairs = tally.pairs
    without = _decided_at(tally.outside.successes, pairs.n)
    within = _decided_at(tally.inside.successes, pairs.n)
    if without is None or within is None:
        return _doubt(Doubt.UNSTEADY)
    needed = max(without[0], within[0], pairs.n + 1)
    if without[1] is not within[1]:
        difference = pairs_needed(pairs, family_alpha, early=early)
        if difference is None:
            return _doubt(Doubt.UNSTEADY)
        needed = max(needed, difference)
    return Verdict(VerdictKind.INCONCLUSIVE, Doubt.TOO_FEW, needed)


def _decided_at(successes: int, n: int) -> tuple[int, ArmState] | None:
    """How many blocks would tell whether the arm works or fails, should its rate stay.

    None where it never would: a rate between the two lines.
    """
    for many in range(1, MOST_BLOCKS + 1):
        then = state(successes * many / n, many)
        if then is not ArmState.UNCLEAR:
            return many, then
    return None


# ------------------------------------------------------------------ what nothing is claimed of


def control(tally: Tally, kind: str, alpha: float) -> Verdict:
    """The verdict on a control tunnel; `alpha` is shared among the controls of the run.

    `isolated` must never succeed; `none` must not differ from the outside.
    """
    if kind == ISOLATED:
        if tally.inside_successes or tally.wrong_exits or tally.leaks:
            return Verdict(VerdictKind.CONTROL_FAILED, Doubt.LEAK)
        if tally.blocks and tally.outside_controls_passed == 0:
            return _doubt(Doubt.ENVIRONMENT)
        return Verdict(VerdictKind.CONTROL_OK) if tally.blocks else _doubt(Doubt.TOO_FEW)
    if (found := fault(tally, alpha, early=False)) is not None:
        return found
    if stats.mcnemar(tally.pairs) <= alpha:
        return Verdict(VerdictKind.CONTROL_FAILED, "differs")
    return Verdict(VerdictKind.CONTROL_OK)


def context(without: ArmFinding, within: ArmFinding, *, service: bool = False) -> Verdict:
    """What is said of messaging and neutral traffic inside: its state, and no more.

    At a real service that fails on both sides, that nobody knows whether it is up.
    """
    if service and (without.state, within.state) == (ArmState.FAILS, ArmState.FAILS):
        return _doubt(Doubt.ENDPOINT)
    return Verdict(VerdictKind.CONTEXT, within.state)


def handed_off(without: ArmFinding, within: ArmFinding) -> Verdict:
    """What is said of a call that was set up in the tunnel and went on without it: of the block.

    Where nothing is restricted outside, or the arm inside is not clear, no more than its state.
    """
    if without.state is ArmState.RESTRICTED:
        if within.state is ArmState.WORKS:
            return Verdict(VerdictKind.CONTEXT, HANDSHAKE_ONLY)
        if within.state is ArmState.FAILS:
            return Verdict(VerdictKind.CONTEXT, BEYOND)
    return Verdict(VerdictKind.CONTEXT, within.state)
