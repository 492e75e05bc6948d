"""A WebSocket over a stream, both halves, by memory: what is written are messages, what is read is
their content in a row.

It refuses to keep a connection alive: what it is for takes one message each way.
"""

from collections.abc import Iterable
from random import Random
from typing import Protocol

from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.script import Answerer, Emit, Flow, Script
from circumtest.wire import http, websocket

MAX_FLOWS = 512
"""Connections that an answerer remembers; the oldest is forgotten first."""
MAX_WAITING = 2 * websocket.MAX_PAYLOAD
"""Bytes of what is not whole that either half keeps."""


class Below(Protocol):
    """The stream that it goes over."""

    def send(self, data: bytes) -> Script[None]: ...
    def read_some(self, until: float) -> Script[bytes]: ...


class WebSocket:
    """The caller's half."""

    def __init__(self, stream: Below, rng: Random) -> None:
        self._stream, self._rng = stream, rng
        self._raw = b""
        self._content = bytearray()

    def upgrade(self, host: str, path: str, origin: str, until: float) -> Script[None]:
        """Ask for it.  Raises HandshakeFailed ERROR_REPLY for any other HTTP status than 101,
        MALFORMED for what is no HTTP or does not answer this request, and like the stream."""
        key = self._rng.randbytes(websocket.KEY)
        yield from self._stream.send(websocket.pack_request(host, path, key, origin))
        while True:
            self._raw += yield from self._stream.read_some(until)
            try:
                told = websocket.parse_answer(self._raw, key)
            except ValueError as error:
                raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
            if told is not None:
                break
        status, length = told
        if status != 101:
            raise HandshakeFailed(Cause.ERROR_REPLY, f"HTTP {status}")
        self._raw = self._raw[length:]

    def send(self, data: bytes) -> Script[None]:
        """One binary message."""
        mask = self._rng.randbytes(websocket.MASK)
        yield from self._stream.send(websocket.pack_frame(data, mask))

    def read_exactly(self, count: int, until: float) -> Script[bytes]:
        """The next `count` bytes of the messages.

        Raises like the stream; EOF when the far half closes, MALFORMED for what is no frame of one.
        """
        self._take()
        while len(self._content) < count:
            self._raw += yield from self._stream.read_some(until)
            self._take()
        data = bytes(self._content[:count])
        del self._content[:count]
        return data

    def _take(self) -> None:
        while (frame := self._frame()) is not None:
            if frame.masked:
                raise HandshakeFailed(Cause.MALFORMED, "a server does not mask")
            if frame.opcode == websocket.CLOSE:
                raise HandshakeFailed(Cause.EOF, "the far half closed the WebSocket")
            if frame.opcode in (websocket.BINARY, websocket.CONTINUATION):
                self._content += frame.payload

    def _frame(self) -> websocket.Frame | None:
        try:
            frame = websocket.parse_frame(self._raw)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        if frame is not None:
            self._raw = self._raw[frame.length :]
        return frame


class WebSocketAnswerer:
    """Speaks WebSocket on streams and hands the content to `inner`; what is none is closed."""

    def __init__(self, inner: Answerer) -> None:
        self._inner = inner
        self._streams: dict[Flow, tuple[bool, bytes]] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        upgraded, raw = self._streams.pop(flow, (False, b""))
        if not data:
            return self._inner.receive(flow, b"", now) if upgraded else ()
        return self._streamed(flow, upgraded, raw + data, now)

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return map(_framed, self._inner.tick(now))

    def _streamed(self, flow: Flow, upgraded: bool, raw: bytes, now: float) -> Iterable[Emit]:
        try:
            if not upgraded:
                asked = websocket.parse_request(raw)
                if asked is None:
                    self._keep(flow, upgraded, raw)
                    return
                yield Emit(flow, websocket.pack_answer(asked[0]))
                upgraded, raw = True, raw[asked[1] :]
            while (frame := websocket.parse_frame(raw)) is not None:
                raw = raw[frame.length :]
                if frame.opcode == websocket.CLOSE or not frame.masked:
                    yield Emit(flow, b"", close=True)
                    return
                if frame.opcode in (websocket.BINARY, websocket.CONTINUATION):
                    yield from map(_framed, self._inner.receive(flow, frame.payload, now))
        except ValueError:
            yield Emit(flow, b"", close=True)
            return
        self._keep(flow, upgraded, raw)

    def _keep(self, flow: Flow, upgraded: bool, raw: bytes) -> None:
        if len(raw) > max(MAX_WAITING, http.LIMIT):
            return
        if len(self._streams) >= MAX_FLOWS:
            del self._streams[next(iter(self._streams))]
        self._streams[flow] = upgraded, raw


def _framed(emit: Emit) -> Emit:
    return Emit(emit.flow, websocket.pack_frame(emit.data) if emit.data else b"", emit.close)
