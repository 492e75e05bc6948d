"""A small plan carried out on real ground, stopped, and gone on with."""

from pathlib import Path

from circumtest import store
from circumtest.compare import compare
from circumtest.plan import Plan, parse
from circumtest.run import carry_out

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
