"""A WebSocket over a stream: both halves against each other, and against what is none."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.ladders import Stream
from circumtest.model import Address, Cause, Failure, Record, Stage, Success, Transport
from circumtest.script import Answerer, Emit, Flow, Script, enter, now, open_tcp
from circumtest.simulate import simulate
from circumtest.websocket import WebSocket, WebSocketAnswerer
from circumtest.wire import websocket

THERE = Address("203.0.113.10", 80)
FLOW = Flow(Transport.TCP, THERE, Address("192.0.2.2", 40000))


class Shout:
    """Says everything again, louder; it counts what ended."""

    def __init__(self) -> None:
        self.ended = 0

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        self.ended += not data
        return [Emit(flow, data.upper())] if data else []

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return [Emit(FLOW, b"tick")]


class Saying:
    """Grants the upgrade, or says something else; then says `after` in any case."""

    def __init__(self, after: bytes, head: bytes = b"") -> None:
        self._after, self._head = after, head

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if not data.startswith(b"GET"):
            return
        asked = websocket.parse_request(data)
        assert asked is not None
        yield Emit(flow, (self._head or websocket.pack_answer(asked[0])) + self._after)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def play(server: Answerer, words: Iterable[bytes] = (b"abc",)) -> tuple[Record, list[bytes]]:
    """Say words one by one; what came back."""
    heard: list[bytes] = []

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        channel = yield from open_tcp(THERE, 3.0)
        web = WebSocket(Stream(channel), Random(1))
        until = (yield from now()) + 3.0
        yield from web.upgrade("web.test", "/ws", "https://web.test", until)
        for word in words:
            yield from web.send(word)
            heard.append((yield from web.read_exactly(len(word), until)))

    return simulate(script(), {(Transport.TCP, THERE): server}), heard


@pytest.mark.parametrize("size", [1, 126, 20_000])
def test_what_is_said_comes_back(size: int) -> None:
    """In messages of any size, one after another."""
    record, heard = play(WebSocketAnswerer(Shout()), [b"a" * size, b"bc"])

    assert record.outcome == Success()
    assert heard == [b"A" * size, b"BC"]


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        (Saying(b"", b"HTTP/1.1 403 Forbidden\r\n\r\n"), Cause.ERROR_REPLY),
        (Saying(b"", b"nothing of the kind"), Cause.MALFORMED),
        (Saying(b"", websocket.pack_answer("another")), Cause.MALFORMED),
        (Saying(websocket.pack_frame(b"ABC", b"mask")), Cause.MALFORMED),
        (Saying(b"\x81\x03ABC"), Cause.MALFORMED),
        (Saying(websocket.pack_frame(b"", opcode=websocket.CLOSE)), Cause.EOF),
        (Saying(b""), Cause.TIMEOUT),
    ],
)
def test_what_is_no_websocket_is_told_apart(server: Answerer, cause: Cause) -> None:
    """Refused, no HTTP, a key not read, a masked server, text, an end, silence."""
    record, _ = play(server)

    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause is cause


def test_what_is_between_is_passed_over() -> None:
    """A ping, and a message in two pieces."""
    pieces = b"\x02\x01A" + websocket.pack_frame(b"?", opcode=websocket.PING) + b"\x80\x02BC"
    record, heard = play(Saying(pieces))

    assert record.outcome == Success()
    assert heard == [b"ABC"]


def test_the_far_half_hears_of_the_end_and_of_time() -> None:
    """Only of streams that were upgraded; what it says on its own is framed."""
    inner = Shout()
    server = WebSocketAnswerer(inner)
    list(server.receive(FLOW, b"", 0.0))
    assert inner.ended == 0
    list(server.receive(FLOW, websocket.pack_request("a", "/", bytes(16), "b"), 0.0))
    list(server.receive(FLOW, b"", 0.0))

    assert inner.ended == 1
    assert [emit.data for emit in server.tick(0.0)] == [websocket.pack_frame(b"tick")]
    assert server.timer() is None


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
def test_garbage_is_not_answered(chunks: list[bytes], upgraded: bool) -> None:
    """Before the upgrade, and behind it: at most the stream ends."""
    server = WebSocketAnswerer(Saying(b""))
    if upgraded:
        list(server.receive(FLOW, websocket.pack_request("a", "/", bytes(16), "b"), 0.0))
    for chunk in chunks:
        for emit in server.receive(FLOW, chunk, 0.0):
            assert emit.close or emit.data.startswith((b"HTTP/1.1 101", b"\x82"))
