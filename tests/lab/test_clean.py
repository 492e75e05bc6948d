"""A bad line in the lab: calls through it live, and none is void because we were too slow."""

from pathlib import Path

from circumtest import store
from circumtest.compare import compare
from circumtest.finding import ArmState
from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.model import Arm, Invalid, Success
from circumtest.plan import parse
from circumtest.registry import HANDSHAKES, kinds
from circumtest.run import carry_out

SIDE_BY_SIDE = 2
"""Labs at a time: sound that is late for want of a processor would be the machine's doing."""
ROOTS = {"whatsapp-message": {"root": TEST_ROOT}}
FEW = 0.1
"""The share of trials that may fail by chance alone (tests/sim/test_clean.py)."""


def test_one_block_of_every_handshake_on_a_bad_line_says_something(tmp_path: Path) -> None:
    """Outside, inside and both controls: none is invalid, hardly one fails, nothing is restricted.

    5 % of the packets are lost each way, and a round trip takes 80 ms.
    """
    raw = {
        "blocks": 1,
        "labs": SIDE_BY_SIDE,
        "level": "quick",
        "policies": ["lossy-clean"],
        "tunnel": [{"kind": "wireguard", "server": "wireguard-go"}],
        "handshake": [{"kind": kind, **ROOTS.get(kind, {})} for kind in kinds(HANDSHAKES)],
    }
    plan = parse(raw, "bad-line", "bad-line.toml")
    store.create(tmp_path, plan.outline)

    assert carry_out(plan, tmp_path, SIDE_BY_SIDE, lambda done, total: None) == 0
    trials, troubles = store.read(tmp_path)
    ended = {(trial.cell.handshake, trial.arm): trial.record.outcome for trial in trials}
    assert troubles == []
    assert len(ended) == len(kinds(HANDSHAKES)) * len(Arm)
    assert [one for one in ended.items() if isinstance(one[1], Invalid)] == []
    failed = [one for one in ended.items() if one[1] != Success()]
    assert len(failed) <= FEW * len(ended), failed
    for one in compare(plan.outline, trials).comparisons:
        assert one.outside.state is not ArmState.RESTRICTED
