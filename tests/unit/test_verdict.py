"""Every row of the verdict table, and what forbids a verdict."""

from collections.abc import Sequence

import pytest

from circumtest.compare import compare
from circumtest.finding import Comparison
from circumtest.model import Cell, Outcome
from tests.unit.runs import (
    DOWN,
    LATE,
    LOSSY,
    OK,
    SILENT,
    WRONG_EXIT,
    outline,
    trials,
)

N = 12


def judged(
    outside: Sequence[Outcome],
    inside: Sequence[Outcome],
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
