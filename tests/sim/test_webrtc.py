"""WebRTC's call and Meet's in virtual time: what they survive, and where they die of what."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.dtls import Shape
from circumtest.handshakes.meet_call import MeetCall
from circumtest.handshakes.webrtc import Webrtc
from circumtest.model import Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.script import Emit, Flow
from circumtest.simulate import START, far_end, simulate
from circumtest.wire import dtls13, ice, stun
from circumtest.wire.dtls import V12, V13

CALLS: dict[str, Any] = {
    "webrtc": Webrtc,
    "webrtc, controlled": lambda **fields: Webrtc(controlling=False, **fields),
    "meet": MeetCall,
}
Which = Callable[[Packet, float, int], bool]


def play(
    call: str,
    judge: Judge | None = None,
    *,
    version: int = 4,
    seed: int = 5,
    secret: str = "",
    **fields: Any,
) -> Record:
    """One trial; `secret` is the far half's where it is another."""
    handshake = CALLS[call](**fields)
    target, services = far_end(handshake, version)
    if secret:
        _, services = far_end(CALLS[call](secret=secret, **fields), version)
    return simulate(handshake.script(target, Random(seed)), services, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


def kind(packet: Packet) -> str:
    """What a packet is: signalling, check, answer, dtls or sound."""
    if packet.transport is Transport.TCP:
        return "signalling"
    first = packet.payload[0]
    if first < 4:
        return {1: "check", 0x101: "answer"}.get(int.from_bytes(packet.payload[:2]), "refusal")
    return "dtls" if first < 64 else "sound"


@dataclass
class Dropping:
    """Drops the packets that `which` names, by packet, seconds and number of its kind and way."""

    which: Which
    seen: dict[tuple[bool, str], int] = field(default_factory=dict)

    def judge(self, packet: Packet, now: float) -> Verdict:
        key = (packet.upwards, kind(packet))
        number = self.seen[key] = self.seen.get(key, -1) + 1
        return Verdict.DROP if self.which(packet, now - START, number) else Verdict.PASS


@dataclass
class Nth:
    """Drops one packet only."""

    number: int
    seen: int = -1

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen += 1
        return Verdict.DROP if self.seen == self.number else Verdict.PASS


def drops(what: str, *ways: bool, after: int = 0, later: float = 0.0) -> Which:
    """Names packets of a kind, upwards (True) or downwards, from a number and a time on."""
    return lambda packet, at, number: (
        kind(packet) == what and packet.upwards in ways and number >= after and at >= later
    )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_nobody_hinders_succeeds(call: str, level: Level, version: int) -> None:
    """All stages pass in order, and both directions carry everything."""
    record = play(call, level=level, version=version)

    assert record.outcome == Success()
    assert [stage.stage for stage in record.stages] == list(CALLS[call]().stages)
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert media.up.received == media.seconds * 50
    assert record.exit is not None


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("call", ["webrtc", "meet"])
def test_every_shape_of_hello_leads_to_keys(call: str, shape: Shape) -> None:
    """In DTLS 1.3 where it is offered; the far half of DTLS 1.2 is OpenSSL."""
    record, versions = agreed(call, shape)

    assert record.outcome == Success()
    assert versions == {V13 if shape is Shape.CHROMIUM else V12}


def agreed(call: str, shape: Shape, censor: Judge | None = None) -> tuple[Record, set[int]]:
    """A trial, and of which versions the sealed records were that a listener saw."""
    seen: set[int] = set()

    def watch(packet: Packet, at: float, number: int) -> bool:
        if kind(packet) == "dtls":
            for record in dtls13.records(packet.payload):
                if isinstance(record, dtls13.Sealed):
                    seen.add(V13)
                elif record.epoch:
                    seen.add(V12)
        return censor is not None and censor.judge(packet, at + START) == Verdict.DROP

    return play(call, Dropping(watch), clienthello=shape), seen


@pytest.mark.parametrize("call", ["webrtc", "meet"])
def test_dtls_1_3_passes_where_pions_hello_does_not(call: str) -> None:
    """The field's observation of 2026: the censor looks for one hello of DTLS 1.2."""
    rules = policy("ru-dtls-pion-2026")
    pion, none = agreed(call, Shape.PION, Censor(rules, 5))
    chromium, versions = agreed(call, Shape.CHROMIUM, Censor(rules, 5))

    assert (died(pion), none) == ((Stage.DTLS, Cause.TIMEOUT), set())
    assert (chromium.outcome, versions) == (Success(), {V13})


@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("shape", [None, Shape.CHROMIUM])
@pytest.mark.parametrize("call", CALLS)
def test_no_single_packet_is_indispensable(call: str, shape: Shape | None, number: int) -> None:
    """Whichever is lost: checks are made again, flights are sent again, sound may lose one."""
    fields: dict[str, Any] = {} if shape is None else {"clienthello": shape}
    record = play(call, Nth(number), **fields)

    assert record.outcome == Success(), number


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops("check", True), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("answer", False), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("dtls", True), (Stage.DTLS, Cause.TIMEOUT)),
        (drops("dtls", False), (Stage.DTLS, Cause.TIMEOUT)),
        (drops("dtls", True, after=1), (Stage.DTLS, Cause.TIMEOUT)),
        (drops("sound", True), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (drops("sound", False), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (drops("sound", True, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
        (drops("sound", False, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
    ],
)
@pytest.mark.parametrize(
    ("call", "level"), [*((c, Level.QUICK) for c in CALLS), ("meet", Level.DEEP)]
)
def test_every_stage_dies_of_what_is_taken_from_it(
    call: str, level: Level, which: Which, end: tuple[Stage, Cause]
) -> None:
    """Checks, answers, flights, sound of either direction; at once or after 25 packets."""
    if call == "meet" and end[0] is Stage.CONNECTIVITY:
        which = beyond_the_binding(which)

    assert died(play(call, Dropping(which), level=level)) == end


def beyond_the_binding(which: Which) -> Which:
    """The same, but for the plain binding that comes first."""
    return lambda packet, at, number: len(packet.payload) > 44 and which(packet, at, number)


def test_meet_dies_at_its_binding_first() -> None:
    """Where all of STUN is taken."""
    assert died(play("meet", Dropping(drops("check", True)))) == (Stage.BINDING, Cause.TIMEOUT)


@pytest.mark.parametrize("way", [True, False])
def test_signalling_that_is_silent_is_its_own_stage(way: bool) -> None:
    """TCP that does not come through."""
    record = play("webrtc", Dropping(drops("signalling", way)))

    assert died(record) == (Stage.SIGNALLING, Cause.TIMEOUT)


def test_nobody_who_listens_for_offers_is_a_refusal() -> None:
    """By TCP itself."""
    handshake = Webrtc()
    target, services = far_end(handshake)
    there = {at: one for at, one in services.items() if at[0] is Transport.UDP}

    record = simulate(handshake.script(target, Random(1)), there)
    assert died(record) == (Stage.SIGNALLING, Cause.REFUSED)


@pytest.mark.parametrize(
    ("call", "end"),
    [
        ("webrtc", (Stage.SIGNALLING, Cause.TIMEOUT)),
        ("meet", (Stage.CONNECTIVITY, Cause.TIMEOUT)),
    ],
)
def test_a_far_half_with_another_secret_is_silent(call: str, end: tuple[Stage, Cause]) -> None:
    """He cannot know that we are his caller."""
    assert died(play(call, secret="another")) == end


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_is_cut_after_22_seconds_is_frozen(call: str) -> None:
    """Nothing at all passes then: checks of consent neither."""
    cut = Dropping(lambda packet, at, number: at >= 22.0)
    record = play(call, cut, level=Level.STANDARD)

    assert died(record) == (Stage.SUSTAIN, Cause.FROZEN)
    (media,) = record.media
    assert media.down.silent_at == pytest.approx(22.0, abs=0.5)


def test_without_consent_nothing_more_is_sent() -> None:
    """RFC 7675 5.1: 30 s without an answer, and the caller falls silent."""
    sent: list[float] = []

    def cut(packet: Packet, at: float, number: int) -> bool:
        if packet.upwards and kind(packet) == "sound":
            sent.append(at)
        return at >= 10.0 and packet.transport is Transport.UDP

    record = play("webrtc", Dropping(cut), level=Level.DEEP)

    assert died(record) == (Stage.SUSTAIN, Cause.FROZEN)
    assert 37.0 < sent[-1] < 41.0


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("seed", range(3))
def test_a_third_lost_downwards_is_lossy_and_only_downwards(call: str, seed: int) -> None:
    """Sound only."""
    dice = Random(seed)
    lossy = drops("sound", False)
    judge = Dropping(lambda packet, at, n: lossy(packet, at, n) and dice.random() < 0.33)
    record = play(call, judge, level=Level.STANDARD)

    assert died(record) == (Stage.MEDIA_DOWN, Cause.LOSSY)
    assert record.media[0].up.lost == 0


def test_sound_that_overtakes_the_last_flight_is_not_lost() -> None:
    """The far end speaks as soon as it has keys; the caller may have them half a second later."""
    lost: list[int] = []

    def last_flight(packet: Packet, at: float, number: int) -> bool:
        if kind(packet) == "dtls" and not packet.upwards and packet.payload[0] == 20 and not lost:
            lost.append(number)
            return True
        return False

    record = play("meet", Dropping(last_flight), level=Level.STANDARD)

    assert lost
    assert record.outcome == Success()
    assert record.media[0].down.lost == 0


# ------------------------------------------------------------------ dialects


def packets(call: str, **fields: Any) -> list[Packet]:
    """All packets of a call."""
    seen: list[Packet] = []

    def watch(packet: Packet, at: float, number: int) -> bool:
        seen.append(packet)
        return False

    play(call, Dropping(watch), **fields)
    return seen


def test_meet_asks_as_it_was_captured() -> None:
    """20 and 32 bytes, 124 and 64, the hello at once, and the nomination behind it."""
    udp = packets("meet", version=4)
    setup = [(one.upwards, kind(one), len(one.payload)) for one in udp[:4]]
    checks = [stun.unpack(one.payload) for one in udp if kind(one) == "check" and one.upwards][1:]

    assert setup == [
        (True, "check", 20),
        (False, "answer", 32),
        (True, "check", 124),
        (False, "answer", 64),
    ]
    assert (udp[4].upwards, kind(udp[4])) == (True, "dtls")
    assert [ice.nominates(one) for one in checks][:2] == [False, True]
    assert all(one.get(ice.ICE_CONTROLLING) for one in checks)


def test_silence_is_asked_every_48_milliseconds_with_ids_of_its_own() -> None:
    """As libwebrtc asks."""
    asked: list[tuple[float, bytes]] = []

    def watch(packet: Packet, at: float, number: int) -> bool:
        if kind(packet) == "check":
            asked.append((at, packet.payload[8:20]))
        return kind(packet) == "check"

    assert died(play("webrtc", Dropping(watch))) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    gaps = [b - a for (a, _), (b, _) in pairwise(asked)]
    assert gaps == pytest.approx([0.048] * len(gaps), abs=1e-4)
    assert len({tid for _, tid in asked}) == len(asked) > 60


# ------------------------------------------------------------------ forgeries


class Spoiled:
    """The far half, of which some datagrams are forged on the way."""

    def __init__(self, inner: Any, spoil: Callable[[bytes], Iterable[bytes]]) -> None:
        self._inner, self._spoil = inner, spoil

    def _all(self, emits: Iterable[Emit]) -> Iterable[Emit]:
        for emit in emits:
            if emit.flow.transport is Transport.TCP:
                yield emit
                continue
            for data in self._spoil(emit.data):
                yield Emit(emit.flow, data)

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return self._all(self._inner.receive(flow, data, now))

    def timer(self) -> float | None:
        due: float | None = self._inner.timer()
        return due

    def tick(self, now: float) -> Iterable[Emit]:
        return self._all(self._inner.tick(now))


def spoiled(call: str, spoil: Callable[[bytes], Iterable[bytes]]) -> Record:
    """A trial with it."""
    handshake = CALLS[call]()
    target, services = far_end(handshake)
    bad = Spoiled(next(iter(services.values())), spoil)
    return simulate(handshake.script(target, Random(5)), dict.fromkeys(services, bad))


def flipped(data: bytes) -> bytes:
    """One bit of the last byte."""
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("call", CALLS)
def test_forgeries_beside_the_true_ones_change_nothing(call: str) -> None:
    """Before each true datagram comes a changed one, a reflection and noise."""

    def noisy(data: bytes) -> Iterable[bytes]:
        noise = (b"", b"\x16\xfe\xfd" + bytes(30), b"\x80\x6f", data)
        # A flight of DTLS has no seal: whoever changes it on the way breaks the handshake.
        return noise if 20 <= data[0] < 64 else (flipped(data), data[::-1], *noise)

    assert spoiled(call, noisy).outcome == Success()


@pytest.mark.parametrize(
    ("first", "end"),
    [
        (range(4), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (range(128, 192), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
    ],
)
@pytest.mark.parametrize("call", ["webrtc", "meet"])
def test_forgeries_in_place_of_the_true_ones_are_silence(
    call: str, first: range, end: tuple[Stage, Cause]
) -> None:
    """A changed seal is no answer, and no sound.  Meet's plain binding has none."""

    def forge(data: bytes) -> Iterable[bytes]:
        return (flipped(data) if data[0] in first and len(data) > 44 else data,)

    record = spoiled(call, forge)
    assert died(record) == end
