"""Discord's voice in virtual time: what it survives, and where it dies of what."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.discord_voice import DiscordVoice, VoiceServer
from circumtest.model import Cause, Failure, Level, Record, Stage, Success
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.wire import discord

SECRET = DiscordVoice().secret
DISCOVERY, ALIVE, SOUND = "discovery", "alive", "sound"


def play(
    judge: Judge | None = None,
    *,
    level: Level = Level.QUICK,
    server: Answerer | None = None,
    version: int = 4,
) -> Record:
    """One trial; `server` is what stands at the service instead."""
    handshake = DiscordVoice(level=level)
    target, services = far_end(handshake, version)
    there = {place: server or answerer for place, answerer in services.items()}
    return simulate(handshake.script(target, Random(5)), there, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


def is_up(packet: Packet) -> bool:
    """Whether a packet leaves the client."""
    return packet.source.host in CLIENT.values()


def kind(data: bytes) -> str:
    """Which of the three packets it is."""
    return {discord.SIZE: DISCOVERY, discord.KEEP_ALIVE_SIZE: ALIVE}.get(len(data), SOUND)


Which = Callable[[Packet, float, int], bool]


@dataclass
class Dropping:
    """Drops the packets that `which` names, by packet, seconds and number of its kind."""

    which: Which
    seen: dict[tuple[bool, str], int] = field(default_factory=dict)

    def judge(self, packet: Packet, now: float) -> Verdict:
        key = (is_up(packet), kind(packet.payload))
        number = self.seen[key] = self.seen.get(key, -1) + 1
        return Verdict.DROP if self.which(packet, now - START, number) else Verdict.PASS


def drops(up: bool, what: str, after: int = 0) -> Which:
    """Names packets of a kind in one direction, from a number on."""
    return lambda packet, at, number: (
        is_up(packet) is up and kind(packet.payload) == what and number >= after
    )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_a_call_that_nobody_hinders_succeeds_at_every_level(version: int, level: Level) -> None:
    """All stages pass and both directions carry everything."""
    record = play(level=level, version=version)

    assert record.outcome == Success()
    assert [stage.stage for stage in record.stages] == list(DiscordVoice.stages)
    assert record.exit is not None
    assert record.exit.host == CLIENT[version]
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert media.up.received == media.seconds * 50


@pytest.mark.parametrize("number", range(30))
def test_no_single_packet_is_indispensable(number: int) -> None:
    """Whichever is lost: requests are made again, media may lose one."""

    @dataclass
    class Nth:
        seen: int = -1

        def judge(self, packet: Packet, now: float) -> Verdict:
            self.seen += 1
            return Verdict.DROP if self.seen == number else Verdict.PASS

    assert play(Nth()).outcome == Success()


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops(True, DISCOVERY), (Stage.BINDING, Cause.TIMEOUT)),
        (drops(False, DISCOVERY), (Stage.BINDING, Cause.TIMEOUT)),
        (drops(True, ALIVE), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops(False, ALIVE), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops(True, SOUND), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (drops(False, SOUND), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (drops(True, SOUND, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
        (drops(False, SOUND, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
    ],
)
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD])
def test_every_stage_dies_of_what_is_taken_from_it(
    which: Which, end: tuple[Stage, Cause], level: Level
) -> None:
    """Requests, answers, media of either direction; at once or after 25 packets."""
    assert died(play(Dropping(which), level=level)) == end


@pytest.mark.parametrize("way", [True, False])
def test_a_third_of_one_directions_sound_lost_is_that_directions_failure(way: bool) -> None:
    """The other one is not blamed."""
    dice = Random(1)

    def which(packet: Packet, at: float, number: int) -> bool:
        return kind(packet.payload) == SOUND and is_up(packet) is way and dice.random() < 0.33

    record = play(Dropping(which), level=Level.STANDARD)
    assert died(record) == (Stage.MEDIA_UP if way else Stage.MEDIA_DOWN, Cause.LOSSY)
    (media,) = record.media
    assert (media.down if way else media.up).lost == 0


def test_a_freeze_after_22_seconds_is_seen_by_a_call_that_lasts_longer() -> None:
    """Everything stops: what still went up then nobody can tell any more."""
    record = play(Dropping(lambda packet, at, number: at > 22), level=Level.STANDARD)

    assert died(record) == (Stage.SUSTAIN, Cause.FROZEN)
    assert record.media[0].down.silent_at == pytest.approx(22, abs=0.2)


def test_keep_alives_count_up_from_one_every_five_seconds() -> None:
    """And all is said from one port."""
    seen: list[tuple[float, int]] = []

    def watch(packet: Packet, at: float, number: int) -> bool:
        if is_up(packet) and kind(packet.payload) == ALIVE:
            seen.append((at, discord.parse_keep_alive(packet.payload)))
        return False

    assert play(Dropping(watch), level=Level.STANDARD).outcome == Success()
    assert [number for _, number in seen] == [1, 2, 3, 4, 5]
    assert [at for at, _ in seen] == pytest.approx([0.02, 5.04, 10.04, 15.04, 20.04], abs=0.05)


def test_silence_is_asked_again_every_second() -> None:
    """The same bytes: the SSRC is the gateway's."""
    asked: list[tuple[float, bytes]] = []

    def watch(packet: Packet, at: float, number: int) -> bool:
        asked.append((round(at, 3), packet.payload))
        return True

    assert died(play(Dropping(watch), level=Level.DEEP)) == (Stage.BINDING, Cause.TIMEOUT)
    assert [at for at, _ in asked] == [float(second) for second in range(10)]
    assert len({data for _, data in asked}) == 1


# ------------------------------------------------------------------ forgeries


class Forger:
    """Stands where the service should and says what a forger could."""

    def __init__(self, forge: Callable[[bytes, Flow], Iterable[bytes]]) -> None:
        self._forge = forge

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return [Emit(flow, answer) for answer in self._forge(data, flow)]

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


@pytest.mark.parametrize(
    "forge",
    [
        lambda data, flow: [data],
        lambda data, flow: [b"", bytes(74), data[::-1]],
        lambda data, flow: [discord.answer(0x01020304, *flow.remote)],
    ],
)
def test_no_forgery_is_an_answer(forge: Callable[[bytes, Flow], Iterable[bytes]]) -> None:
    """Reflections, garbage, somebody else's SSRC."""
    assert died(play(server=Forger(forge))) == (Stage.BINDING, Cause.TIMEOUT)


def test_an_answer_without_an_address_is_malformed() -> None:
    """It is ours by its SSRC, and useless."""
    forger = Forger(lambda data, flow: [discord.answer(int.from_bytes(data[4:8]), "nowhere", 1)])

    assert died(play(server=forger)) == (Stage.BINDING, Cause.MALFORMED)


class Spoiled:
    """A real service of which some packets are changed."""

    def __init__(self, spoil: Callable[[bytes], bytes]) -> None:
        self._server, self._spoil = VoiceServer(SECRET), spoil

    def _all(self, emits: Iterable[Emit]) -> Iterable[Emit]:
        return [Emit(emit.flow, self._spoil(emit.data)) for emit in emits]

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return self._all(self._server.receive(flow, data, now))

    def timer(self) -> float | None:
        return self._server.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._all(self._server.tick(now))


@pytest.mark.parametrize(
    ("what", "end"),
    [
        (ALIVE, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (SOUND, (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
    ],
)
def test_a_packet_with_one_bit_changed_is_as_if_it_had_not_come(
    what: str, end: tuple[Stage, Cause]
) -> None:
    """A keep-alive that was never sent, and sound under no key."""

    def spoil(data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if kind(data) == what else data

    assert died(play(server=Spoiled(spoil))) == end


def test_our_own_sound_reflected_is_no_sound() -> None:
    """Each direction has a key of its own."""

    class Mirror(Spoiled):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            return [Emit(flow, data)] if kind(data) == SOUND else super().receive(flow, data, now)

        def timer(self) -> float | None:
            return None

    assert died(play(server=Mirror(lambda data: data))) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)
