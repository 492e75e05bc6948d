"""These tests make namespaces: they run in the private world only."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from tabulate import tabulate

from circumtest import sandbox
from circumtest.appearance import Appearance, Sighting
from circumtest.model import Cell
from circumtest.report.appearances import appearances
from tests.lab.specimens import every

CONTRACT = re.compile(r"test_tunnel_contract\.py::test_tunnel\[(.+)-(\w+)\]")


def pytest_sessionstart() -> None:
    """Say in one sentence how to run them, instead of failing in many."""
    if not sandbox.inside():
        pytest.exit(
            "tests/lab makes network namespaces: run it with scripts/lab-test", returncode=2
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The contract's matrix, tunnel by case, when the whole of it was played; and what is seen."""
    stats = terminalreporter.stats
    played = {
        (found[1], found[2]): outcome
        for outcome, word in (("ok", "passed"), ("FAILED", "failed"), ("ERROR", "error"))
        for report in stats.get(word, ())
        if (found := CONTRACT.search(report.nodeid))
    }
    if len({tunnel for tunnel, _ in played}) > 1:
        terminalreporter.section("tunnel contract")
        terminalreporter.write_line(_matrix(played))
    labelled = _properties(stats, "labels")
    if len(labelled) > 1:
        terminalreporter.section("what nDPI calls them")
        terminalreporter.write_line(_labels(labelled))
    seen = [
        Sighting(Cell(name, "", "", ""), played=True, appearance=_appearance(found))
        for name, found in _properties(stats, "appearance")
    ]
    if len(seen) > 1 and (shown := appearances(seen)):
        terminalreporter.section(shown.title)
        terminalreporter.write_line(tabulate(shown.rows, shown.heads, disable_numparse=True))


def _appearance(text: str) -> Appearance:
    """Recorded as text: what comes from another process can be nothing else."""
    return msgspec.json.decode(text, type=Appearance)


def _properties(stats: dict[str, Any], wanted: str) -> list[Any]:
    """What tests recorded under one name."""
    return [
        found
        for word in ("passed", "failed")
        for report in stats.get(word, ())
        for key, found in getattr(report, "user_properties", ())
        if key == wanted
    ]


def _labels(rows: list[tuple[str, int, list[str], list[str]]]) -> str:
    """Handshakes by name; a dash where nothing is asked of a label."""
    lines = [
        (name, f"IPv{version}", ", ".join(wanted) or "—", ", ".join(found))
        for name, version, wanted, found in sorted(rows)
    ]
    return tabulate(lines, ["handshake", "", "expected", "found"])


def _matrix(played: dict[tuple[str, str], str]) -> str:
    """Rows are tunnels; a dash has a number, and the numbers their reasons below."""
    cases = list(dict.fromkeys(case for _, case in played))
    reasons: dict[str, int] = {}
    rows = []
    for specimen in every():
        if not any(tunnel == specimen.name for tunnel, _ in played):
            continue
        row = [specimen.name]
        for case in cases:
            reason = specimen.cannot.get(case)
            number = reasons.setdefault(reason, len(reasons) + 1) if reason else 0
            row.append(f"— {number}" if reason else played.get((specimen.name, case), ""))
        rows.append(row)
    heads = ["tunnel", *(case.replace("_", "\n") for case in cases)]
    return "\n".join([tabulate(rows, heads), "", *_numbered(reasons)])


def _numbered(reasons: dict[str, int]) -> Iterable[str]:
    return (f"— {number}: {reason}" for reason, number in reasons.items())
