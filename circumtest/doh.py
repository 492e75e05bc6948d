"""DNS over HTTPS (RFC 8484) inside TLS: one question over HTTP/2, and the half that answers them.

The bytes are h2's, without I/O; whatever it objects to is a ValueError here and nowhere else.  It
refuses to know TLS and to read DNS messages, and takes no more of a body than a DNS message has.
"""

import base64
import binascii
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import hpack.exceptions
import hyperframe.exceptions

PORT = 443
PATH = "/dns-query"
TYPE = "application/dns-message"
ALPN = "h2"
MAX_BODY = 65535
"""Bytes of a DNS message; more is none."""
MAX_QUESTION = 4096
"""Bytes of a question that the answering half takes."""
MAX_STREAMS = 32
"""Requests that are not over, on one connection."""
MAX_FRAME = 16384
"""Bytes in a frame (RFC 9113 4.2: nobody may send more who was not told so)."""

_PREFACE, _HEAD = 24, 9  # bytes: RFC 9113 3.4 and 4.1
_CONTINUATION = 0x09  # no head of a request or an answer here needs a second frame
_OBJECTIONS = (
    h2.exceptions.H2Error,
    hpack.exceptions.HPACKError,
    hyperframe.exceptions.HyperframeError,
    ValueError,
)


class Answer(NamedTuple):
    """What HTTP said: its status, and the body where that is a DNS message."""

    status: int
    message: bytes


class Client:
    """One question on a connection of its own: POST, or GET with the message in the path."""

    def __init__(self, host: str, message: bytes, *, get: bool = False) -> None:
        self._http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self._guard = _Guard(0)
        self._body = bytearray()
        self._headers: dict[str, str] = {}
        self.answer: Answer | None = None
        self._http.initiate_connection()
        path = f"{PATH}?dns={_encoded(message)}" if get else PATH
        headers = [
            (":method", "GET" if get else "POST"),
            (":scheme", "https"),
            (":authority", host),
            (":path", path),
            ("accept", TYPE),
        ]
        if not get:
            headers += [("content-type", TYPE), ("content-length", str(len(message)))]
        self._stream = self._http.get_next_available_stream_id()
        self._http.send_headers(self._stream, headers, end_stream=get)
        if not get:
            self._http.send_data(self._stream, message, end_stream=True)
        self.opening = self._http.data_to_send()
        """The first bytes to send: the connection's preface and the request."""

    def receive(self, data: bytes) -> bytes:
        """Read what came; gives what to send.  `answer` is set once it is whole.

        Raises ValueError for what is no HTTP/2, and for an answer that is no DNS message.
        """
        self._guard.check(data)
        for event in _events(self._http, data):
            ours = getattr(event, "stream_id", None) == self._stream
            if isinstance(event, h2.events.ConnectionTerminated) or (
                ours and isinstance(event, h2.events.StreamReset)
            ):
                raise ValueError("HTTP/2: the request was given up")
            if not ours:
                continue
            if isinstance(event, h2.events.ResponseReceived):
                self._headers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self._take(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                self.answer = self._whole()
        return bytes(self._http.data_to_send())

    def _take(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > MAX_BODY:
            raise ValueError("HTTP: longer than any DNS message")

    def _whole(self) -> Answer:
        status = int(self._headers.get(":status", "0"))
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if status == 200 and kind != TYPE:
            raise ValueError("HTTP: the answer is no DNS message")
        return Answer(status, bytes(self._body) if status == 200 else b"")


# ------------------------------------------------------------------ the half that answers


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that came whole: the HTTP/2 stream to answer it on, the DNS message."""

    stream: int
    message: bytes


class Server:
    """One connection of somebody who asks."""

    def __init__(self) -> None:
        self._http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._http.local_settings.max_concurrent_streams = MAX_STREAMS
        self._http.initiate_connection()
        self._guard = _Guard(_PREFACE)
        self._bodies: dict[int, bytearray] = {}

    def receive(self, data: bytes) -> list[Asked]:
        """Read what came; the questions that are whole now.  Raises ValueError for no HTTP/2."""
        asked: list[Asked] = []
        self._guard.check(data)
        for event in _events(self._http, data):
            if isinstance(event, h2.events.RequestReceived):
                self._request(event, asked)
            elif isinstance(event, h2.events.DataReceived):
                self._take(event)
            elif isinstance(event, h2.events.StreamEnded):
                body = self._bodies.pop(event.stream_id, None)
                if body is not None:
                    asked.append(Asked(event.stream_id, bytes(body)))
            elif isinstance(event, h2.events.StreamReset):
                self._bodies.pop(event.stream_id, None)
        if self._http.open_inbound_streams > MAX_STREAMS:
            raise ValueError("HTTP/2: too many requests at once")
        return asked

    def answer(self, stream: int, message: bytes) -> bytes:
        """What to send for the answer to a question; b"" when nobody waits for it any more."""
        headers = [
            (":status", "200"),
            ("content-type", TYPE),
            ("content-length", str(len(message))),
        ]
        try:
            self._http.send_headers(stream, headers)
            for at in range(0, len(message), MAX_FRAME):
                self._http.send_data(stream, message[at : at + MAX_FRAME])
            self._http.end_stream(stream)
        except _OBJECTIONS:
            return b""
        return self.pending()

    def pending(self) -> bytes:
        """What waits to be sent."""
        return bytes(self._http.data_to_send())

    def _request(self, event: h2.events.RequestReceived, asked: list[Asked]) -> None:
        headers = dict(event.headers or ())
        path, _, told = headers.get(":path", "").partition("?")
        method, stream = headers.get(":method"), event.stream_id
        if path != PATH or method not in ("GET", "POST"):
            self.refuse(stream, 404)
        elif method == "GET":
            try:
                asked.append(Asked(stream, _decoded(told)))
            except ValueError:
                self.refuse(stream, 400)
        elif headers.get("content-type") != TYPE:
            self.refuse(stream, 415)
        else:
            self._bodies[stream] = bytearray()

    def _take(self, event: h2.events.DataReceived) -> None:
        body = self._bodies.get(event.stream_id)
        with suppress(*_OBJECTIONS):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if body is None:
            return
        body += event.data
        if len(body) > MAX_QUESTION:
            del self._bodies[event.stream_id]
            self.refuse(event.stream_id, 413)

    def refuse(self, stream: int, status: int) -> None:
        """Answer a request with a status alone; `pending` has it."""
        with suppress(*_OBJECTIONS):  # he gave the request up himself
            self._http.send_headers(stream, [(":status", str(status))], end_stream=True)


class _Guard:
    """Looks at the heads of frames before h2 does, which would wait for 16 MiB of one."""

    def __init__(self, skip: int) -> None:
        self._skip = skip
        self._head = bytearray()

    def check(self, data: bytes) -> None:
        """Follow the frames.  Raises ValueError for one that nobody may send."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = min(_HEAD - len(self._head), len(data) - at)
                self._head += data[at : at + step]
            at += step
            if len(self._head) == _HEAD:
                self._skip = int.from_bytes(self._head[:3])
                if self._skip > MAX_FRAME or self._head[3] == _CONTINUATION:
                    raise ValueError("HTTP/2: a frame that is too long")
                self._head.clear()


def _events(http: h2.connection.H2Connection, data: bytes) -> list[Any]:
    """What h2 reads in bytes.  Raises ValueError."""
    try:
        events: list[Any] = http.receive_data(data)
    except _OBJECTIONS as error:
        raise ValueError(f"HTTP/2: {error or type(error).__name__}") from None
    return events


def _encoded(message: bytes) -> str:
    """base64url without padding (RFC 8484 6)."""
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


def _decoded(told: str) -> bytes:
    """The message in the query of a path.  Raises ValueError when there is none."""
    for pair in told.split("&"):
        key, _, value = pair.partition("=")
        if key == "dns" and len(value) <= 2 * MAX_QUESTION:
            try:
                return base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
            except binascii.Error as error:
                raise ValueError(str(error)) from None
    raise ValueError("no `dns` in the query")
