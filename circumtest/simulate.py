"""The simulator: the same trial in virtual time, without a network.

One client, one censor in the middle, one answerer a service; 40 s of retransmission cost
milliseconds.  UDP datagrams the censor drops are gone; TCP segments are retransmitted after 0.2 s,
doubling, as Linux does.  The links before and behind the censor are what the policy's network makes
of them (`circumtest.impair`).  It refuses to model anything that no policy needs: windows,
congestion, bare acknowledgements.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

from circumtest.answer import Mux
from circumtest.censor.packet import Answer, Judge, Packet, Resets, Unreachable, Verdict
from circumtest.censor.policy import Conditions, Way
from circumtest.errors import HandshakeFailed
from circumtest.impair import DIRECT, Network
from circumtest.model import Address, Cause, Outcome, Record, Transport
from circumtest.observe import Observations
from circumtest.script import (
    Answerer,
    Arrival,
    Channel,
    Close,
    Command,
    Emit,
    Enter,
    Flow,
    Handshake,
    Note,
    Now,
    Open,
    Recv,
    Relayed,
    Script,
    Send,
)
from circumtest.stream import Load, Pipe

START = 1_764_000_000.0
"""The virtual clock starts here (seconds since the Unix epoch): any fixed instant would do."""
CLIENT = {4: "192.0.2.2", 6: "2001:db8:2::2"}

Services = Mapping[tuple[Transport, Address], Answerer]


class Everything:
    """A judge that passes everything: no censor."""

    def judge(self, packet: Packet, now: float) -> Verdict:  # noqa: ARG002
        return Verdict.PASS


def simulate(
    script: Script[None],
    services: Services,
    judge: Judge | None = None,
    *,
    delay: float = 0.01,
    network: Sequence[Conditions] = (),
    seed: int = 0,
) -> Record:
    """Play `script` against `services` through `judge`, `delay` seconds each way.

    `network` is what the links are like besides, its chance from `seed`; a packet that is lost
    before the censor is not seen by it.  Returns the Record that `play` would, with `lag` 0.
    Deterministic: the same arguments give the same Record.  Raises ValueError for conditions that
    `circumtest.impair.by_link` refuses.
    """
    world = _World(services, judge or Everything(), delay, Network(network, seed))
    outcome = world.run(script)
    script.close()
    return world.seen.close(outcome, world.now)


class _World:
    """The event queue, the network and the player in one: everything advances by `_step`."""

    def __init__(self, services: Services, judge: Judge, delay: float, network: Network) -> None:
        self.now = START
        self._network = network
        self.seen = Observations(START)
        self._services, self._judge, self._delay = services, judge, delay
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._ticks: dict[int, float] = {}
        self._order = count()
        self._ids = count(1)
        self._inbox: deque[Arrival] = deque()
        self._local: dict[int, Address] = {}
        self._pipes: dict[Flow, tuple[Pipe, Pipe]] = {}
        self._channels: dict[tuple[Transport, Address], Channel] = {}
        self._opening: dict[Flow, list[Channel | Cause]] = {}

    def run(self, script: Script[None]) -> Outcome:
        try:
            command = next(script)
            while True:
                command = script.send(self._perform(command))
        except StopIteration:
            return self.seen.pass_(self.now)
        except HandshakeFailed as error:
            return self.seen.fail(error, self.now)

    # -------------------------------------------------------------- commands

    def _perform(self, command: Command) -> object:
        match command:
            case Recv(until):
                self._run_until(until, lambda: bool(self._inbox))
                return self._inbox.popleft() if self._inbox else None
            case Send(channel, data, remote):
                self._send(channel, data, remote)
            case Now():
                return self.now
            case Open():
                return self._open(command)
            case Enter(stage):
                self.seen.enter(stage, self.now)
            case Note(what):
                self.seen.note(what)
            case Close(channel):
                self._close(channel)
        return None

    def _open(self, command: Open) -> Channel | Cause:
        number = next(self._ids)
        channel = Channel(number, command.transport, command.remote)
        local = Address(CLIENT[command.remote.version], 40000 + number)
        self._local[number] = local
        self._channels[command.transport, local] = channel
        if command.transport is Transport.UDP:
            return channel
        flow = Flow(Transport.TCP, command.remote, local)
        answer: list[Channel | Cause] = []
        there = Pipe(self, flow, self._deliver, upwards=True)
        back = Pipe(self, flow, self._arrive, upwards=False)
        listening = (Transport.TCP, command.remote) in self._services

        def established(_flow: Flow, _data: bytes) -> None:
            back = self._delay + self._network.delay
            self.after(back, lambda: answer.append(channel if listening else Cause.REFUSED))

        self._opening[flow] = answer
        Pipe(self, flow, established, upwards=True).push(b"")
        self._run_until(command.until, lambda: bool(answer))
        del self._opening[flow]
        if answer and answer[0] is channel:
            self._pipes[flow] = (there, back)
        return answer[0] if answer else Cause.TIMEOUT

    def _send(self, channel: Channel, data: bytes, remote: Address) -> None:
        local = self._local[channel.id]
        flow = Flow(channel.transport, remote, local)
        if channel.transport is Transport.TCP:
            if pipes := self._pipes.get(flow):
                pipes[0].push(data)
        else:
            self.carry(Load(flow, Way.UP, data), lambda: self._deliver(flow, data))

    def _close(self, channel: Channel) -> None:
        local = self._local[channel.id]
        flow = Flow(channel.transport, channel.remote, local)
        self._channels.pop((channel.transport, local), None)
        if pipes := self._pipes.pop(flow, None):
            pipes[0].push(b"", last=True)

    # -------------------------------------------------------------- the network

    def carry(
        self, load: Load, arrived: Callable[[], None], lost: Callable[[], None] | None = None
    ) -> None:
        """Take a packet to its end, over the links and past the censor; one of the two is called.

        At once where nothing takes time, otherwise when it is decided.
        """
        before, behind = (DIRECT, DIRECT[::-1])[load.way is Way.DOWN]
        gone = lost or _nobody_knows

        def seen() -> None:
            verdict = self._judged(load)
            if verdict.passes:
                _later(self, verdict.delay, onward)
            else:
                gone()

        def onward() -> None:
            self._cross(behind, load, lambda: self.after(self._delay, arrived), gone)

        self._cross(before, load, seen, gone)

    def _cross(
        self, link: str, load: Load, arrived: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        at = self._network.leaves(link, load.way, load.packet.size, self.now)
        if at is None:
            lost()
        else:
            _later(self, at - self.now, arrived)

    def _judged(self, load: Load) -> Verdict:
        """Ask the censor about one packet, and have what it forges arrive."""
        flow, upwards = load.flow, load.way is Way.UP
        verdict = self._judge.judge(load.packet, self.now)
        match verdict.forged:
            case Resets():
                self._forged(flow, lambda: self._reset(flow))
            case Unreachable(admin) if upwards:
                cause = Cause.HOST_UNREACHABLE if admin else Cause.REFUSED
                self._forged(flow, lambda: self._refused(flow, cause))
            case Answer(payload) if upwards:
                self._forged(flow, lambda: self._arrive(flow, payload), payload)
        return verdict

    def _forged(self, flow: Flow, arrived: Callable[[], None], payload: bytes = b"") -> None:
        """What the censor sends to the client takes the client's link, too."""
        load = Load(flow, Way.DOWN, payload)
        self._cross(DIRECT[0], load, lambda: self.after(self._delay, arrived), _nobody_knows)

    def _reset(self, flow: Flow) -> None:
        """Both ends of a stream are told that it is over; one that is being opened is refused."""
        if (answer := self._opening.get(flow)) is not None:
            answer.append(Cause.REFUSED)
        elif pipes := self._pipes.pop(flow, None):
            for pipe in pipes:
                pipe.cut()
            self._arrive(flow, Cause.RESET)
            self._deliver(flow, b"")

    def _refused(self, flow: Flow, cause: Cause) -> None:
        """An ICMP error has come to the client; an open stream takes no notice (RFC 1122)."""
        if (answer := self._opening.get(flow)) is not None:
            answer.append(cause)
        elif flow.transport is Transport.UDP:
            self._arrive(flow, cause)

    def _deliver(self, flow: Flow, data: bytes) -> None:
        answerer = self._services.get((flow.transport, flow.local))
        if answerer is not None:
            self._emit(answerer.receive(flow, data, self.now))
            self._arm(answerer)

    def _arm(self, answerer: Answerer) -> None:
        """Call `tick` when the answerer wants it; an older wish for a later time is forgotten."""
        due = answerer.timer()
        if due is None or self._ticks.get(id(answerer)) == due:
            return
        self._ticks[id(answerer)] = due

        def tick() -> None:
            if self._ticks.get(id(answerer)) == due:
                del self._ticks[id(answerer)]
                self._emit(answerer.tick(self.now))
                self._arm(answerer)

        self.after(max(due - self.now, 0.0), tick)

    def _emit(self, emits: Iterable[Emit]) -> None:
        for emit in emits:
            flow, data = emit.flow, emit.data
            if flow.transport is Transport.TCP:
                if pipes := self._pipes.get(flow):
                    if data:
                        pipes[1].push(data)
                    if emit.close:
                        pipes[1].push(b"", last=True)
            else:
                self.carry(Load(flow, Way.DOWN, data), self._arrival(flow, data))

    def _arrival(self, flow: Flow, data: bytes) -> Callable[[], None]:
        return lambda: self._arrive(flow, data)

    def _arrive(self, flow: Flow, data: bytes | Cause) -> None:
        channel = self._channels.get((flow.transport, flow.remote))
        if channel is not None:
            ended = flow.transport is Transport.TCP and not data
            self._inbox.append(Arrival(channel, Cause.EOF if ended else data, flow.local, self.now))

    @property
    def mtu(self) -> int:
        return self._network.mtu

    @property
    def trip(self) -> float:
        return 2 * self._network.delay

    @property
    def back(self) -> float:
        return self._delay + self._network.delay

    @property
    def lossy(self) -> bool:
        return self._network.lossy

    # -------------------------------------------------------------- time

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), call))

    def _run_until(self, until: float, done: Callable[[], bool]) -> None:
        while not done() and self._events and self._events[0][0] <= until:
            self.now, _, call = heapq.heappop(self._events)
            call()
        if not done():
            self.now = max(self.now, until)


def _later(world: _World, seconds: float, call: Callable[[], None]) -> None:
    """Call after some seconds; at once, not as an event, after none."""
    if seconds:
        world.after(seconds, call)
    else:
        call()


def _nobody_knows() -> None:
    """A datagram that is lost is nobody's business."""


def far_end(
    handshake: Handshake, version: int = 4, *, beside: Iterable[Answerer] = ()
) -> tuple[tuple[Address, ...], dict[tuple[Transport, Address], Answerer]]:
    """The addresses of a handshake's service and its answerer there, for `simulate`.

    `beside` are answerers that listen at the same place, such as the neutral control's.
    """
    listen = handshake.listen
    prefix = {4: "203.0.113.", 6: "2001:db8:113::"}[version]
    target = [Address(f"{prefix}{10 + i}", listen.port) for i in range(listen.hosts)]
    answerer = Mux([handshake.answerer(), *beside])
    services: dict[tuple[Transport, Address], Answerer] = {
        (place.transport, Address(address.host, place.port)): answerer
        for address in target
        for place in (listen, *handshake.also)
    }
    if isinstance(handshake, Relayed):
        place = handshake.callee_listen
        target.append(Address(f"{prefix}{10 + len(target)}", place.port))
        services[place.transport, target[-1]] = handshake.callee()
    return tuple(target), services
