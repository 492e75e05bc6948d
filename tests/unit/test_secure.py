"""TLS by memory: a script's half and an answerer's, in virtual time and against garbage."""

from collections.abc import Iterable
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream
from circumtest.model import Address, Cause, Failure, Record, Stage, Success, Transport
from circumtest.script import Answerer, Emit, Flow, Script, enter, now, open_tcp, recv
from circumtest.secure import TlsAnswerer, TlsStream, tls
from circumtest.simulate import simulate

THERE = Address("203.0.113.10", 443)
FLOW = Flow(Transport.TCP, THERE, Address("192.0.2.2", 40000))


class Shout:
    """Says everything again, louder; "bye" ends it, and it keeps what ended."""

    def __init__(self) -> None:
        self.ended = False

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        self.ended = self.ended or not data
        if data:
            yield Emit(flow, data.upper(), close=data == b"bye")

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Raw:
    """Answers bytes with the same bytes each time."""

    def __init__(self, answer: bytes, *, close: bool = False) -> None:
        self._answer, self._close = answer, close

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if data:
            yield Emit(flow, self._answer, self._close)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def talk(words: Iterable[bytes], secret: str, heard: list[bytes]) -> Script[None]:
    """Say the words one by one and note what comes back."""
    yield from enter(Stage.SIGNALLING)
    channel = yield from open_tcp(THERE, 3.0)
    stream = yield from tls(Stream(channel), 3.0, name="relay.test", secret=secret)
    for word in words:
        yield from stream.send(word)
        heard.append((yield from stream.read_exactly(len(word), (yield from now()) + 3.0)))


def play(server: Answerer, *words: bytes, secret: str = "s") -> tuple[Record, list[bytes]]:
    """One conversation."""
    heard: list[bytes] = []
    return simulate(talk(words, secret, heard), {(Transport.TCP, THERE): server}), heard


@pytest.mark.parametrize("size", [1, 5000, 70_000])
def test_what_is_said_arrives_and_comes_back(size: int) -> None:
    """Also what takes many records and segments."""
    record, heard = play(TlsAnswerer(Shout(), "s", "relay.test"), b"a" * size, b"bc")

    assert record.outcome == Success()
    assert heard == [b"A" * size, b"BC"]


def test_another_key_is_somebody_else() -> None:
    """However good his certificate looks."""
    record, _ = play(TlsAnswerer(Shout(), "another", "relay.test"), b"a")

    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause == Cause.WRONG_IDENTITY


def test_without_a_secret_the_systems_roots_decide() -> None:
    """A self-signed certificate does not end at one."""
    record, _ = play(TlsAnswerer(Shout(), "s", "relay.test"), b"a", secret="")

    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause == Cause.WRONG_IDENTITY


@pytest.mark.parametrize(("name", "right"), [("relay.test", True), ("block.test", False)])
def test_where_a_root_is_not_known_the_name_decides(name: str, right: bool) -> None:
    """Whoever calls himself so is taken at his word, and nobody else."""

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        channel = yield from open_tcp(THERE, 3.0)
        stream = TlsStream(Stream(channel), name="relay.test", rootless=True)
        yield from stream.handshake((yield from now()) + 3.0)

    server = TlsAnswerer(Shout(), "whoever", name)
    outcome = simulate(script(), {(Transport.TCP, THERE): server}).outcome

    if right:
        assert outcome == Success()
    else:
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.WRONG_IDENTITY


def test_what_is_no_tls_is_malformed_and_what_ends_has_ended() -> None:
    """An HTTP server, and one that hangs up."""
    for server, cause in (
        (Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Cause.MALFORMED),
        (Raw(b"", close=True), Cause.EOF),
        (Raw(b"\x15\x03\x03\x00\x02\x02\x28"), Cause.ERROR_REPLY),
    ):
        record, _ = play(server, b"a")
        assert isinstance(record.outcome, Failure)
        assert record.outcome.cause == cause


def test_an_orderly_end_is_the_end() -> None:
    """EOF, at what was still wanted."""
    record, heard = play(TlsAnswerer(Shout(), "s", "relay.test"), b"bye", b"more")

    assert heard == [b"BYE"]
    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause == Cause.EOF


def test_both_agree_on_a_protocol_inside() -> None:
    """The first that the far half knows."""
    server = TlsAnswerer(Shout(), "s", "relay.test", alpn=("h2",))
    agreed: list[str] = []

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        channel = yield from open_tcp(THERE, 3.0)
        stream = TlsStream(Stream(channel), name="relay.test", secret="s", alpn=("x", "h2"))
        yield from stream.handshake((yield from now()) + 3.0)
        agreed.append(stream.alpn)

    assert simulate(script(), {(Transport.TCP, THERE): server}).outcome == Success()
    assert agreed == ["h2"]


def test_it_can_be_read_without_waiting() -> None:
    """What media over TLS needs: arrivals in, plaintext out."""
    got: list[bytes] = []

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        channel = yield from open_tcp(THERE, 3.0)
        stream = yield from tls(Stream(channel), 3.0, name="relay.test", secret="s")
        yield stream.encode(b"sound")
        until = (yield from now()) + 1.0
        while b"".join(got) != b"SOUND" and (arrival := (yield from recv(until))):
            got.append(stream.decode(arrival))

    server = TlsAnswerer(Shout(), "s", "relay.test")
    assert simulate(script(), {(Transport.TCP, THERE): server}).outcome == Success()
    assert b"".join(got) == b"SOUND"


def test_datagrams_go_to_the_inner_answerer_as_they_are() -> None:
    """Signalling over TLS may come with sound over UDP."""
    flow = Flow(Transport.UDP, FLOW.local, FLOW.remote)
    server = TlsAnswerer(Shout(), "s", "relay.test")

    assert list(server.receive(flow, b"hello", 0.0)) == [Emit(flow, b"HELLO")]


@given(st.binary(min_size=1, max_size=400))
def test_garbage_at_the_far_half_is_answered_by_an_alert_at_most(data: bytes) -> None:
    """No exception, and nothing of it reaches the inner answerer."""
    inner = Shout()
    emits = list(TlsAnswerer(inner, "s", "relay.test").receive(FLOW, data, 0.0))

    assert all(len(emit.data) < 64 for emit in emits)
    assert not inner.ended


@given(st.binary(min_size=1, max_size=400), st.integers(0, 2**32))
def test_garbage_at_the_caller_is_a_failure_with_a_cause(data: bytes, seed: int) -> None:
    """At any point of the conversation."""
    inner = TlsAnswerer(Shout(), "s", "relay.test")
    at = Random(seed).randrange(4)

    class Late(Raw):
        count = 0

        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            self.count += 1
            if self.count > at:
                return super().receive(flow, data, now)
            return inner.receive(flow, data, now)

    record, _ = play(Late(data), b"a", b"b")
    assert isinstance(record.outcome, Failure | Success)


def test_saying_more_to_who_has_gone_is_no_error() -> None:
    """A caller who hangs up politely must not fall over a far half that was faster."""
    server = TlsAnswerer(Shout(), "s", "relay.test")

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        channel = yield from open_tcp(THERE, 3.0)
        stream = yield from tls(Stream(channel), 3.0, name="relay.test", secret="s")
        yield from stream.send(b"bye")
        yield from stream.read_exactly(3, (yield from now()) + 3.0)
        while (arrival := (yield from recv((yield from now()) + 1.0))) is not None:
            with suppress(HandshakeFailed):  # its end, told once
                stream.decode(arrival)
        yield from stream.send(b"more")

    assert simulate(script(), {(Transport.TCP, THERE): server}).outcome == Success()


def test_a_hello_that_cannot_be_accepted_gets_an_alert_and_the_end() -> None:
    """TLS 1.0 is nobody else's, and silence would look like a censor."""
    hello = (
        bytes.fromhex("160301002f0100002b0301") + bytes(32) + bytes.fromhex("000004002f00350100")
    )
    emits = list(TlsAnswerer(Shout(), "s", "relay.test").receive(FLOW, hello, 0.0))

    assert emits
    assert b"".join(emit.data for emit in emits)[:1] == b"\x15"
    assert emits[-1].close
