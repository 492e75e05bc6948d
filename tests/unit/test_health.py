"""Warnings in words."""

from circumtest.compare import compare
from circumtest.model import Cell
from tests.unit.runs import LATE, OK, SILENT, outline, trials


def test_a_leak_through_isolated_is_said_first_and_loudly() -> None:
    """Nothing may succeed where nothing leads."""
    cell = Cell("isolated", "call", "lab", "ru")
    findings = compare(outline("isolated"), trials(cell, [OK] * 12, [OK] * 12))

    assert any("LEAK" in warning for warning in findings.warnings)


def test_too_few_blocks_for_the_family_are_told_with_the_fewest_that_would_do() -> None:
    """Before anybody wonders why nothing is ever shown."""
    findings = compare(outline("wireguard", blocks=3), [])

    assert any("3 blocks can never show" in warning for warning in findings.warnings)


def test_void_blocks_are_told_with_their_reason() -> None:
    """A player that was late is not the network's fault."""
    cell = Cell("wireguard", "call", "lab", "ru")
    findings = compare(outline("wireguard"), trials(cell, [SILENT] * 11 + [LATE], [OK] * 12))

    assert any("1 of 12 blocks are void (outside: overloaded)" in one for one in findings.warnings)


def test_level_quick_says_what_it_cannot_show() -> None:
    """Silence after 22 s needs a longer call."""
    assert any("22 s" in one for one in compare(outline("wireguard"), []).warnings)
