"""A small plan carried out on real ground, stopped, and gone on with."""

import asyncio
import os
import signal
from pathlib import Path

from circumtest import sightings, store
from circumtest.censor.policy import Conditions
from circumtest.compare import compare
from circumtest.finding import Rate
from circumtest.lab.network import conditions
from circumtest.lab.topology import lab
from circumtest.model import (
    Cause,
    Cell,
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
from circumtest.scene import HURRIED, unless_cut_off, unless_overloaded

CELLS, BLOCKS = 12, 4
WATCHED = Cell("wireguard", "telegram-call-udp", "lab", "open")


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
    """Every trial is there once; the findings say what the policy does, and how a tunnel looks."""
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
    (sighting,), troubles = sightings.read(tmp_path)
    assert (sighting.cell, sighting.played, troubles) == (WATCHED, True, [])
    assert sighting.appearance is not None
    assert sighting.appearance.sizes[:2] == (148, -92)
    assert sighting.appearance.port == 51820
    assert sighting.appearance.others == ()
    assert not (tmp_path / sightings.DEPOSITS).exists()
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
        assert everything(attacked.inside.rate)
        assert everything(calls["open", "wireguard"].outside.rate)
        assert calls["open", "isolated"].inside.rate.successes == 0


def everything(rate: Rate) -> bool:
    """All blocks that a busy machine has not made void succeeded."""
    return rate.successes == rate.n > 0


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
    asked = 2 * HURRIED  # of a network with so much delay
    assert unless_overloaded(record(lossy, asked), trip=asked).outcome == lossy
    assert isinstance(unless_overloaded(record(lossy, 2 * asked), trip=asked).outcome, Invalid)


def test_sound_that_a_busy_machine_has_made_late_says_nothing() -> None:
    """It would be said that the censor, or the tunnel, degrades the call."""
    spoilt = Direction(50, 50, 0, rtt=4 * HURRIED, late=40, mos=1.0)
    record = Record(Success(), 3.0, media=(Media(1.6, 50, spoilt, spoilt),))
    assert isinstance(unless_overloaded(record).outcome, Invalid)
    assert unless_overloaded(record, trip=4 * HURRIED).outcome == Success()


def test_what_was_played_on_links_that_are_gone_says_nothing() -> None:
    """Whatever came of it: without the emulator nothing passes, and that is nobody's censorship."""

    async def killed() -> Outcome:
        async with lab() as it, conditions(it, [Conditions(loss=0.1)]) as network:
            before = unless_cut_off(Record(Success(), 1.0), network, network.lost())
            assert before.outcome == Success()
            (emulator,) = network.emulators
            os.kill(emulator.process.pid, signal.SIGKILL)
            await emulator.process.ended()
            silent = Failure(Stage.BINDING, Cause.TIMEOUT)
            return unless_cut_off(Record(silent, 1.0), network, 0).outcome

    outcome = asyncio.run(killed())
    assert isinstance(outcome, Invalid)
    assert outcome.reason == "network-down"
