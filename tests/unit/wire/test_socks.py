"""The SOCKS5 codec against RFC 1928 and RFC 1929, and against whatever a proxy may send."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import socks

hosts = st.ip_addresses().map(str)
ports = st.integers(0, 0xFFFF)


def test_the_greeting_offers_its_methods_in_order() -> None:
    """Version, count, methods: RFC 1928 section 3."""
    assert socks.greeting(socks.Method.NONE, socks.Method.PASSWORD) == b"\x05\x02\x00\x02"


def test_a_method_selection_of_another_version_is_refused() -> None:
    """An HTTP server or a SOCKS4 proxy must not be taken for SOCKS5."""
    assert socks.method(b"\x05\xff") == socks.Method.UNACCEPTABLE
    for wrong in (b"HT", b"\x04\x00", b"\x05", b""):
        with pytest.raises(ValueError):
            socks.method(wrong)


def test_a_password_is_framed_by_lengths() -> None:
    """RFC 1929 section 2: version 1, then both fields with a length byte."""
    assert socks.credentials(b"me", b"pw!") == b"\x01\x02me\x03pw!"


@pytest.mark.parametrize(("user", "password"), [(b"", b"x"), (b"x", b""), (b"x" * 256, b"x")])
def test_a_password_that_does_not_fit_is_refused(user: bytes, password: bytes) -> None:
    """Lengths are one byte and not zero."""
    with pytest.raises(ValueError, match="1 to 255"):
        socks.credentials(user, password)


def test_only_status_zero_grants() -> None:
    """RFC 1929 section 2: any other status is a refusal."""
    assert socks.granted(b"\x01\x00")
    assert not socks.granted(b"\x01\x01")
    with pytest.raises(ValueError):
        socks.granted(b"\x02\x00")


def test_an_association_is_asked_for_as_the_rfc_draws_it() -> None:
    """Version, command 3, reserved, address type 1, address, port."""
    wanted = socks.request(socks.Request.UDP_ASSOCIATE, "0.0.0.0", 0x1234)
    assert wanted == b"\x05\x03\x00\x01\0\0\0\0\x12\x34"


def test_a_reply_is_awaited_until_it_is_whole() -> None:
    """Every proper prefix asks for more; the whole gives the bound address."""
    whole = b"\x05\x00\x00\x01\xc0\x00\x02\x07\x04\x38"
    assert all(socks.reply(whole[:size]) is None for size in range(len(whole)))
    assert socks.reply(whole) == socks.Reply(0, "192.0.2.7", 1080)


def test_a_reply_may_name_its_host() -> None:
    """Address type 3: a length byte and that many letters."""
    assert socks.reply(b"\x05\x00\x00\x03\x05proxy\x00\x50") == socks.Reply(0, "proxy", 80)


def test_a_refusal_needs_only_its_code() -> None:
    """A proxy that hangs up right after the code has still said why."""
    assert socks.reply(b"\x05\x07") == socks.Reply(socks.Code.COMMAND_NOT_SUPPORTED, "", 0)


def test_fragments_are_refused() -> None:
    """RFC 1928 section 7: FRAG other than zero must be dropped without reassembly."""
    whole = bytearray(socks.datagram("192.0.2.1", 53, b"x"))
    whole[2] = 1
    with pytest.raises(ValueError, match="fragment"):
        socks.parse_datagram(bytes(whole))


@given(hosts, ports, st.binary(max_size=64))
def test_a_datagram_comes_back_as_it_was(host: str, port: int, payload: bytes) -> None:
    """Packing and parsing are inverse, IPv4 and IPv6."""
    packed = socks.datagram(host, port, payload)
    assert socks.parse_datagram(packed) == (host, port, payload)
    for size in range(len(packed) - len(payload)):
        with pytest.raises(ValueError):
            socks.parse_datagram(packed[:size])


@given(st.binary(max_size=40))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Whatever arrives, the parsers return a value or raise ValueError."""
    for parse in (socks.method, socks.granted, socks.reply, socks.parse_datagram):
        try:
            parse(data)
        except ValueError:
            continue


@given(st.binary(max_size=40).map(lambda tail: b"\0\0\0" + tail))
def test_a_parsed_source_is_always_an_address(data: bytes) -> None:
    """No name ever comes out of a datagram: nothing would be there to resolve it."""
    try:
        host = socks.parse_datagram(data).host
    except ValueError:
        return
    ipaddress.ip_address(host)
