"""What an observer sees, in words that promise nothing."""

import re

import msgspec

from circumtest.appearance import Appearance, Named, Other, Sighting
from circumtest.compare import compare
from circumtest.model import Cell
from circumtest.report import render
from circumtest.report.appearances import appearances, caveats
from tests.unit.runs import OK, SILENT, outline, trials

WIREGUARD = Appearance(
    "udp",
    51820,
    40,
    9000,
    "nDPI 5.0.0",
    Named("WireGuard", 2, "DPI"),
    Named("WireGuard", 2, "DPI"),
    signatures=("wireguard-initiation",),
    sizes=(148, -92, 64, -96, 96, -96, 32, 32),
    times=(0.0,) * 8,
)
OBFS4 = Appearance(
    "tcp",
    9443,
    40,
    9000,
    "nDPI 5.0.0",
    Named(),
    Named("TLS", 18, "DPI (aggressive)"),
    fully_encrypted=True,
    set_bits=4.0,
    sizes=(1448, -20),
    times=(0.0, 0.1),
    others=(Other("tcp", 3, 500), Other("udp", 1, 40, "DNS")),
)
TLS = msgspec.structs.replace(
    OBFS4,
    ndpi=Named("TLS", 0, "Match by port"),
    fully_encrypted=False,
    set_bits=2.5,
    name="www.example.com",
    ja4="t13d1516h2_8daaf6152771_d8a2da3f94cd",
    ech=True,
    others=(),
)


def sighting(tunnel: str, appearance: Appearance | None, *, played: bool = True) -> Sighting:
    """Of a tunnel, seen during a call."""
    return Sighting(Cell(tunnel, "call", "lab", "ru"), played, appearance)


def cells(one: Sighting) -> dict[str, str]:
    """A row by its heads."""
    table = appearances([one])
    assert table is not None
    return dict(zip(table.heads, table.rows[0], strict=True))


def test_a_row_says_what_was_recognised_and_after_how_many_packets() -> None:
    """And what a fingerprint would be made of, as far as there is room."""
    assert cells(sighting("wireguard", WIREGUARD)) == {
        "tunnel": "wireguard",
        "over": "udp 51820",
        "nDPI": "WireGuard (packet 2)",
        "with heuristics": "the same",
        "as random bytes": "—",
        "signatures": "wireguard-initiation",
        "server name": "—",
        "JA4": "—",
        "first sizes": "+148 -92 +64 -96 +96 -96",
        "other flows": "—",
    }


def test_what_heuristics_and_guesses_found_is_told_apart_from_what_was_read() -> None:
    """By nDPI's own word for it."""
    random, tls = cells(sighting("obfs4", OBFS4)), cells(sighting("trojan", TLS))

    assert random["nDPI"] == "not recognised"
    assert random["with heuristics"] == "TLS (packet 18, DPI (aggressive))"
    assert random["as random bytes"] == "yes (4.00 bits/byte)"
    assert random["other flows"] == "tcp not recognised ×3, udp DNS"
    assert tls["nDPI"] == "TLS (a guess: Match by port)"
    assert tls["as random bytes"] == "no (2.50 bits/byte)"
    assert tls["server name"] == "www.example.com (ECH)"
    assert tls["JA4"] == TLS.ja4


def test_where_less_was_seen_the_row_says_so() -> None:
    """A tunnel that carried nothing, one that sent nothing, an nDPI that is not there."""
    blind = msgspec.structs.replace(
        OBFS4, engine="nDPI is not installed", ndpi=None, heuristics=None
    )

    assert cells(sighting("a", WIREGUARD, played=False))["over"] == "udp 51820, no trial in it"
    assert cells(sighting("a", None))["over"] == "nothing passed"
    row = cells(sighting("a", blind))
    assert (row["nDPI"], row["with heuristics"]) == ("not asked", "not asked")
    assert row["other flows"] == "tcp not asked ×3, udp DNS"
    assert "nDPI was not asked: nDPI is not installed" in caveats([sighting("a", blind)])


def test_nothing_is_ever_called_undetectable() -> None:
    """Not being recognised is by whom it was."""
    said = caveats([sighting("obfs4", OBFS4)])

    assert len(said) == 1
    assert re.match(r"what is not recognised by nDPI 5\.0\.0 is not undetectable", said[0])
    assert caveats([]) == ()
    assert appearances([]) is None


def test_every_report_has_it_in_the_order_of_the_plan_s_tunnels() -> None:
    """Text, Markdown and JSON; of tunnels that the plan does not have nothing is shown."""
    plan = outline("none", "wireguard", "obfs4")
    seen = [sighting(name, OBFS4) for name in ("obfs4", "wireguard", "stranger")]
    played = trials(Cell("wireguard", "call", "lab", "ru"), [SILENT] * 12, [OK] * 12)
    findings = compare(plan, played, seen)

    for form in ("text", "markdown"):
        matrix, _, told = render(findings, form).partition("what an observer sees")
        assert re.search(r"\(nDPI's label\)[ |]+—[ |]+—[ |]+not recognised[ |]+not recog", matrix)
        assert 0 < told.index("wireguard") < told.index("obfs4")
        assert "stranger" not in told
        assert "is not undetectable" in told
    written = msgspec.json.decode(render(findings, "json"))
    assert [one["cell"]["tunnel"] for one in written["sightings"]] == ["wireguard", "obfs4"]
    assert "what an observer sees" not in render(compare(plan, played), "text")
