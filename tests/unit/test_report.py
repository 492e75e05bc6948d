"""Findings as text, Markdown and JSON."""

import msgspec

from circumtest.compare import compare
from circumtest.finding import Findings
from circumtest.model import Cell
from circumtest.report import render
from tests.unit.runs import OK, SILENT, outline, trials

FINDINGS = compare(
    outline("none", "wireguard"),
    [
        *trials(Cell("none", "call", "lab", "ru"), [SILENT] * 12, [SILENT] * 12),
        *trials(Cell("wireguard", "call", "lab", "ru"), [SILENT] * 12, [OK] * 12),
    ],
)
TEXT = """\
ru: restricted outside: call. brought back by wireguard.

ru

handshake    outside                          none                   wireguard
-----------  -------------------------------  ---------------------  ---------------------
call         restricted at allocate (silent)  ok                     bypasses
message      ?                                inconclusive(too-few)  inconclusive(too-few)

! level quick does not show silence that begins after 22 s
! a lab shows what happens under the policies named above, not what any network does

plan small 000000000000, seed 1
"""


def test_the_text_answers_first_and_warns_last() -> None:
    """The whole of it, to the letter."""
    assert render(FINDINGS, "text") == TEXT


def test_the_long_table_has_rates_and_intervals() -> None:
    """Numbers for whoever doubts the words."""
    text = render(FINDINGS, "text", long=True)

    assert "0/12 [0.00, 0.24]" in text
    assert "+1.00" in text


def test_markdown_is_a_table_of_the_same_rows() -> None:
    """It renders where tables do."""
    lines = render(FINDINGS, "markdown").splitlines()

    assert lines[0] == "# small"
    assert any(line.startswith("| call ") and "bypasses" in line for line in lines)


def test_json_is_the_findings_themselves() -> None:
    """Nothing is lost."""
    assert msgspec.json.decode(render(FINDINGS, "json"), type=Findings) == FINDINGS
