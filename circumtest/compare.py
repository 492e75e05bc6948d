"""Trials in, findings out: what a run allows one to say of each cell.

Holm's correction runs over all the claims of the run, whether or not they could be tested, so that
what went wrong never makes the rest look surer.  It refuses to guess: a cell with a fault gets the
fault for its verdict, and a bug raises.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from circumtest import fallback, health, trigger, verdict
from circumtest.appearance import Sighting
from circumtest.attribution import Controls, attribute
from circumtest.finding import (
    CONTROL_TUNNELS,
    ISOLATED,
    LIVE,
    MIRROR,
    ArmFinding,
    ArmState,
    Comparison,
    Difference,
    Doubt,
    Findings,
    HandshakeOutline,
    Outline,
    TunnelOutline,
    Verdict,
    VerdictKind,
)
from circumtest.model import Arm, Attribution, Cell, Record, Trial, TunnelFault
from circumtest.stats import ALPHA, Interval, anytime_p, holm, mcnemar, newcombe
from circumtest.tally import Tally, tally

Blocks = dict[int, dict[Arm, Record]]

_TELLING = (Doubt.ENVIRONMENT, Doubt.ENDPOINT)
"""Doubts that themselves say with whom it lies."""
_UNTOLD = (TunnelFault.HANDSHAKE, TunnelFault.NO_DATA)
"""Faults of a tunnel that a censor of the way to its server has for an effect, too."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A cell between counting and judging."""

    cell: Cell
    tunnel: TunnelOutline
    handshake: HandshakeOutline
    tally: Tally
    fault: Verdict | None
    outside: ArmFinding
    inside: ArmFinding
    difference: Interval
    p: float

    @property
    def claim(self) -> bool:
        return self.handshake.claimed and self.tunnel.kind not in CONTROL_TUNNELS

    @property
    def service(self) -> bool:
        """Whether a real service was asked, of which nobody knows whether it is up."""
        return _at_service(self.cell)


def compare(
    outline: Outline,
    trials: Iterable[Trial],
    sightings: Iterable[Sighting] = (),
    environment: str = "",
) -> Findings:
    """What `trials` allow one to say of the cells of `outline`, in the plan's order.

    `environment` is what is wrong with the place of a live run, which so played nothing more.
    `sightings` are put beside it, in the order of the plan's tunnels; nothing is made of them.  A
    trial of an unknown cell is left out and warned of; of several for the same cell, block and
    arm the first counts.
    """
    grouped = group(trials)
    cells = outline.cells()
    numbers = [_numbers(outline, cell, grouped.get(cell, {})) for cell in cells]
    if environment:
        doubt = Verdict(VerdictKind.INCONCLUSIVE, Doubt.ENVIRONMENT)
        numbers = [dataclasses.replace(one, fault=one.fault and doubt) for one in numbers]
    claims = [one for one in numbers if one.claim]
    adjusted = holm([1.0 if one.fault else one.p for one in claims])
    by_cell = {one.cell: p for one, p in zip(claims, adjusted, strict=True)}
    comparisons = [_judge(outline, one, by_cell.get(one.cell)) for one in numbers]
    told = fallback.tell(outline, _with_messaging(outline, comparisons))
    told = trigger.tell(outline, told, {one.cell: one.tally for one in numbers})
    strangers = set(grouped) - set(cells)
    order = {one.name: at for at, one in enumerate(outline.tunnels)}
    seen = sorted(
        (one for one in sightings if one.cell.tunnel in order),
        key=lambda one: order[one.cell.tunnel],
    )
    said = health.of_run(outline, told, strangers)
    said = (f"nothing more was tried: {environment}", *said) if environment else said
    return Findings(outline, told, said, tuple(seen))


def group(trials: Iterable[Trial]) -> dict[Cell, Blocks]:
    """Trials by cell, block and arm; the first of duplicates."""
    grouped: dict[Cell, Blocks] = {}
    for trial in trials:
        block = grouped.setdefault(trial.cell, {}).setdefault(trial.block, {})
        block.setdefault(trial.arm, trial.record)
    return grouped


def decided(outline: Outline, cell: Cell, blocks: Mapping[int, Mapping[Arm, Record]]) -> bool:
    """May a plan that stops early stop this cell here?

    Only when its difference is shown by the anytime-valid test against the whole family, and what
    was shown is a verdict.  Never for controls and context, which every block is needed for.
    """
    one = _numbers(outline, cell, blocks)
    if not (outline.stop_early and one.claim) or one.fault:
        return False
    family = len(outline.claims())
    found = _judge(outline, one, min(1.0, one.p * family)).verdict.kind
    return found in (VerdictKind.BYPASSES, VerdictKind.BREAKS_CALLS)


# ------------------------------------------------------------------ one cell


def _numbers(outline: Outline, cell: Cell, blocks: Mapping[int, Mapping[Arm, Record]]) -> _Numbers:
    counted = tally(blocks, outline.mos)
    tunnel = next(one for one in outline.tunnels if one.name == cell.tunnel)
    handshake = next(one for one in outline.handshakes if one.name == cell.handshake)
    found = verdict.fault(counted, _family_alpha(outline), early=outline.stop_early)
    whole = found is None
    outside = counted.outside if whole else counted.outside_alone
    without = verdict.outside(outside, cell.policy)
    within = verdict.inside(counted.inside if whole else counted.inside_alone)
    if _at_service(cell):
        without = verdict.at_service(without, within, outside.failed_at)
    return _Numbers(
        cell=cell,
        tunnel=tunnel,
        handshake=handshake,
        tally=counted,
        fault=found,
        outside=without,
        inside=within,
        difference=newcombe(counted.pairs),
        p=anytime_p(counted.discordant) if outline.stop_early else mcnemar(counted.pairs),
    )


def _at_service(cell: Cell) -> bool:
    return cell.policy == LIVE and cell.target != MIRROR


def _family_alpha(outline: Outline) -> float:
    return ALPHA / max(1, len(outline.claims()))


def _judge(outline: Outline, one: _Numbers, p_adjusted: float | None) -> Comparison:
    found = _verdict(outline, one, p_adjusted)
    leak = one.tally.wrong_exits + one.tally.leaks > 0 or (
        one.tunnel.kind == ISOLATED and one.tally.inside_successes > 0
    )
    return Comparison(
        cell=one.cell,
        role=one.handshake.role,
        claim=one.claim,
        blocks=one.tally.blocks,
        pairs=one.tally.pairs.n,
        outside=one.outside,
        inside=one.inside,
        difference=Difference(*one.difference),
        p=one.p,
        p_adjusted=p_adjusted,
        verdict=found,
        voids=dict(sorted(one.tally.voids.items())),
        leak=leak,
        warnings=health.of_cell(one.cell, one.tally, one.outside, found, one.tunnel.kind),
        attribution=_with_whom(one, found),
    )


def _with_whom(one: _Numbers, found: Verdict) -> Attribution | None:
    """With whom a failure in a live run lies; None where nothing fails or nobody can tell.

    A lab knows that without asking, and controls that are tunnels are nobody's.
    """
    if one.cell.policy != LIVE or one.tunnel.kind in CONTROL_TUNNELS:
        return None
    if found.kind is VerdictKind.INCONCLUSIVE and found.reason not in _TELLING:
        return None
    counted = one.tally
    down = found.kind is VerdictKind.TUNNEL_DOWN
    if down and found.reason in _UNTOLD:
        return None
    return attribute(
        one.outside.state,
        ArmState.FAILS if down else one.inside.state,
        Controls(
            _passed(counted.outside_controls_passed, counted.outside_controls),
            _passed(counted.inside_controls_passed, counted.inside_controls),
        ),
        trouble=Attribution.TUNNEL if down else None,
        fine=found.reason != Doubt.ENVIRONMENT,
        known_up=not one.service,
    )


def _passed(passed: int, played: int) -> bool | None:
    """Whether a control passed in most blocks."""
    return 2 * passed > played if played else None


def _verdict(outline: Outline, one: _Numbers, p_adjusted: float | None) -> Verdict:
    if not one.tally.blocks and one.fault and one.fault.reason == Doubt.ENVIRONMENT:
        return one.fault
    if one.tunnel.kind in CONTROL_TUNNELS:
        controls = sum(tunnel.kind == one.tunnel.kind for tunnel in outline.tunnels)
        share = controls * len(outline.handshakes) * len(outline.targets) * len(outline.policies)
        return verdict.control(one.tally, one.tunnel.kind, ALPHA / share)
    if one.fault is not None:
        return one.fault
    if one.handshake.handoff and not one.handshake.variant:
        return verdict.handed_off(one.outside, one.inside)
    if p_adjusted is None:
        return verdict.context(one.outside, one.inside, service=one.service)
    return verdict.claim(
        one.tally,
        (one.outside, one.inside),
        one.difference,
        p_adjusted,
        family_alpha=_family_alpha(outline),
        early=outline.stop_early,
        service=one.service,
    )


def _with_messaging(outline: Outline, comparisons: list[Comparison]) -> list[Comparison]:
    """Beside each call how the messaging of the same application fared, there and under that."""
    by_cell = {one.cell: one for one in comparisons}
    kinds = {one.kind: one.name for one in reversed(outline.handshakes)}
    apps = {one.name: kinds.get(one.messaging) for one in outline.handshakes}
    for at, one in enumerate(comparisons):
        messaging = apps[one.cell.handshake]
        if messaging and (other := _beside(one.cell, messaging, by_cell)):
            comparisons[at] = replace(one, messaging=_fared(messaging, other))
    return comparisons


def _beside(cell: Cell, messaging: str, by_cell: Mapping[Cell, Comparison]) -> Comparison | None:
    """The messaging through the same tunnel: at the same place, or at the service's own."""
    same = Cell(cell.tunnel, messaging, cell.target, cell.policy)
    if same in by_cell:
        return by_cell[same]
    others = (
        one
        for other, one in by_cell.items()
        if (other.tunnel, other.handshake, other.policy) == (cell.tunnel, messaging, cell.policy)
    )
    return next(others, None)


def _fared(name: str, other: Comparison) -> str:
    return f"{name}: outside {_arm(other.outside)}, inside {_arm(other.inside)}"


def _arm(arm: ArmFinding) -> str:
    at = f" at {arm.death}" if arm.state is ArmState.RESTRICTED and arm.death else ""
    return f"{arm.state}{at} {arm.rate.successes}/{arm.rate.n}"


# ------------------------------------------------------------------ what a program is told


def exit_code(findings: Findings, fail_on: Collection[str] = ()) -> int:
    """6 for a leak, 5 for nothing compared, 1 when a verdict is in `fail_on`, 3 for nothing
    conclusive among the claims, else 0.

    `fail_on` holds verdicts by kind ("breaks-calls") or in full ("tunnel-down(no-udp)").
    """
    if any(one.leak for one in findings.comparisons):
        return 6
    if not findings.comparisons:
        return 5
    if any(
        {str(one.verdict), str(one.verdict.kind)} & set(fail_on) for one in findings.comparisons
    ):
        return 1
    kinds = Counter(one.verdict.kind for one in findings.comparisons if one.claim)
    if kinds and set(kinds) == {VerdictKind.INCONCLUSIVE}:
        return 3
    return 0
