"""What a live run tells before it sends anything: what goes where, how often, and what it may mean.

It refuses to ask: the command does, and only a person can say yes.
"""

from collections.abc import Iterator, Sequence

from circumtest.finding import CONTROL_TUNNELS
from circumtest.ladders import PACES
from circumtest.live.schedule import Schedule, Slot
from circumtest.model import CONTROLS
from circumtest.plan import Plan

EACH = 5.0
"""Seconds that a trial takes, where nothing is known of it: some fail after ten, most are short."""
RATE = 50
"""Packets of sound a second, each way."""
SOUND = 200
"""Bytes of one of them, headers included."""
SETUP = 12
"""Packets of a call setup, more or less; those that are not answered are said again."""
_OVERHEAD = 60
_MOST = 8


def lines(plan: Plan, schedule: Schedule, host: str = "") -> tuple[str, ...]:
    """The text, a line each; `host` is the mirror's, `schedule` what is left to be played."""
    return tuple(_lines(plan, schedule, host))


def _lines(plan: Plan, schedule: Schedule, host: str) -> Iterator[str]:
    assert plan.live is not None
    slots = [slot for lane in schedule.lanes for slot in lane]
    span = _span(_seconds(plan, schedule))
    yield f"This run plays {len(slots)} trials from here, over about {span}:"
    if plan.live.mirror:
        yield from _at_mirror(plan, slots, host)
    else:
        yield from _at_services(plan, slots)
    packets, octets = _volume(plan, slots)
    yield f"  in all about {packets} packets and {_size(octets)} from here, and as much back"
    tunnels = [one for one in plan.outline.tunnels if one.kind not in CONTROL_TUNNELS]
    names = ", ".join(f"{one.name} ({one.kind})" for one in tunnels) or "none"
    yield f"  through: {names}; each is brought up, and again where it went down"
    longest = max((slot.spacing for slot in slots), default=0.0)
    yield (
        f"  one at a time, {longest:g} s between two to the same place,"
        f" {schedule.after_freeze:g} s after a freeze"
    )
    yield "Your provider can see it, as it sees the applications themselves.  Where it is forbidden"
    yield "to use them or a VPN it may be forbidden to test them, and the server of a VPN that is"
    yield "tested may get listed and blocked.  Results stay on this machine."


def _at_mirror(plan: Plan, slots: Sequence[Slot], host: str) -> Iterator[str]:
    yield f"  to your mirror {host}:"
    for one in plan.outline.handshakes:
        count = sum(slot.cell.handshake == one.name and slot.arm not in CONTROLS for slot in slots)
        listen = plan.handshake(one.name).listen
        port = "other ports" if one.variant == "port" else f"port {listen.port}"
        yield f"    {one.name}: {count} times, {listen.transport.upper()}, {port}"
    controls = sum(slot.arm in CONTROLS for slot in slots)
    yield f"    and {controls} neutral controls of the same sizes;"
    yield "  and to public neutral servers, before anything else: is the line as it should be?"


def _at_services(plan: Plan, slots: Sequence[Slot]) -> Iterator[str]:
    assert plan.live is not None
    for name in plan.outline.targets:
        service = plan.live.services[name]
        mine = [slot for slot in slots if slot.cell.target == name]
        if not mine:
            continue
        places = _some([str(one) for one in service.endpoints])
        calls = sum(slot.arm not in CONTROLS for slot in mine)
        yield f"  {name}: {service.kind}, first stages only, {calls} times, to {places};"
        controls = _some([str(one) for one in service.control])
        yield f"    {len(mine) - calls} controls ({service.control[0].kind}) to {controls}"
    yield "  and to public neutral servers, before anything else: is the line as it should be?"


def _seconds(plan: Plan, schedule: Schedule) -> float:
    """How long the rest takes, where trials take as long as they do when they succeed."""
    media = PACES[plan.outline.level].media
    real = plan.live is not None and not plan.live.mirror
    sounding = [one for one in plan.outline.handshakes if _sounds(plan, one.name)]
    share = 0.0 if real else media * len(sounding) / (2 * len(plan.outline.handshakes))
    return schedule.seconds(EACH + share)


def _sounds(plan: Plan, handshake: str) -> bool:
    return any(stage.startswith("media") for stage in plan.handshake(handshake).stages)


def _volume(plan: Plan, slots: Sequence[Slot]) -> tuple[int, int]:
    """Packets and bytes that leave here, roughly."""
    assert plan.live is not None
    packets = octets = 0
    media = int(RATE * PACES[plan.outline.level].media)
    for slot in slots:
        opening = plan.handshake(slot.cell.handshake).opening + _OVERHEAD
        setup = 2 if slot.arm in CONTROLS else SETUP
        packets += setup
        octets += setup * opening
        if plan.live.mirror and slot.arm not in CONTROLS and _sounds(plan, slot.cell.handshake):
            packets += media
            octets += media * SOUND
    return packets, octets


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return shown if len(names) <= _MOST else f"{shown} and {len(names) - _MOST} more in turn"


def _size(octets: int) -> str:
    return f"{octets / 1e6:.1f} MB" if octets >= 1e6 else f"{octets / 1e3:.0f} kB"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
