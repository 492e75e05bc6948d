"""What of a live run is missing, and what it tells before it begins: without a network."""

from typing import Any

import pytest

from circumtest.compare import group
from circumtest.errors import ConfigError
from circumtest.finding import LIVE
from circumtest.live import announce, targets
from circumtest.live.run import schedule
from circumtest.live.schedule import Wait
from circumtest.model import Arm, Invalid, Record, Success, Trial, TunnelFault
from circumtest.plan import Plan, load, parse

TUNNEL = {"kind": "socks", "name": "mine", "url": "socks5://192.0.2.1:1080"}


def services(**changes: Any) -> Plan:
    """A plan of two shipped targets and one tunnel."""
    raw = {"targets": ["telegram", "stun"], "blocks": 4, "tunnel": [TUNNEL], **changes}
    return parse(raw, "small", "small.toml", targets.load)


def mirror(**changes: Any) -> Plan:
    """A plan of one call at a mirror."""
    raw = {
        "targets": ["mirror"],
        "blocks": 4,
        "tunnel": [TUNNEL],
        "handshake": [{"kind": "whatsapp-call"}, {"kind": "whatsapp-message"}],
        **changes,
    }
    return parse(raw, "small", "small.toml")


def test_each_target_is_called_by_its_own_handshake() -> None:
    """Policy live, the service's name, and what strangers reach of it."""
    plan = services()

    assert [str(cell) for cell in plan.outline.cells()] == [
        f"{LIVE}/telegram/telegram-message/mine",
        f"{LIVE}/stun/stun-binding/mine",
    ]
    assert all(one.reached for one in plan.outline.handshakes)
    assert any("telegram" in note for note in plan.outline.notes)
    assert plan.select(targets=["stun"]).outline.targets == ("stun",)


def test_each_call_at_a_mirror_has_its_variants() -> None:
    """Rows of their own, which nothing is claimed of; messaging has none."""
    plan = mirror()
    names = [one.name for one in plan.outline.handshakes]
    calls = ["whatsapp-call", *(f"whatsapp-call~{v}" for v in ("inverted", "random", "port"))]

    assert names == [*calls, "whatsapp-message"]
    assert len(plan.outline.claims()) == 1
    assert plan.handshake(names[1]) == plan.handshake(names[0])
    assert len(mirror(live={"variants": []}).outline.handshakes) == 2
    assert len(plan.select(handshakes=["whatsapp-call"]).outline.handshakes) == 4


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"targets": ["telegramm"]}, "did you mean 'telegram'"),
        ({"targets": ["mirror", "stun"]}, "the mirror stands beside services"),
        ({"handshake": [{"kind": "stun-binding"}]}, "each target has its own"),
        ({"tunnel": [{**TUNNEL, "server": "dante"}]}, "only the lab starts servers"),
        ({"live": {"spacing": -1}}, "spacing"),
        ({"live": {"variants": ["upside-down"]}}, "variants"),
        ({"policies": ["open"], "live": {}}, "policies are the lab's"),
        ({"policies": ["open"], "targets": ["mirror"]}, "the plan asks a mirror"),
        ({"targets": []}, "empty"),
    ],
)
def test_what_cannot_be_right_is_told(raw: dict[str, Any], words: str) -> None:
    """In one message, with what would be."""
    with pytest.raises(ConfigError, match=words):
        services(**raw)


def test_a_plan_for_a_real_network_is_none_for_the_lab() -> None:
    """Who cannot read targets cannot carry it out."""
    with pytest.raises(ConfigError, match="run --live"):
        load("live")


def played(plan: Plan, count: int, record: Record, started: float = 1e9) -> list[Trial]:
    """The first trials of the first cell."""
    cell = plan.outline.cells()[0]
    several = [(block, arm) for block in range(4) for arm in plan.order(cell, block)]
    return [Trial(cell, block, arm, started, record) for block, arm in several[:count]]


def test_what_is_on_disk_is_not_played_again_and_its_place_rests() -> None:
    """A minute from its end, by the clock of now."""
    plan = mirror()
    trials = played(plan, 4, Record(Success(), 10.0))
    now = 1e9 + 20
    made = schedule(plan, group(trials), trials, "mirror.example", now)

    assert made.left == (5 * 4 * 4) - 4
    assert made.next(now) == Wait(1e9 + 10 + 60, "your mirror mirror.example")


def test_a_clock_that_was_set_back_costs_no_more_than_one_rest() -> None:
    """What seems to have ended in a year has ended by now."""
    plan = mirror()
    trials = played(plan, 1, Record(Success(), 10.0), started=2e9)
    what = schedule(plan, group(trials), trials, "", 1e9).next(1e9)

    assert isinstance(what, Wait)
    assert what.until == 1e9 + 60


def test_a_trial_that_sent_nothing_leaves_nothing_to_rest_from() -> None:
    """Its tunnel was down."""
    plan = mirror()
    trials = played(plan, 1, Record(Invalid("tunnel-down", TunnelFault.HANDSHAKE), 0.0))

    assert not isinstance(schedule(plan, group(trials), trials, "", 1e9).next(1e9), Wait)


def test_the_arms_of_a_block_ask_one_endpoint_and_blocks_take_turns() -> None:
    """Controls go elsewhere."""
    plan = services()
    (lane, _) = schedule(plan, {}).lanes
    calls = [slot for slot in lane if slot.arm in (Arm.OUTSIDE, Arm.INSIDE)]
    by_block = [{slot.destinations for slot in calls if slot.block == n} for n in range(4)]

    assert all(len(one) == 1 for one in by_block)
    assert len(set.union(*by_block)) == 4
    assert all("service telegram" in slot.destinations for slot in calls)
    others = [slot for slot in lane if slot not in calls]
    assert all("service telegram" not in slot.destinations for slot in others)


def test_before_anything_is_sent_it_is_told_what_and_where() -> None:
    """Names, ports, counts, how long, through what, and what that may mean."""
    plan = services()
    text = "\n".join(announce.lines(plan, schedule(plan, {})))

    assert "plays 32 trials" in text
    assert "149.154.167.51:443/tcp" in text
    assert "mine (socks)" in text
    assert "192.0.2.1" not in text
    assert "forbidden" in text
    assert "60 s between two to the same place" in text
    plan = mirror()
    text = "\n".join(announce.lines(plan, schedule(plan, {}), "mirror.example"))
    assert "to your mirror mirror.example" in text
    assert "whatsapp-call~random: 8 times, UDP, port 3478" in text
