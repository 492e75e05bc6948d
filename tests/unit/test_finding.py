"""The outline of a run."""

from circumtest.finding import Verdict, VerdictKind
from tests.unit.runs import outline


def test_cells_are_every_combination_and_claims_the_calls_of_real_tunnels() -> None:
    """Two handshakes, three tunnels, two policies."""
    plan = outline("none", "isolated", "wireguard", policies=("open", "ru"))

    assert len(plan.cells()) == 12
    assert [str(cell) for cell in plan.claims()] == [
        "open/lab/call/wireguard",
        "ru/lab/call/wireguard",
    ]


def test_a_verdict_is_written_with_its_reason() -> None:
    """As in the documentation."""
    assert str(Verdict(VerdictKind.TUNNEL_DOWN, "no-udp")) == "tunnel-down(no-udp)"
    assert str(Verdict(VerdictKind.BYPASSES)) == "bypasses"
