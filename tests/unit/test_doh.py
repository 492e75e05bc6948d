"""DNS over HTTP/2 without TLS: both halves against each other, and each against garbage."""

from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import doh

HOST = "resolver.test"
MESSAGE = bytes(range(60))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def exchange(client: doh.Client, answer: bytes) -> doh.Answer | None:
    """The client's question answered."""
    server = doh.Server()
    (asked,) = server.receive(client.opening)
    assert asked.message == MESSAGE
    client.receive(server.pending() + server.answer(asked.stream, answer))
    return client.answer


def other(status: str, kind: str, body: bytes, client: doh.Client) -> Any:
    """A server of another kind answers."""
    http = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    )
    http.initiate_connection()
    events = http.receive_data(client.opening)
    (stream,) = [e.stream_id for e in events if isinstance(e, h2.events.RequestReceived)]
    http.send_headers(stream, [(":status", status), ("content-type", kind)])
    for at in range(0, len(body), 16384):
        http.send_data(stream, body[at : at + 16384])
    http.end_stream(stream)
    return client.receive(http.data_to_send())


def request(http: h2.connection.H2Connection, *headers: tuple[str, str], end: bool = True) -> int:
    """Headers on a new stream."""
    stream: int = http.get_next_available_stream_id()
    http.send_headers(stream, [(":scheme", "https"), (":authority", HOST), *headers], end)
    return stream


@pytest.mark.parametrize("get", [False, True])
@pytest.mark.parametrize("size", [12, 512, 30_000])
def test_a_question_is_answered(size: int, get: bool) -> None:
    """By POST and by GET, also in several frames."""
    client = doh.Client(HOST, MESSAGE, get=get)
    answer = b"a" * size

    assert exchange(client, answer) == doh.Answer(200, answer)


def test_a_get_has_the_message_in_its_path_without_padding() -> None:
    """The example of RFC 8484 4.1.1."""
    query = bytes.fromhex("00000100000100000000000003777777076578616d706c6503636f6d0000010001")
    server = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    )
    server.initiate_connection()
    events = server.receive_data(doh.Client(HOST, query, get=True).opening)
    (headers,) = [dict(e.headers) for e in events if isinstance(e, h2.events.RequestReceived)]

    assert headers[":path"] == "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"
    assert headers["accept"] == "application/dns-message"


def test_another_status_is_an_answer_without_a_message() -> None:
    """Whatever its body says."""
    client = doh.Client(HOST, MESSAGE)
    other("404", "text/html", b"<html>", client)

    assert client.answer == doh.Answer(404, b"")


def test_what_is_no_dns_message_is_told() -> None:
    """By its type, or by its length."""
    with pytest.raises(ValueError, match="no DNS message"):
        other("200", "text/html", b"<html>", doh.Client(HOST, MESSAGE))


def test_bytes_that_are_no_http_2_are_told() -> None:
    """An HTTP/1 server: `HTT` is a length that no frame has, and is not waited for."""
    with pytest.raises(ValueError, match="HTTP/2"):
        doh.Client(HOST, MESSAGE).receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ValueError, match="HTTP/2"):
        doh.Server().receive(b"GET /dns-query HTTP/1.1\r\n\r\n")


def test_a_request_that_is_given_up_is_told() -> None:
    """By the stream, or by the connection."""
    for give_up in ("reset_stream", "close_connection"):
        client = doh.Client(HOST, MESSAGE)
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        http.receive_data(client.opening)
        getattr(http, give_up)(*([1] if give_up == "reset_stream" else []))
        with pytest.raises(ValueError, match="given up"):
            client.receive(http.data_to_send())


def test_frames_are_followed_however_they_are_cut() -> None:
    """One byte at a time, both ways."""
    client, server = doh.Client(HOST, MESSAGE), doh.Server()
    asked = [one for at in client.opening for one in server.receive(bytes([at]))]
    assert [one.message for one in asked] == [MESSAGE]
    for at in server.pending() + server.answer(asked[0].stream, b"answer"):
        client.receive(bytes([at]))

    assert client.answer == doh.Answer(200, b"answer")


def test_a_head_in_several_frames_is_refused() -> None:
    """No head is that long, and h2 would keep a megabyte of it."""
    server = doh.Server()
    settings_frame = bytes.fromhex("000000040000000000")
    continuation = bytes.fromhex("000001090000000001") + b"a"

    server.receive(PREFACE + settings_frame)
    with pytest.raises(ValueError, match="too long"):
        server.receive(continuation)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ([(":method", "GET"), (":path", "/")], None, "404"),
        ([(":method", "PUT"), (":path", "/dns-query")], None, "404"),
        ([(":method", "GET"), (":path", "/dns-query")], None, "400"),
        ([(":method", "GET"), (":path", "/dns-query?dns=%%")], None, "400"),
        ([(":method", "POST"), (":path", "/dns-query")], b"x", "415"),
        (
            [(":method", "POST"), (":path", "/dns-query"), ("content-type", doh.TYPE)],
            bytes(doh.MAX_QUESTION + 1),
            "413",
        ),
    ],
)
def test_what_is_no_question_is_refused_with_a_status(
    headers: list[tuple[str, str]], body: bytes | None, status: str
) -> None:
    """And the connection goes on."""
    server = doh.Server()
    http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    http.initiate_connection()
    stream = request(http, *headers, end=body is None)
    if body is not None:
        http.send_data(stream, body, end_stream=True)

    assert server.receive(http.data_to_send()) == []
    told = [
        dict(e.headers)[":status"]
        for e in http.receive_data(server.pending())
        if isinstance(e, h2.events.ResponseReceived)
    ]
    assert told == [status]
    stream = request(http, (":method", "GET"), (":path", "/dns-query?dns=AAAA"))
    assert server.receive(http.data_to_send()) == [doh.Asked(stream, b"\0\0\0")]


def test_more_requests_at_once_than_were_allowed_end_the_connection() -> None:
    """Memory is bounded: each may have a body on its way."""
    server = doh.Server()
    http = h2.connection.H2Connection()
    http.initiate_connection()
    for _ in range(doh.MAX_STREAMS + 1):
        request(
            http,
            (":method", "POST"),
            (":path", "/dns-query"),
            ("content-type", doh.TYPE),
            end=False,
        )

    with pytest.raises(ValueError, match="HTTP/2"):
        server.receive(http.data_to_send())


def test_nobody_is_answered_who_has_gone() -> None:
    """A stream that was reset meanwhile."""
    server = doh.Server()
    http = h2.connection.H2Connection()
    http.initiate_connection()
    stream = request(http, (":method", "GET"), (":path", "/dns-query?dns=AAAA"))
    server.receive(http.data_to_send())
    http.reset_stream(stream)
    server.receive(http.data_to_send())
    server.pending()

    assert server.answer(stream, b"late") == b""


def genuine() -> tuple[bytes, bytes]:
    """What both halves say in one exchange."""
    client, server = doh.Client(HOST, MESSAGE), doh.Server()
    (asked,) = server.receive(client.opening)
    return client.opening, server.pending() + server.answer(asked.stream, b"a" * 100)


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with others in their midst, or without their end."""
    return st.tuples(st.integers(0, len(data)), st.binary(max_size=12), st.booleans()).map(
        lambda it: data[: it[0]] + it[1] + (b"" if it[2] else data[it[0] + len(it[1]) :])
    )


@settings(deadline=None)
@given(st.binary(max_size=80) | damaged(genuine()[1]))
def test_garbage_for_the_asking_half_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Or it is nothing yet."""
    client = doh.Client(HOST, MESSAGE)
    try:
        client.receive(data)
    except ValueError:
        return
    assert client.answer is None or client.answer.status <= 999


@settings(deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=80).map(PREFACE.__add__) | damaged(genuine()[0]))
def test_garbage_for_the_answering_half_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Or a question, which may be answered."""
    server = doh.Server()
    try:
        for asked in server.receive(data):
            server.answer(asked.stream, b"a")
    except ValueError:
        pass
    server.pending()
