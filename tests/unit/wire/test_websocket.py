"""WebSocket's bytes: the RFC's own examples, both halves, and garbage."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import websocket

KEY = base64.b64decode("dGhlIHNhbXBsZSBub25jZQ==")


def test_the_rfcs_key_is_accepted_as_the_rfc_says() -> None:
    """RFC 6455 1.3."""
    assert websocket.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_rfcs_frames_are_read_and_written() -> None:
    """RFC 6455 5.7: "Hello", unmasked and masked, but binary."""
    plain = bytes.fromhex("820548656c6c6f")
    masked = bytes.fromhex("828537fa213d7f9f4d5158")

    assert websocket.pack_frame(b"Hello") == plain
    assert websocket.pack_frame(b"Hello", bytes.fromhex("37fa213d")) == masked
    assert websocket.parse_frame(plain + b"more") == (True, websocket.BINARY, b"Hello", False, 7)
    assert websocket.parse_frame(masked) == (True, websocket.BINARY, b"Hello", True, 11)


def test_an_upgrade_is_asked_for_and_granted() -> None:
    """Whole or in pieces; what follows is left."""
    request = websocket.pack_request("web.test", "/ws", KEY, "https://web.test")
    told = websocket.parse_request(request + b"more")
    assert told == (base64.b64encode(KEY).decode(), len(request))
    assert all(websocket.parse_request(request[:cut]) is None for cut in range(len(request)))

    answer = websocket.pack_answer(told[0])
    assert websocket.parse_answer(answer + b"more", KEY) == (101, len(answer))
    assert all(websocket.parse_answer(answer[:cut], KEY) is None for cut in range(len(answer)))


def test_a_server_that_has_not_read_the_key_is_none() -> None:
    """A proxy that says 101 to everything; another status is told as it is."""
    with pytest.raises(ValueError, match="has not read"):
        websocket.parse_answer(websocket.pack_answer("another"), KEY)
    refusal = b"HTTP/1.1 403 Forbidden\r\n\r\n"
    assert websocket.parse_answer(refusal, KEY) == (403, len(refusal))


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4) | st.just(b""))
def test_what_is_framed_comes_back(payload: bytes, mask: bytes) -> None:
    """Of any size that a frame has here."""
    if len(payload) > 0xFFFF:
        with pytest.raises(ValueError, match="longer"):
            websocket.pack_frame(payload, mask)
        return
    framed = websocket.pack_frame(payload, mask)
    expected = (True, websocket.BINARY, payload, bool(mask), len(framed))

    assert websocket.parse_frame(framed) == expected
    assert websocket.parse_frame(framed[:-1]) is None or not payload


@pytest.mark.parametrize("data", [b"\xf2\x00", b"\x81\x00", b"\x82\x7f" + b"\xff" * 8])
def test_what_nobody_here_sends_is_refused(data: bytes) -> None:
    """Extensions, text, a frame without end."""
    with pytest.raises(ValueError):
        websocket.parse_frame(data)


@given(st.binary(max_size=400))
def test_garbage_is_a_value_error_at_most(data: bytes) -> None:
    """Whatever comes in."""
    for parse in (
        lambda: websocket.parse_frame(data),
        lambda: websocket.parse_request(data),
        lambda: websocket.parse_answer(data, KEY),
    ):
        try:
            parse()
        except ValueError:
            continue
