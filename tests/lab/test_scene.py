"""A small plan carried out on real ground, stopped, and gone on with."""

from pathlib import Path

from circumtest import store
from circumtest.compare import compare
from circumtest.model import (
    Cause,
    Direction,
    Failure,
    Invalid,
    Media,
    Outcome,
    Record,
    Stage,
    Success,
)
from circumtest.plan import Plan, parse
from circumtest.run import carry_out
from circumtest.scene import HURRIED, unless_overloaded

CELLS, BLOCKS = 12, 4


def plan() -> Plan:
    """One call and a neutral exchange, three tunnels, two policies."""
    raw = {
        "blocks": BLOCKS,
        "lanes": 2,
        "policies": ["open", "ru-calls-2025-09"],
        "tunnel": [
            {"kind": "none"},
            {"kind": "isolated"},
            {"kind": "wireguard", "server": "wireguard-go"},
        ],
        "handshake": [{"kind": "echo"}, {"kind": "telegram-call-udp"}],
    }
    return parse(raw, "small", "small.toml")


def test_a_plan_is_carried_out_and_a_stopped_one_is_completed(tmp_path: Path) -> None:
    """Every trial is there once, and the findings say what the policy does."""
    small = plan()
    store.create(tmp_path, small.outline)

    assert carry_out(small, tmp_path, 2, lambda done, total: None) == 0
    whole, troubles = store.read(tmp_path)
    assert (len(whole), troubles) == (CELLS * BLOCKS * 4, [])
    file = tmp_path / store.TRIALS
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[::2]) + lines[1][:30])

    assert carry_out(small, tmp_path, 2, lambda done, total: None) == 0
    again, troubles = store.read(tmp_path)
    assert len(again) == CELLS * BLOCKS * 4
    assert len(troubles) == 1
    for trials in (whole, again):
        found = {one.cell: one for one in compare(small.outline, trials).comparisons}
        calls = {
            (cell.policy, cell.tunnel): one
            for cell, one in found.items()
            if cell.handshake == "telegram-call-udp"
        }
        attacked = calls["ru-calls-2025-09", "wireguard"]
        assert attacked.outside.rate.successes == 0
        assert str(attacked.outside.death) == "binding (silent)"
        assert attacked.inside.rate.successes == BLOCKS
        assert calls["open", "wireguard"].outside.rate.successes == BLOCKS
        assert calls["open", "isolated"].inside.rate.successes == 0


def test_a_call_that_failed_on_a_machine_with_too_much_to_do_says_nothing() -> None:
    """Known by round trips that no lab has; what succeeded, or was lost at once, stands."""

    def record(outcome: Outcome, rtt: float | None) -> Record:
        direction = Direction(50, 30, 20, rtt=rtt)
        return Record(outcome, 3.0, media=(Media(1.6, 50, direction, direction),))

    lossy = Failure(Stage.MEDIA_UP, Cause.LOSSY, "40% of the packets were lost")
    late = unless_overloaded(record(lossy, 2 * HURRIED)).outcome
    assert isinstance(late, Invalid)
    assert late.reason == "overloaded"
    for outcome, rtt in ((lossy, HURRIED / 5), (lossy, None), (Success(), 2 * HURRIED)):
        assert unless_overloaded(record(outcome, rtt)).outcome == outcome
