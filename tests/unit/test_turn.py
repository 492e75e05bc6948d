"""The caller's half of TURN against a server of ours: rounds, refusals, forgeries, pipes, ends."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from circumtest import turn, voice
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES
from circumtest.model import (
    Address,
    Carrier,
    Cause,
    Failure,
    Level,
    Record,
    Stage,
    Success,
)
from circumtest.pipe import Pipe
from circumtest.relay import Relay, Terms
from circumtest.script import (
    Answerer,
    Emit,
    Flow,
    Script,
    enter,
    now,
    open_udp,
    recv,
    send,
)
from circumtest.secure import TlsAnswerer
from circumtest.simulate import START, simulate
from circumtest.turn import LIBWEBRTC, PLAIN, Allocation, Caller, Credentials, Dialect
from circumtest.wire import stun
from circumtest.wire import turn as wire

SECRET, REALM = "secret", "example.org"
SERVER, PEER = Address("203.0.113.10", 3478), Address("203.0.113.11", 40100)
USER = f"{int(START) + 7200}:abcd"
GOOD = Credentials.given(SECRET, USER)


class Parrot:
    """A callee who says back what he hears."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        yield Emit(flow, data[::-1])

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Meddler:
    """A server that shows what it is asked and changes what it answers."""

    def __init__(
        self,
        inner: Answerer,
        change: Callable[[bytes, stun.Message], Iterable[bytes]] = lambda data, _: [data],
    ) -> None:
        self._inner, self._change = inner, change
        self.asked: list[tuple[float, Flow, stun.Message]] = []

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if not wire.is_channel_data(data) and data:
            self.asked.append((now - START, flow, stun.unpack(data)))
        for emit in self._inner.receive(flow, data, now):
            if wire.is_channel_data(emit.data):
                yield emit
                continue
            for changed in self._change(emit.data, stun.unpack(emit.data)):
                yield Emit(emit.flow, changed)

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._inner.tick(now)

    def types(self) -> list[int]:
        return [message.type for _, _, message in self.asked]


def caller(
    credentials: Credentials = GOOD, dialect: Dialect = PLAIN, carrier: Carrier = Carrier.UDP
) -> Caller:
    """Who asks, by the same chance every time."""
    return Caller(credentials, dialect, Random(7), carrier, REALM, SECRET)


def relay(terms: Terms | None = None, callee: Answerer | None = None) -> Relay:
    """The server, with a callee behind it."""
    return Relay(SECRET, REALM, callee or Parrot(), terms)


def play(script: Script[None], server: Answerer, carrier: Carrier = Carrier.UDP) -> Record:
    """In virtual time."""

    def staged() -> Script[None]:
        yield from enter(Stage.ALLOCATE)
        yield from script

    return simulate(staged(), {(carrier.transport, SERVER): server})


def get(
    server: Answerer,
    then: Callable[[Allocation], Script[None]] | None = None,
    who: Caller | None = None,
    patience: float = 3.0,
) -> Record:
    """Allocate, and go on with it."""
    who = who or caller()

    def script() -> Script[None]:
        allocation = yield from turn.allocate(who, SERVER, patience)
        assert allocation.seen.host == "192.0.2.2"
        assert allocation.relayed.host == SERVER.host
        if then:
            yield from then(allocation)

    return play(script(), server, who.carrier)


def died(record: Record) -> tuple[Cause, str]:
    """What it failed with."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.cause, record.outcome.detail


def asked(
    allocation: Allocation, pipe: Pipe, payload: bytes, patience: float = 1.0
) -> Script[bytes]:
    """What comes back through a pipe."""
    item = pipe.encode(payload)
    yield from send(item.channel, item.data, item.remote)
    until = (yield from now()) + patience
    while (arrival := (yield from recv(until))) is not None:
        for back in pipe.decode(arrival):
            return back
    return b""


# ------------------------------------------------------------------ allocating


def test_an_allocation_takes_two_rounds_over_udp_tcp_and_tls() -> None:
    """The first unsigned, the second under the realm and nonce of the 401."""
    for carrier in Carrier:
        server = Meddler(relay())
        stands = TlsAnswerer(server, SECRET, REALM) if carrier is Carrier.TLS else server
        record = get(stands, who=caller(carrier=carrier))
        first, second = (message for _, _, message in server.asked)

        assert record.outcome == Success()
        assert first.get(wire.USERNAME) is None
        assert second.get(wire.USERNAME) == USER.encode()
        assert second.get(wire.REALM) == REALM.encode()


def test_a_key_that_is_not_the_secrets_is_another_server() -> None:
    """Over TLS it is told before anything is asked."""
    server = TlsAnswerer(relay(), "another", REALM)

    assert died(get(server, who=caller(carrier=Carrier.TLS)))[0] is Cause.WRONG_IDENTITY


def test_a_wrong_password_is_refused_once() -> None:
    """401 a second time is final (RFC 8489 9.2.5)."""
    server = Meddler(relay())
    record = get(server, who=caller(Credentials(USER, "wrong")))

    assert died(record) == (Cause.ERROR_REPLY, "401 Unauthorized")
    assert server.types() == [wire.ALLOCATE] * 2


def test_a_quota_is_told_and_not_tried_again() -> None:
    """486, for at least a minute (RFC 8656 7.4): longer than any stage."""
    server = Meddler(relay(Terms(quota=1)))

    def script() -> Script[None]:
        yield from turn.allocate(caller(), SERVER, 3.0)
        yield from turn.allocate(caller(), SERVER, 3.0)

    assert died(play(script(), server)) == (Cause.ERROR_REPLY, "486 Allocation Quota Reached")
    assert server.types() == [wire.ALLOCATE] * 4


def test_where_the_server_remembers_the_port_another_one_is_tried() -> None:
    """437: what an earlier call from this port left behind says nothing of this one."""
    server = Meddler(relay())

    def script() -> Script[None]:
        channel = yield from open_udp(SERVER)
        yield from turn.allocate(caller(), SERVER, 3.0, channel)
        second = yield from turn.allocate(replace(caller(), rng=Random(8)), SERVER, 3.0, channel)
        assert second.relayed.port == 49154

    assert play(script(), server).outcome == Success()
    assert len({flow.remote.port for _, flow, _ in server.asked}) == 2


def test_a_server_that_always_remembers_is_asked_from_three_ports_only() -> None:
    """Then it is what it said."""

    def change(data: bytes, message: stun.Message) -> Iterable[bytes]:
        if message.type == wire.ALLOCATE | wire.OK:
            code = (stun.ERROR_CODE, stun.pack_error(437, "Mismatch"))
            return [stun.pack(stun.Message(wire.ALLOCATE | wire.ERROR, message.tid, (code,)))]
        return [data]

    server = Meddler(relay(), change)
    assert died(get(server)) == (Cause.ERROR_REPLY, "437 Mismatch")
    assert len({flow.remote.port for _, flow, _ in server.asked}) == 3


def test_a_stale_nonce_is_replaced_by_the_new_one() -> None:
    """438, whatever is asked; but not for ever."""

    def later(allocation: Allocation) -> Script[None]:
        yield from recv((yield from now()) + 20.0)
        yield from allocation.permit(PEER, 3.0)

    server = Meddler(relay(Terms(stale=10.0)))
    assert get(server, later).outcome == Success()
    assert server.types()[2:] == [wire.CREATE_PERMISSION] * 2
    assert died(get(Meddler(relay(Terms(stale=-1.0)))))[0] is Cause.ERROR_REPLY


def resigned(message: stun.Message, attributes: Sequence[tuple[int, bytes]]) -> bytes:
    """A message with other attributes, signed as the server signs."""
    return stun.pack(replace(message, attributes=tuple(attributes)), GOOD.key(REALM.encode()))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (wire.ALLOCATE | wire.ERROR, stun.ERROR_CODE),
        (wire.ALLOCATE | wire.ERROR, wire.NONCE),
        (wire.ALLOCATE | wire.ERROR, wire.REALM),
        (wire.ALLOCATE | wire.OK, stun.XOR_RELAYED_ADDRESS),
        (wire.ALLOCATE | wire.OK, stun.XOR_MAPPED_ADDRESS),
        (wire.ALLOCATE | wire.OK, wire.LIFETIME),
    ],
)
@pytest.mark.parametrize("garbled", [False, True])
def test_an_answer_that_lacks_what_it_must_have_is_malformed(
    kind: int, missing: int, garbled: bool
) -> None:
    """Said by the server itself: not silence."""

    def change(data: bytes, message: stun.Message) -> Iterable[bytes]:
        if message.type != kind:
            return [data]
        left = [one for one in message.attributes if one[0] != missing]
        if garbled and missing not in (wire.REALM, wire.NONCE):
            left.append((missing, b"\0"))
        elif garbled:
            left.append((missing, b"\xff" * 800))
        if kind == wire.ALLOCATE | wire.OK:
            return [resigned(message, left)]
        return [stun.pack(replace(message, attributes=tuple(left)))]

    assert died(get(Meddler(relay(), change)))[0] is Cause.MALFORMED


def test_what_another_than_the_server_makes_is_as_if_it_had_not_come() -> None:
    """Wrong id, wrong key, no key; the real answers come behind the forged ones."""

    def change(data: bytes, message: stun.Message) -> Iterable[bytes]:
        method = message.type & ~0x0110
        code = (stun.ERROR_CODE, stun.pack_error(403, "Forbidden"))
        alien = stun.Message(method | wire.ERROR, bytes(12), (code,))
        forged = [stun.pack(alien), b"\xff" * 30, b""]
        if message.type == wire.ALLOCATE | wire.OK:
            refusal = stun.Message(method | wire.ERROR, message.tid, (code,))
            forged += [stun.pack(refusal), stun.pack(refusal, b"key"), stun.pack(message, b"key")]
        return [*forged, data]

    assert get(Meddler(relay(), change)).outcome == Success()


def test_what_strangers_send_from_elsewhere_is_not_the_servers() -> None:
    """The right id is not enough: the address is the server's, too."""

    class Elsewhere(Meddler):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            for emit in super().receive(flow, data, now):
                other = structs.replace(emit.flow, local=Address("203.0.113.99", 3478))
                yield Emit(other, emit.data)

    assert died(get(Elsewhere(relay())))[0] is Cause.TIMEOUT


@pytest.mark.parametrize(("dialect", "sends"), [(LIBWEBRTC, LIBWEBRTC.sends), (PLAIN, PLAIN.sends)])
def test_unanswered_requests_are_sent_by_the_dialects_schedule(
    dialect: Dialect, sends: Sequence[float]
) -> None:
    """The same bytes each time, nine or seven times, cut where patience ends."""
    server = Meddler(relay(), lambda data, message: [])
    record = get(server, who=caller(dialect=dialect), patience=40.0)

    assert died(record)[0] is Cause.TIMEOUT
    assert [at for at, _, _ in server.asked] == pytest.approx([one + 0.01 for one in sends])
    assert len({message.tid for _, _, message in server.asked}) == 1
    server.asked.clear()
    get(server, who=caller(dialect=dialect), patience=3.0)
    assert len(server.asked) == len([one for one in sends if one < 3.0])


def test_transaction_ids_are_letters_or_any_bytes() -> None:
    """A fingerprint of libwebrtc's."""
    letters = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    rng = Random(1)

    assert all(set(LIBWEBRTC.tid(rng)) <= letters for _ in range(50))
    assert not all(set(PLAIN.tid(rng)) <= letters for _ in range(50))
    assert {len(one.tid(rng)) for one in (LIBWEBRTC, PLAIN)} == {12}


@given(st.binary(min_size=1, max_size=120))
def test_garbage_on_a_stream_is_malformed_or_silence(garbage: bytes) -> None:
    """Never an exception, never success."""

    class Garbage(Parrot):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            yield Emit(flow, garbage)

    record = get(Garbage(), who=caller(carrier=Carrier.TCP))
    assert died(record)[0] in (Cause.MALFORMED, Cause.TIMEOUT)


# ------------------------------------------------------------------ through it


@pytest.mark.parametrize("carrier", list(Carrier))
@pytest.mark.parametrize("channel", [True, False])
def test_a_pipe_carries_both_ways(carrier: Carrier, channel: bool) -> None:
    """On a channel, or in indications; on every carrier."""

    def use(allocation: Allocation) -> Script[None]:
        yield from allocation.permit(PEER, 1.0)
        if channel:
            yield from allocation.bind(PEER, 1.0)
        pipe = allocation.to(PEER)
        if carrier is Carrier.UDP:
            assert wire.is_channel_data(pipe.encode(b"?").data) is channel
        assert (yield from asked(allocation, pipe, b"hello")) == b"olleh"

    server: Answerer = relay()
    if carrier is Carrier.TLS:
        server = TlsAnswerer(server, SECRET, REALM)
    assert get(server, use, caller(carrier=carrier)).outcome == Success()


def test_what_comes_while_a_request_is_made_is_kept_for_its_pipe() -> None:
    """And told with the next arrival, were it an empty one."""

    def use(allocation: Allocation) -> Script[None]:
        yield from allocation.permit(PEER, 1.0)
        pipe, other = allocation.to(PEER), allocation.to(PEER._replace(host="203.0.113.12"))
        item = pipe.encode(b"early")
        yield from send(item.channel, item.data, item.remote)
        yield from allocation.permit(PEER, 1.0)
        arrival = allocation.kept(0.0)
        assert list(other.decode(arrival)) == []
        assert list(pipe.decode(arrival)) == [b"ylrae"]
        assert list(pipe.decode(arrival)) == []

    assert get(relay(), use).outcome == Success()


@pytest.mark.parametrize("carrier", [Carrier.UDP, Carrier.TCP])
def test_an_allocation_is_given_back_and_its_end_never_fails(carrier: Carrier) -> None:
    """Whether the server answers or has fallen silent."""
    silent: list[bool] = []

    def change(data: bytes, message: stun.Message) -> Iterable[bytes]:
        return [] if silent else [data]

    def use(allocation: Allocation) -> Script[None]:
        yield from allocation.release()

    server = Meddler(relay(), change)
    assert get(server, use, caller(carrier=carrier)).outcome == Success()
    assert server.asked[-1][2].type == wire.REFRESH
    assert server.asked[-1][2].get(wire.LIFETIME) == bytes(4)

    def fall_silent(allocation: Allocation) -> Script[None]:
        silent.append(True)
        yield from allocation.release()

    assert get(server, fall_silent, caller(carrier=carrier)).outcome == Success()


def test_a_short_lifetime_is_renewed_during_media_with_new_nonces() -> None:
    """At half of it; a stale nonce costs one more request and not the call."""
    terms = Terms(lifetime=20, longest=20, stale=15.0)
    server = Meddler(relay(terms, voice.Callee(SECRET)))
    pace = replace(PACES[Level.STANDARD], media=35.0)

    def use(allocation: Allocation) -> Script[None]:
        yield from voice.call([allocation], PEER, Random(1), SECRET, PLAIN, pace)

    assert get(server, use).outcome == Success()
    refreshes = [at for at, _, message in server.asked if message.type == wire.REFRESH]
    assert [round(at) for at in refreshes] == [10, 20, 20, 30, 35]


def test_a_refresh_that_is_never_answered_is_forgotten() -> None:
    """However many there are."""

    def change(data: bytes, message: stun.Message) -> Iterable[bytes]:
        return [] if message.type & 0xF == wire.REFRESH else [data]

    def use(allocation: Allocation) -> Script[None]:
        for _ in range(50):
            for beat in allocation.beats:
                for item in beat.request():
                    yield from send(item.channel, item.data, item.remote)
        assert len(allocation._renewing) < 10
        assert len(allocation._session._asked) < 10

    assert get(Meddler(relay(), change), use).outcome == Success()


# ------------------------------------------------------------------ several at once


def waits(seconds: float, value: int, fails: Cause | None = None) -> Script[int]:
    """A script that waits, and then gives a value or fails."""
    until = (yield from now()) + seconds
    while (yield from now()) < until:
        yield from recv(until)
    if fails:
        raise HandshakeFailed(fails)
    return value


def together(scripts: Sequence[Script[int]], linger: float) -> tuple[list[int], float, Record]:
    """What they gave, and how long it took."""
    found: list[int] = []

    def script() -> Script[None]:
        found.extend((yield from turn.together(scripts, linger)))

    record = play(script(), Parrot())
    return found, record.seconds, record


def test_scripts_together_end_in_their_own_time_and_late_ones_are_given_up() -> None:
    """The first success starts the clock."""
    made = [waits(2.0, 2), waits(1.0, 1), waits(1.4, 3), waits(0.5, 4, Cause.TIMEOUT)]
    found, seconds, _ = together(made, 0.5)

    assert found == [1, 3]
    assert seconds == pytest.approx(1.5)
    assert together([waits(1.0, 1), waits(1.4, 3)], 5.0)[1] == pytest.approx(1.4)
    assert together([waits(1.0, 1), waits(1.4, 3)], 0.0)[:1] == ([1],)


def test_when_all_fail_what_was_not_mere_silence_is_told() -> None:
    """A refusal says more than a time-out."""
    made = [waits(1.0, 1, Cause.TIMEOUT), waits(0.5, 2, Cause.ERROR_REPLY)]
    _, seconds, record = together(made, 0.5)

    assert died(record)[0] is Cause.ERROR_REPLY
    assert seconds == pytest.approx(1.0)


def test_a_binding_asks_all_servers_and_takes_the_first_answer() -> None:
    """What only one of them says is an answer; a refusal is told if nobody does better."""
    other = Address("203.0.113.20", 3478)

    def script() -> Script[None]:
        channel = yield from open_udp(SERVER)
        seen = yield from turn.binding(channel, [other, SERVER], LIBWEBRTC, Random(1), 3.0)
        assert seen.host == "192.0.2.2"

    assert play(script(), relay()).outcome == Success()

    def refuse(data: bytes, message: stun.Message) -> Iterable[bytes]:
        code = (stun.ERROR_CODE, stun.pack_error(500, "Server Error"))
        return [stun.pack(stun.Message(stun.BINDING_ERROR, message.tid, (code,)))]

    assert died(play(script(), Meddler(relay(), refuse)))[0] is Cause.ERROR_REPLY


def test_the_services_of_handshakes_are_known_by_what_they_say() -> None:
    """Which is how a real server knows how to be set up."""
    from circumtest.handshakes.echo import Echo
    from circumtest.handshakes.turn import Turn

    assert isinstance(Turn(), turn.Service)
    assert not isinstance(Echo(), turn.Service)
