"""Findings as text, Markdown and JSON."""

import msgspec

from circumtest.compare import compare
from circumtest.finding import Findings
from circumtest.model import Cell
from circumtest.report import render
from circumtest.report.rows import WIDE, matrices
from tests.unit.runs import CALL, MESSAGE, OK, SILENT, outline, sounding, trials

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


def test_a_bad_opinion_of_the_sound_is_shown_where_it_matters() -> None:
    """Beside `degrades`, and beside what works and sounds badly all the same; never a good one."""
    good, dull, cell = sounding(4.1), sounding(2.4), Cell("wireguard", "call", "lab", "ru")
    for outside, inside, words in (
        (good, dull, ("works ", "degrades, MOS 2.4")),
        (dull, dull, ("works, MOS 2.4", "not-needed, MOS 2.4")),
        (good, good, ("works ", "not-needed")),
    ):
        found = compare(outline("wireguard"), trials(cell, [outside] * 12, [inside] * 12))
        text = render(found, "text")
        assert all(one in text for one in words)
        assert ("MOS" in text) is (dull in (outside, inside))
        opinions = " / ".join(f"{one.media[0].up.mos:.1f}" for one in (outside, inside))
        assert opinions in render(found, "text", long=True)


def test_many_tunnels_are_rows() -> None:
    """The same cells, the outside first; nobody reads forty columns."""
    names = ("none", *(f"wireguard{number}" for number in range(WIDE)))
    found = compare(outline(*names), [])
    (turned,) = matrices(found)

    assert turned.heads == ("tunnel", "call", "message")
    assert [row[0] for row in turned.rows] == ["outside", *names]


def test_markdown_is_a_table_of_the_same_rows() -> None:
    """It renders where tables do."""
    lines = render(FINDINGS, "markdown").splitlines()

    assert lines[0] == "# small"
    assert any(line.startswith("| call ") and "bypasses" in line for line in lines)


def test_json_is_the_findings_themselves() -> None:
    """Nothing is lost."""
    assert msgspec.json.decode(render(FINDINGS, "json"), type=Findings) == FINDINGS


def _answer(findings: Findings) -> str:
    return render(findings, "text").partition("\n")[0]


def test_that_nothing_is_restricted_is_said_only_where_calls_were_seen_to_work() -> None:
    """Without a network, or with too few blocks, nobody knows."""
    cell = Cell("wireguard", "call", "lab", "ru")
    fine = compare(outline("wireguard"), trials(cell, [OK] * 12, [OK] * 12))
    dead = compare(
        outline("wireguard"), trials(cell, [SILENT] * 12, [SILENT] * 12, (SILENT, SILENT))
    )

    assert _answer(fine) == "ru: no call is restricted."
    assert _answer(dead) == "ru: no restriction was shown. Some cells are inconclusive."


def test_a_tunnel_that_brings_back_some_calls_is_not_said_to_bring_back_calls() -> None:
    """The calls are named where they are not all that are restricted."""
    plan = msgspec.structs.replace(
        outline("wireguard", "socks"),
        handshakes=(CALL, msgspec.structs.replace(CALL, name="other"), MESSAGE),
    )
    findings = compare(
        plan,
        [
            *trials(Cell("wireguard", "call", "lab", "ru"), [SILENT] * 12, [OK] * 12),
            *trials(Cell("wireguard", "other", "lab", "ru"), [SILENT] * 12, [OK] * 12),
            *trials(Cell("socks", "call", "lab", "ru"), [SILENT] * 12, [OK] * 12),
            *trials(Cell("socks", "other", "lab", "ru"), [SILENT] * 12, [SILENT] * 12),
        ],
    )

    assert _answer(findings) == (
        "ru: restricted outside: call, other. brought back by socks (call only), wireguard."
        " not brought back by socks (other only)."
    )


def test_a_foreign_name_does_not_steer_the_terminal() -> None:
    """Control characters in somebody else's run are shown as what they are: nothing."""
    plan = msgspec.structs.replace(outline("wireguard"), policies=("ru\x1b[2J",))
    findings = compare(plan, [])

    assert "\x1b" not in render(findings, "text", long=True)
    assert "\x1b" not in render(findings, "markdown", long=True)
