"""The player on a path that is not a network: what it makes of what it is told."""

import asyncio
from dataclasses import dataclass, field

import pytest

from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.model import (
    Address,
    Cause,
    Failure,
    Invalid,
    Record,
    Stage,
    Success,
    Transport,
    TunnelFault,
)
from circumtest.path import Conn, Sink
from circumtest.play import MAX_LAG, lacking, play
from circumtest.script import Script, close, enter, note, now, open_tcp, open_udp, recv, send

REMOTE = Address("203.0.113.10", 3478)


@dataclass
class Loop:
    """A path on which everything sent comes back at once."""

    name: str = "loop"
    transports: frozenset[Transport] = frozenset(Transport)
    exits: frozenset[str] = frozenset()
    mtu: int | None = None
    dns: tuple[str, ...] = ()
    silence: TunnelFault = TunnelFault.NO_DATA
    words: str = ""
    broken: Exception | None = None
    known: TunnelDown | None = None
    closed: list[int] = field(default_factory=list)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        if self.broken is not None:
            raise self.broken
        return LoopConn(self, sink)

    def fault(self) -> TunnelDown | None:
        return self.known


@dataclass
class LoopConn:
    path: Loop
    sink: Sink

    def send(self, data: bytes, remote: Address) -> None:
        self.sink(data, remote)

    def close(self) -> None:
        self.path.closed.append(1)


def asking(seen: str = "192.0.2.2") -> Script[None]:
    """One round trip, and the address that the far end is said to have seen."""
    yield from enter(Stage.BINDING)
    channel = yield from open_udp(REMOTE)
    yield from send(channel, b"x")
    arrival = yield from recv((yield from now()) + 5)
    assert arrival is not None
    assert (arrival.data, arrival.channel, arrival.source) == (b"x", channel, REMOTE)
    yield from note(Address(seen, 4000))
    yield from close(channel)


def failing() -> Script[None]:
    """Nobody answers within an instant."""
    yield from enter(Stage.BINDING)
    yield from open_udp(REMOTE)
    yield from recv((yield from now()) + 0.01)
    raise HandshakeFailed(Cause.TIMEOUT)


def played(script: Script[None], path: Loop) -> Record:
    """Play on a loop of its own."""
    return asyncio.run(play(script, path))


def test_a_script_that_returns_is_a_success_and_leaves_no_channel() -> None:
    """What it opened and did not close is closed for it, too."""
    path = Loop()

    assert played(asking(), path).outcome == Success()
    assert len(path.closed) == 1
    played(failing(), path)
    assert len(path.closed) == 2


def test_a_failed_handshake_is_data() -> None:
    """At the stage that was open."""
    assert played(failing(), Loop()).outcome == Failure(Stage.BINDING, Cause.TIMEOUT)


def test_an_address_that_is_not_the_path_s_proves_a_wrong_exit() -> None:
    """Whatever else succeeded."""
    right, wrong = Loop(exits=frozenset({"192.0.2.2"})), Loop(exits=frozenset({"198.51.100.2"}))

    assert played(asking(), right).outcome == Success()
    outcome = played(asking(), wrong).outcome
    assert isinstance(outcome, Invalid)
    assert outcome.reason == "wrong-exit"


def test_a_failure_on_a_faulty_tunnel_says_nothing_of_the_network() -> None:
    """A success does: the fault is asked for after failures only."""
    path = Loop(known=TunnelDown(TunnelFault.WRONG_SOURCE, "from elsewhere"))

    assert played(failing(), path).outcome == Invalid(
        "tunnel-down", TunnelFault.WRONG_SOURCE, "from elsewhere"
    )
    assert played(asking(), path).outcome == Success()


def test_a_tunnel_that_is_down_makes_the_trial_invalid() -> None:
    """It is no failure of the handshake."""
    path = Loop(broken=TunnelDown(TunnelFault.NO_UDP, "refused"))

    assert played(asking(), path).outcome == Invalid("tunnel-down", TunnelFault.NO_UDP, "refused")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionRefusedError(111, "refused"), Cause.REFUSED),
        (OSError(101, "unreachable"), Cause.NETWORK_UNREACHABLE),
        (TimeoutError(), Cause.TIMEOUT),
    ],
    ids=repr,
)
def test_what_the_network_says_to_a_connection_is_a_cause(error: OSError, cause: Cause) -> None:
    """In OONI's words."""

    def connecting() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        yield from open_tcp(REMOTE, 1.0)

    outcome = played(connecting(), Loop(broken=error)).outcome

    assert outcome == Failure(Stage.SIGNALLING, cause, f"tcp {REMOTE}")


def test_a_player_that_was_late_does_not_blame_the_network() -> None:
    """A failure beside a long delay of our own is INVALID."""

    def late() -> Script[None]:
        yield from enter(Stage.BINDING)
        until = (yield from now()) - MAX_LAG - 1
        yield from recv(until)
        raise HandshakeFailed(Cause.TIMEOUT)

    outcome = played(late(), Loop()).outcome

    assert isinstance(outcome, Invalid)
    assert outcome.reason == "overloaded"


def test_a_bug_in_a_script_goes_up() -> None:
    """It must never read as blocked."""

    def wrong() -> Script[None]:
        yield from enter(Stage.BINDING)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        played(wrong(), Loop())


def waiting_twice() -> Script[None]:
    """Waits for what never comes, each time for less long than the time before."""
    yield from enter(Stage.BINDING)
    channel = yield from open_udp(REMOTE)
    start = yield from now()
    yield from send(channel, b"x")
    assert (yield from recv(start + 60)) is not None
    assert (yield from recv(start + 0.02)) is None
    assert (yield from recv(start + 0.03)) is None


def test_a_shorter_wait_after_a_longer_one_is_kept() -> None:
    """The timer of a wait that ended early is used again, and not trusted blindly."""
    assert played(waiting_twice(), Loop()).outcome == Success()


def test_a_play_that_is_cancelled_closes_what_it_opened_and_hears_no_more() -> None:
    """What arrives afterwards drives nothing."""
    sinks: list[Sink] = []
    opening = asyncio.Event()

    class Watched(Loop):
        async def open(
            self, transport: Transport, remote: Address, sink: Sink, timeout: float
        ) -> Conn:
            sinks.append(sink)
            opening.set()
            return await super().open(transport, remote, sink, timeout)

    path = Watched()

    def endless() -> Script[None]:
        yield from enter(Stage.BINDING)
        yield from open_udp(REMOTE)
        yield from recv((yield from now()) + 60)
        raise AssertionError("driven on")

    async def cancelled() -> None:
        task = asyncio.create_task(play(endless(), path))
        await opening.wait()
        await asyncio.sleep(0)
        task.cancel()
        sinks[0](b"at the same moment", REMOTE)
        with pytest.raises(asyncio.CancelledError):
            await task
        sinks[0](b"afterwards", REMOTE)

    asyncio.run(cancelled())
    assert len(path.closed) == 1


def test_what_a_script_raises_by_mistake_goes_up() -> None:
    """Also when it does so in the middle of an arrival."""

    def broken() -> Script[None]:
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(REMOTE)
        yield from send(channel, b"x")
        yield from recv((yield from now()) + 5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        played(broken(), Loop())


def test_what_a_path_does_not_carry_is_said_in_words() -> None:
    """The first of what is needed that is missing; nothing where nothing is."""
    streams = Loop(name="proxy", transports=frozenset({Transport.TCP}))

    assert lacking(streams, (Transport.TCP, Transport.UDP)) == "proxy does not carry udp"
    assert lacking(streams, (Transport.TCP,)) == ""
    assert lacking(streams, ()) == ""
