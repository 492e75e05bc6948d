"""Recorded calls in virtual time: both halves play, each stage dies of what is taken from it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.recorded import Recorded
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.recording.capture import open_capture
from circumtest.recording.flows import flows
from circumtest.recording.make import Wish, make
from circumtest.recording.session import Variant
from circumtest.recording.text import dumps
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.wire import stun

DATA = Path(__file__).parents[1] / "data"
CAPTURES = sorted(file.stem for file in DATA.glob("*.pcap"))
CALL = Recorded()
"""The shipped one: ICE, DTLS, two seconds of sound."""
TURN = Recorded("turn")


def imported(name: str, flow: int = 1, *, unknown: bool = False) -> str:
    """The text of one flow of a capture."""
    read = open_capture(DATA / f"{name}.pcap")
    wish = Wish(opaque=True, unknown=unknown)
    found = flows(read.packets, read.left_out)[flow - 1]
    return dumps(make(found, wish, name).recording)


def play(
    handshake: Recorded = CALL,
    judge: Judge | None = None,
    *,
    version: int = 4,
    server: Answerer | None = None,
    seed: int = 3,
) -> Record:
    """One trial; `server` stands where the far half would."""
    target, services = far_end(handshake, version)
    if server is not None:
        services = dict.fromkeys(services, server)
    return simulate(handshake.script(target, Random(seed)), services, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


@dataclass
class Dropping:
    """Drops what `which` names: whether it goes up, its number that way from 0, the packet."""

    which: Callable[[bool, int, Packet], bool]
    seen: dict[bool, int] = field(default_factory=dict)

    def judge(self, packet: Packet, now: float) -> Verdict:
        up = packet.source.host in CLIENT.values()
        number = self.seen[up] = self.seen.get(up, -1) + 1
        return Verdict.DROP if self.which(up, number, packet) else Verdict.PASS


def is_sound(packet: Packet) -> bool:
    """RTP and RTCP."""
    return packet.payload[0] >> 6 == 2


# ------------------------------------------------------------------ both halves


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("variant", list(Variant))
@pytest.mark.parametrize("name", CAPTURES)
def test_every_capture_plays_both_halves(name: str, variant: Variant, version: int) -> None:
    """As it was recorded, and as each control."""
    handshake = Recorded(text=imported(name), variant=variant)

    assert play(handshake, version=version).outcome == Success()


@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_sound_lasts_as_long_as_the_level_wants(level: Level) -> None:
    """Longer than what was recorded: it begins anew, with growing numbers, and nothing is lost."""
    begun = time.perf_counter()
    record = play(Recorded(level=level))

    assert time.perf_counter() - begun < 10
    assert record.outcome == Success()
    assert [one.stage for one in record.stages] == list(Recorded.stages)
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert media.up.received == media.up.sent == round(media.seconds * media.rate)
    assert media.up.rtt == pytest.approx(0.02, abs=0.001)


def test_the_address_that_is_told_is_the_callers() -> None:
    """Where the recording has room for it: over IPv4, this one was recorded over IPv4."""
    there, none = play(TURN).exit, play(TURN, version=6).exit

    assert there is not None
    assert there.host == CLIENT[4]
    assert none is None


def test_a_control_says_nothing_of_the_protocol() -> None:
    """No packet of it begins as the recorded one does."""
    for variant in (Variant.RANDOM, Variant.INVERTED):
        said: list[bytes] = []

        def note(up: bool, number: int, packet: Packet, said: list[bytes] = said) -> bool:
            said.append(packet.payload)
            return False

        assert play(replace(CALL, variant=variant), Dropping(note)).outcome == Success()
        assert not any(one[4:8] == stun.COOKIE.to_bytes(4) for one in said)


def test_two_plays_have_no_packet_in_common() -> None:
    """But what is the same in everybody's call is the same in both."""
    seen: list[set[bytes]] = []
    for seed in (1, 2):
        said: set[bytes] = set()

        def note(up: bool, number: int, packet: Packet, said: set[bytes] = said) -> bool:
            said.add(packet.payload)
            return False

        assert play(CALL, Dropping(note), seed=seed).outcome == Success()
        seen.append(said)

    assert not seen[0] & seen[1]
    assert {one[:4] for one in seen[0] if len(one) > 100} == {
        one[:4] for one in seen[1] if len(one) > 100
    }


# ------------------------------------------------------------------ what is lost


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("up", [True, False])
def test_no_single_packet_of_a_set_up_is_indispensable(up: bool, number: int) -> None:
    """A turn that is not answered is played again."""
    judge = Dropping(lambda way, at, _: way is up and at == number)

    assert play(CALL, judge).outcome == Success()


def test_a_turn_is_repeated_with_growing_patience_until_the_stage_is_over() -> None:
    """0, 0.5, 1.5 s, and at the longer levels on."""
    for level, expected in ((Level.QUICK, 3), (Level.STANDARD, 5)):
        times: list[float] = []

        class Clock:
            def judge(self, packet: Packet, now: float, times: list[float] = times) -> Verdict:
                times.append(now - START)
                return Verdict.DROP

        assert died(play(Recorded("turn", level=level), Clock())) == (
            Stage.CONNECTIVITY,
            Cause.TIMEOUT,
        )
        assert len(times) == expected
        gaps = [b - a for a, b in pairwise(times)]
        assert all(later >= 1.5 * sooner for sooner, later in pairwise(gaps))


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (lambda up, n, p: up, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (lambda up, n, p: not up, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (lambda up, n, p: not up and p.payload[0] == 22, (Stage.SIGNALLING, Cause.TIMEOUT)),
        (lambda up, n, p: up and p.payload[0] == 22, (Stage.SIGNALLING, Cause.TIMEOUT)),
        (lambda up, n, p: up and is_sound(p), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (lambda up, n, p: not up and is_sound(p), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (lambda up, n, p: up and is_sound(p) and n % 2, (Stage.MEDIA_UP, Cause.LOSSY)),
        (lambda up, n, p: not up and is_sound(p) and n % 2, (Stage.MEDIA_DOWN, Cause.LOSSY)),
        (lambda up, n, p: up and n > 30, (Stage.SUSTAIN, Cause.FROZEN)),
        (lambda up, n, p: not up and n > 30, (Stage.SUSTAIN, Cause.FROZEN)),
    ],
)
def test_every_stage_dies_of_what_is_taken_from_it(
    which: Callable[[bool, int, Packet], bool], end: tuple[Stage, Cause]
) -> None:
    """Requests, answers, the handshake, sound of either direction, at once or later."""
    assert died(play(CALL, Dropping(which))) == end


def test_a_freeze_after_22_seconds_is_seen_by_the_longer_levels() -> None:
    """A quick call is over by then."""

    class Freeze:
        def judge(self, packet: Packet, now: float) -> Verdict:
            return Verdict.DROP if now - START > 22 else Verdict.PASS

    assert play(CALL, Freeze()).outcome == Success()
    assert died(play(Recorded(level=Level.STANDARD), Freeze())) == (Stage.SUSTAIN, Cause.FROZEN)


def test_a_stream_that_stalls_is_a_timeout_at_its_stage() -> None:
    """Of Telegram's call over TCP, whatever comes down behind the first answer is lost."""
    handshake = Recorded(text=imported("tg_reflector_tcp_call"))
    spoken = Dropping(lambda up, n, p: not up and len(p.payload) > 300)

    assert died(play(handshake, spoken)) == (Stage.SIGNALLING, Cause.TIMEOUT)


def test_where_nothing_came_back_one_answer_is_made_up() -> None:
    """So that a play shows whether the frames got through."""
    handshake = Recorded(text=imported("tg_reflector_598_noreply"))
    last = handshake.recording.frames[-1]

    assert last.made
    assert not last.client
    assert play(handshake).outcome == Success()
    assert died(play(handshake, Dropping(lambda up, n, p: up))) == (
        Stage.CONNECTIVITY,
        Cause.TIMEOUT,
    )


# ------------------------------------------------------------------ forgeries


@dataclass
class Forger:
    """Answers every packet with what `forge` makes of it."""

    forge: Callable[[bytes], Iterable[bytes]]

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return [Emit(flow, answer) for answer in self.forge(data)]

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def far(secret: str) -> Answerer:
    """The far half of the same recording, under another secret."""
    return replace(CALL, secret=secret).answerer()


@pytest.mark.parametrize(
    "forge",
    [
        lambda data: (),
        lambda data: (data,),
        lambda data: (bytes(64), b"", b"\xff" * 64, data[:1]),
        lambda data: (b"\x01\x01\x00\x00" + data[4:8] + bytes(12),),
    ],
)
def test_no_forgery_is_an_answer(forge: Callable[[bytes], Iterable[bytes]]) -> None:
    """Nothing, an echo, garbage, an answer to somebody else."""
    assert died(play(CALL, server=Forger(forge))) == (Stage.CONNECTIVITY, Cause.TIMEOUT)


def test_an_answer_to_us_that_was_not_recorded_is_malformed() -> None:
    """It has our transaction, and is another answer: a server that plays no recordings."""
    answering = Forger(lambda data: (b"\x01\x01\x00\x00" + data[4:20],))

    assert died(play(CALL, server=answering)) == (Stage.CONNECTIVITY, Cause.MALFORMED)


def test_a_stream_that_says_something_else_is_malformed() -> None:
    """One wrong byte is enough."""
    handshake = Recorded(text=imported("wa_noise_xx_443"))
    _, services = far_end(handshake)
    (honest,) = services.values()

    class Wrong(Forger):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            return self._turned(honest.receive(flow, data, now))

        def timer(self) -> float | None:
            return honest.timer()

        def tick(self, now: float) -> Iterable[Emit]:
            return self._turned(honest.tick(now))

        def _turned(self, emits: Iterable[Emit]) -> list[Emit]:
            return [structs.replace(e, data=e.data[:-1] + bytes([e.data[-1] ^ 1])) for e in emits]

    wrong = Wrong(lambda data: ())
    assert died(play(handshake, server=wrong)) == (Stage.CONNECTIVITY, Cause.MALFORMED)


def test_another_secret_another_recording_or_variant_is_not_answered() -> None:
    """The far half knows its own only."""
    for server in (
        far("another"),
        TURN.answerer(),
        replace(CALL, variant=Variant.INVERTED).answerer(),
    ):
        assert died(play(CALL, server=server)) == (Stage.CONNECTIVITY, Cause.TIMEOUT)


def test_a_first_frame_that_was_overheard_is_worth_nothing_to_others() -> None:
    """It is answered to the address that used it first, as often as it asks."""
    target, services = far_end(TURN)
    (server,) = services.values()
    heard: list[bytes] = []

    def note(up: bool, number: int, packet: Packet) -> bool:
        heard.append(packet.payload)
        return True

    simulate(TURN.script(target, Random(3)), services, Dropping(note))
    mine = Flow(Transport.UDP, target[0], Address("192.0.2.2", 40001))
    theirs = Flow(Transport.UDP, target[0], Address("192.0.2.99", 40001))

    def answers(flow: Flow, now: float) -> int:
        return len([*server.receive(flow, heard[0], now), *server.tick(now + 0.1)])

    assert answers(mine, 100.0) == 1
    assert answers(theirs, 101.0) == 0
    assert answers(mine, 102.0) == 1


def test_answers_that_are_asked_for_again_and_again_end() -> None:
    """A turn is repeated eight times at most, and not more often than every 0.2 s."""
    target, services = far_end(TURN)
    (server,) = services.values()
    heard: list[bytes] = []

    def note(up: bool, number: int, packet: Packet) -> bool:
        heard.append(packet.payload)
        return True

    simulate(TURN.script(target, Random(3)), services, Dropping(note))
    flow = Flow(Transport.UDP, target[0], Address("192.0.2.2", 40001))
    emits = 0
    for step in range(400):
        now = 100 + step / 10
        emits += len([*server.receive(flow, heard[0], now), *server.tick(now)])

    assert emits == 9
