"""Every row of the verdict table, and what forbids a verdict."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from circumtest import verdict
from circumtest.compare import compare
from circumtest.finding import (
    BEYOND,
    HANDSHAKE_ONLY,
    ArmState,
    Comparison,
    Verdict,
    VerdictKind,
)
from circumtest.model import Cell, Invalid, Outcome, Record, TunnelFault
from circumtest.tally import Count
from tests.unit.runs import (
    DOWN,
    LATE,
    LOSSY,
    OK,
    SILENT,
    WRONG_EXIT,
    outline,
    sounding,
    trials,
)

N = 12


def judged(
    outside: Sequence[Outcome | Record],
    inside: Sequence[Outcome | Record],
    controls: tuple[Outcome, Outcome] = (OK, OK),
    tunnel: str = "wireguard",
    policy: str = "ru",
) -> Comparison:
    """The comparison of one call cell of a run that has nothing else."""
    plan = outline(tunnel, policies=(policy,))
    cell = Cell(tunnel, "call", "lab", policy)
    findings = compare(plan, trials(cell, outside, inside, controls))
    return next(one for one in findings.comparisons if one.cell == cell)


@pytest.mark.parametrize(
    ("outside", "inside", "verdict"),
    [
        (SILENT, OK, "bypasses"),
        (SILENT, SILENT, "does-not-bypass"),
        (OK, OK, "not-needed"),
        (OK, SILENT, "breaks-calls"),
        (OK, LOSSY, "degrades"),
        (OK, DOWN, "tunnel-down(handshake)"),
        (SILENT, DOWN, "tunnel-down(handshake)"),
        (LATE, OK, "inconclusive(invalid)"),
        (OK, WRONG_EXIT, "inconclusive(leak)"),
    ],
    ids=repr,
)
def test_the_table_of_verdicts(outside: Outcome, inside: Outcome, verdict: str) -> None:
    """Outside against inside, when all blocks are alike."""
    assert str(judged([outside] * N, [inside] * N).verdict) == verdict


GOOD, DULL = sounding(4.1), sounding(2.4)


@pytest.mark.parametrize(
    ("outside", "inside", "verdict"),
    [
        (GOOD, DULL, "degrades"),
        (SILENT, DULL, "degrades"),
        (GOOD, GOOD, "not-needed"),
        (DULL, DULL, "not-needed"),
        (LOSSY, DULL, "does-not-bypass"),
        (LOSSY, LOSSY, "does-not-bypass"),
        (LOSSY, GOOD, "bypasses"),
        (DULL, GOOD, "not-needed"),
    ],
)
def test_sound_below_the_line_is_told_though_the_call_succeeded(
    outside: Outcome | Record, inside: Outcome | Record, verdict: str
) -> None:
    """Inside though not outside; and what is spoilt on both sides is not called brought back."""
    found = judged([outside] * N, [inside] * N)

    assert str(found.verdict) == verdict
    assert found.inside.mos == (inside.media[0].mos if isinstance(inside, Record) else None)


def test_a_few_dull_calls_degrade_nothing() -> None:
    """A third of them is unclear; eleven of twelve are enough."""
    some = judged([GOOD] * N, [DULL] * 4 + [GOOD] * 8)
    most = judged([GOOD] * N, [DULL] * 11 + [GOOD])

    assert str(some.verdict) != "degrades"
    assert str(most.verdict) == "degrades"


def test_sound_that_the_player_itself_made_late_is_no_ones_opinion() -> None:
    """A busy machine is no network."""
    late = replace(DULL, lag=0.3)

    assert str(judged([GOOD] * N, [late] * N).verdict) == "not-needed"


def test_nothing_is_restricted_where_the_control_fails_too() -> None:
    """No network is no censorship."""
    found = judged([SILENT] * N, [OK] * N, controls=(SILENT, OK))

    assert str(found.verdict) == "inconclusive(environment)"
    assert found.outside.state != "restricted"


def test_a_tunnel_through_which_nothing_neutral_goes_carries_no_data() -> None:
    """A failed call through it says nothing of calls."""
    found = judged([SILENT] * N, [SILENT] * N, controls=(OK, SILENT))

    assert str(found.verdict) == "tunnel-down(no-data)"


def test_too_few_blocks_say_how_many_would_do() -> None:
    """And claim nothing."""
    found = judged([SILENT] * 3, [OK] * 3)

    assert str(found.verdict) == "inconclusive(too-few)"
    assert found.verdict.needed is not None
    assert found.verdict.needed > 3


def test_under_open_nothing_is_called_restricted() -> None:
    """There a failure is the instrument's."""
    found = judged([SILENT] * N, [SILENT] * N, policy="open")

    assert found.outside.state == "fails"
    assert str(found.verdict) == "inconclusive(environment)"


@pytest.mark.parametrize(
    ("tunnel", "inside", "verdict"),
    [
        ("isolated", SILENT, "control-ok"),
        ("isolated", OK, "control-failed(leak)"),
        ("none", SILENT, "control-ok"),
        ("none", OK, "control-failed(differs)"),
    ],
)
def test_controls_are_judged_as_controls(tunnel: str, inside: Outcome, verdict: str) -> None:
    """`isolated` never succeeds, `none` never differs."""
    controls = (OK, inside) if tunnel == "isolated" else (OK, OK)

    assert str(judged([SILENT] * N, [inside] * N, controls, tunnel).verdict) == verdict


@pytest.mark.parametrize(
    ("without", "within", "said"),
    [
        ([False] * 12, [True] * 12, HANDSHAKE_ONLY),
        ([False] * 12, [False] * 12, BEYOND),
        ([True] * 12, [True] * 12, ArmState.WORKS),
        ([False] * 12, [True, False] * 6, ArmState.UNCLEAR),
    ],
)
def test_of_a_call_that_is_handed_off_only_the_block_is_told(
    without: list[bool], within: list[bool], said: str
) -> None:
    """A call that goes on without the tunnel says nothing in the tunnel's favour."""
    outside = verdict.outside(Count(sum(without), len(without)), "ru")
    inside = verdict.inside(Count(sum(within), len(within)))

    assert verdict.handed_off(outside, inside) == Verdict(VerdictKind.CONTEXT, said)


NO_UDP = Invalid("tunnel-down", TunnelFault.NO_UDP)


def at_service(
    outside: Outcome, inside: Outcome, *, endpoints: int = 3, target: str = "whatsapp"
) -> Comparison:
    """The comparison of a call at a real service, whose endpoints take turns."""
    plan = replace(outline("wireguard", policies=("live",)), targets=(target,))
    cell = Cell("wireguard", "call", target, "live")
    played = [
        replace(one, record=replace(one.record, endpoint=f"e{one.block % endpoints}"))
        for one in trials(cell, [outside] * N, [inside] * N)
    ]
    findings = compare(plan, played)
    return next(one for one in findings.comparisons if one.cell == cell)


@pytest.mark.parametrize(
    ("outside", "inside", "endpoints", "verdict", "state", "blamed"),
    [
        (SILENT, OK, 3, "bypasses", "restricted", "censor"),
        (SILENT, OK, 2, "inconclusive(unsteady)", "fails", None),
        (SILENT, SILENT, 3, "inconclusive(endpoint)", "fails", "endpoint"),
        (OK, SILENT, 3, "breaks-calls", "works", "tunnel"),
        (OK, DOWN, 3, "tunnel-down(handshake)", "works", None),
        (OK, NO_UDP, 3, "tunnel-down(no-udp)", "works", "tunnel"),
        (OK, OK, 3, "not-needed", "works", None),
    ],
)
def test_a_real_service_may_be_down_itself(
    outside: Outcome, inside: Outcome, endpoints: int, verdict: str, state: str, blamed: str | None
) -> None:
    """Restricted is said of three endpoints or more, and only where it works inside."""
    one = at_service(outside, inside, endpoints=endpoints)

    assert (str(one.verdict), str(one.outside.state)) == (verdict, state)
    assert one.attribution == blamed


def test_a_mirror_is_known_to_be_up() -> None:
    """What fails there on both sides while controls pass does fail."""
    one = at_service(SILENT, SILENT, target="mirror")
    assert (str(one.verdict), one.attribution) == ("does-not-bypass", "censor")


def test_what_went_around_a_tunnel_is_a_leak() -> None:
    """Whatever else was found, and it is exit code 6."""
    one = judged([OK] * N, [OK] * (N - 1) + [Invalid("leak")], policy="live")

    assert str(one.verdict) == "inconclusive(leak)"
    assert one.leak
    assert any("went around the tunnel" in text for text in one.warnings)


def test_contaminated_trials_are_void() -> None:
    """Beyond a tenth nothing is said."""
    one = judged([Invalid("contaminated")] * 3 + [SILENT] * (N - 3), [OK] * N, policy="live")

    assert str(one.verdict) == "inconclusive(invalid)"
