"""Answerers at the lab's services, asked from the client through the censor's place."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import pytest

from circumtest.lab.topology import CLIENT, Lab, lab
from circumtest.model import Address, Cause, Failure, Role, Stage, Success, Transport
from circumtest.play import play
from circumtest.script import (
    Emit,
    Flow,
    Listen,
    Script,
    enter,
    note,
    now,
    open_tcp,
    open_udp,
    recv,
    send,
)


class Parrot:
    """Says everything back, and "tick" to the last one 50 ms later; "bye" ends a stream."""

    def __init__(self) -> None:
        self.heard: list[tuple[Flow, bytes]] = []
        self._due: float | None = None

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        """Repeat."""
        self.heard.append((flow, data))
        if data:
            self._due = now + 0.05
            yield Emit(flow, data, close=data == b"bye")

    def timer(self) -> float | None:
        """The next tick."""
        return self._due

    def tick(self, now: float) -> Iterable[Emit]:
        """Once."""
        assert self._due is not None
        assert now >= self._due - 0.001
        self._due = None
        yield Emit(self.heard[-1][0], b"tick")


@dataclass(frozen=True)
class Chat:
    """Words to a parrot at every address, and back."""

    parrot: Parrot
    transport: Transport
    words: Sequence[bytes] = (b"one", b"two")
    stages: ClassVar[tuple[Stage, ...]] = (Stage.CONNECTIVITY,)
    role: ClassVar[Role] = Role.CONTROL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = ""
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()
    opening: int = 3

    @property
    def listen(self) -> Listen:
        """Two hosts."""
        return Listen(self.transport, 7, hosts=2)

    def answerer(self) -> Parrot:
        """The one that the test looks at."""
        return self.parrot

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Say each word to each host, and wait for it."""
        yield from enter(Stage.CONNECTIVITY)
        for remote in target:
            udp = self.transport is Transport.UDP
            opened = open_udp(remote) if udp else open_tcp(remote, 2.0)
            channel = yield from opened
            for word in self.words:
                yield from send(channel, word)
                arrival = yield from recv((yield from now()) + 2)
                assert arrival is not None
                assert (arrival.channel, arrival.data, arrival.source) == (channel, word, remote)


def in_lab(*handshakes: Chat, version: int) -> list[object]:
    """The outcomes of playing them outside."""

    async def main() -> list[object]:
        outcomes: list[object] = []
        async with lab() as here:
            for number, handshake in enumerate(handshakes):
                target = await here.serve(handshake, f"chat {number}", version)
                record = await play(handshake.script(target, Random(1)), here.outside)
                outcomes.append(record.outcome)
        return outcomes

    return asyncio.run(main())


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("version", [4, 6])
def test_an_answerer_hears_the_client_and_is_heard(transport: Transport, version: int) -> None:
    """Both families, both transports, every address; it sees the client's own address."""
    chat = Chat(Parrot(), transport)

    assert in_lab(chat, version=version) == [Success()]
    assert {flow.remote.host for flow, _ in chat.parrot.heard} == {CLIENT[version]}
    assert len({flow.local for flow, _ in chat.parrot.heard}) == 2


def test_services_have_addresses_of_their_own() -> None:
    """What is served twice is served at two places, in both families."""

    async def main() -> list[Address]:
        async with lab() as here:
            for version in (4, 6, 4):
                await here.serve(Chat(Parrot(), Transport.UDP), f"chat {len(here.served)}", version)
            return [address for target in here.served.values() for address in target]

    addresses = asyncio.run(main())
    assert len(set(addresses)) == 6
    assert {address.port for address in addresses} == {7}


def test_an_answerer_ticks_when_it_wants_to() -> None:
    """Its timer is asked after every arrival, and kept."""

    def listener(remote: Address) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_udp(remote)
        yield from send(channel, b"go")
        begun = yield from now()
        first = yield from recv(begun + 2)
        second = yield from recv(begun + 2)
        assert [arrival and arrival.data for arrival in (first, second)] == [b"go", b"tick"]
        assert 0.04 <= (yield from now()) - begun < 1

    async def main() -> None:
        async with lab() as here:
            target = await here.serve(Chat(Parrot(), Transport.UDP), "chat")
            assert (await play(listener(target[0]), here.outside)).outcome == Success()

    asyncio.run(main())


def test_an_answerer_with_several_places_answers_from_each() -> None:
    """Datagrams and a stream at one port, datagrams at another."""

    class Pointing(Parrot):
        """Answers a datagram from its other port."""

        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            if flow.transport is Transport.UDP:
                other = flow.local._replace(port={5060: 40000, 40000: 5060}[flow.local.port])
                flow = Flow(flow.transport, other, flow.remote)
            yield Emit(flow, data)

    def script(target: Sequence[Address]) -> Script[None]:
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(target[0])
        for port, other in ((5060, 40000), (40000, 5060)):
            yield from send(channel, b"x", target[0]._replace(port=port))
            arrival = yield from recv((yield from now()) + 3.0)
            assert arrival is not None
            assert arrival.source.port == other
        stream = yield from open_tcp(target[0], 3.0)
        yield from send(stream, b"y")
        arrival = yield from recv((yield from now()) + 3.0)
        assert arrival is not None
        assert arrival.data == b"y"

    async def scene() -> None:
        async with asyncio.timeout(10), lab() as town:
            chat = Chat(Parrot(), Transport.UDP)
            (place,) = (await town.place(chat, "several"))[:1]
            pointing, at = Pointing(), place._replace(port=5060)
            town.answer(Transport.UDP, [at], pointing)
            town.answer(Transport.UDP, [at._replace(port=40000)], pointing)
            town.answer(Transport.TCP, [at], pointing)
            assert (await play(script([at]), town.outside)).outcome == Success()

    asyncio.run(scene())


def test_a_stream_is_ended_by_its_answerer() -> None:
    """After `close` the client reads the last words, then the end."""

    def caller(remote: Address) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_tcp(remote, 2)
        yield from send(channel, b"bye")
        until = (yield from now()) + 2
        for wanted in (b"bye", Cause.EOF):
            arrival = yield from recv(until)
            assert arrival is not None
            assert arrival.data == wanted

    async def main() -> None:
        async with lab() as here:
            target = await here.serve(Chat(Parrot(), Transport.TCP), "chat")
            assert (await play(caller(target[0]), here.outside)).outcome == Success()

    asyncio.run(main())


def test_an_answerer_hears_the_end_of_a_stream() -> None:
    """It gets b"" once, for a stream that the caller closed."""
    chat = Chat(Parrot(), Transport.TCP)

    async def main() -> None:
        async with lab() as here:
            target = await here.serve(chat, "chat")
            await play(chat.script(target[:1], Random(1)), here.outside)
            async with asyncio.timeout(2):
                while chat.parrot.heard[-1][1]:  # noqa: ASYNC110  # heard on this very loop
                    await asyncio.sleep(0.01)
        assert [data for _, data in chat.parrot.heard] == [b"one", b"two", b""]

    asyncio.run(main())


@pytest.mark.parametrize("version", [4, 6])
def test_a_closed_port_refuses_by_name(version: int) -> None:
    """ICMP from the services, across the censor's place, names the remote that refused."""

    def knock(served: Address) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        closed = Address(served.host, 9)
        channel = yield from open_udp(served)
        # More often than a host's usual limit on errors would let through.
        for _ in range(20):
            yield from send(channel, b"anyone", closed)
            arrival = yield from recv((yield from now()) + 2)
            assert arrival is not None
            assert (arrival.data, arrival.source) == (Cause.REFUSED, closed)
        yield from note(served)
        yield from open_tcp(closed, 2)

    async def main() -> None:
        async with lab() as here:
            target = await here.serve(Chat(Parrot(), Transport.UDP), "chat", version)
            path = here.outside
            record = await play(knock(target[0]), type(path)(path.netns, "any", frozenset()))
            assert isinstance(record.outcome, Failure)
            assert record.outcome.cause is Cause.REFUSED

    asyncio.run(main())


def test_the_lab_leads_nowhere_else() -> None:
    """An address that is nobody's is unreachable, and says so, instead of leaving."""

    def astray() -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        nobody = Address("100.64.0.1", 9)
        channel = yield from open_udp(nobody)
        yield from send(channel, b"anyone")
        arrival = yield from recv((yield from now()) + 2)
        assert arrival is not None
        assert (arrival.data, arrival.source) == (Cause.NETWORK_UNREACHABLE, nobody)

    async def main(here: Lab) -> None:
        assert (await play(astray(), here.outside)).outcome == Success()

    async def enter_lab() -> None:
        async with lab() as here:
            await main(here)

    asyncio.run(enter_lab())


def test_what_waits_at_a_shared_socket_is_heard_in_one_turn() -> None:
    """On a busy loop callers would otherwise wait for each other, a packet a turn."""
    many = 20
    parrot = Parrot()

    async def scene() -> list[bytes]:
        async with lab() as it:
            (at, _) = await it.serve(Chat(parrot, Transport.UDP), "parrot")
            with it.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for number in range(many):
                    sock.sendto(b"%d" % number, at)
                for _ in range(100):
                    await asyncio.sleep(0)
                    if parrot.heard:
                        break
                return [data for _, data in parrot.heard]

    assert asyncio.run(scene()) == [b"%d" % number for number in range(many)]
