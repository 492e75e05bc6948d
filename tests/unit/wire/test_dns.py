"""DNS messages: bytes by the book, answers read, and garbage."""

from contextlib import suppress

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import dns as wire

NAME = "relay.call.test"

ALIASED = """id 4711
opcode QUERY
rcode NOERROR
flags QR RD RA
;QUESTION
Relay.Call.test. IN A
;ANSWER
relay.call.test. 60 IN CNAME far.test.
far.test. 60 IN CNAME near.test.
near.test. 60 IN A 192.0.2.1
near.test. 60 IN A 192.0.2.2
other.test. 60 IN A 192.0.2.9
;AUTHORITY
;ADDITIONAL
"""


def asked(version: int = 4, cookie: bytes = b"") -> wire.Question:
    """The question as who answers reads it."""
    return wire.parse_query(wire.query(4711, NAME, version, cookie))


@pytest.mark.parametrize(("version", "kind"), [(4, "0001"), (6, "001c")])
def test_a_question_is_the_bytes_of_the_book(version: int, kind: str) -> None:
    """RFC 1035 4.1 and 4.2, one OPT record (RFC 6891 6.1.2) that takes 1232 bytes."""
    expected = (
        "1267 0100 0001 0000 0000 0001"
        "05 72656c6179 04 63616c6c 04 74657374 00"
        f"{kind} 0001"
        "00 0029 04d0 00000000 0000"
    )

    assert wire.query(0x1267, NAME, version) == bytes.fromhex(expected.replace(" ", ""))


def test_a_cookie_is_an_option_of_eight_bytes() -> None:
    """Option 10 (RFC 7873 4); without one there is none."""
    cookie = wire.cookie("secret", 4711, NAME)

    assert wire.query(4711, NAME, 4, cookie).endswith(b"\0\x0a\0\x08" + cookie)
    assert asked(cookie=cookie).cookie == cookie
    assert asked().cookie == b""


def test_a_cookie_is_for_one_question() -> None:
    """Another secret, number or name gives another; capitals do not."""
    cookie = wire.cookie("secret", 4711, NAME)
    others = {
        wire.cookie("other", 4711, NAME),
        wire.cookie("secret", 4712, NAME),
        wire.cookie("secret", 4711, "x"),
    }

    assert cookie not in others
    assert len(others) == 3
    assert cookie == wire.cookie("secret", 4711, NAME.upper())


@pytest.mark.parametrize(
    ("version", "addresses"),
    [(4, ("192.0.2.1", "192.0.2.2")), (6, ("2001:db8::1",)), (4, ())],
)
def test_an_answer_comes_back_as_it_was(version: int, addresses: tuple[str, ...]) -> None:
    """Number, question, addresses in their order."""
    reply = wire.parse_reply(asked(version).reply(addresses=addresses))

    assert reply == wire.Reply(4711, NAME, version, wire.NOERROR, addresses, truncated=False)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (wire.NXDOMAIN, "NXDOMAIN"),
        (wire.REFUSED, "REFUSED"),
        (wire.SERVFAIL, "SERVFAIL"),
        (4, "NOTIMP"),
    ],
)
def test_a_refusal_has_its_code(code: int, words: str) -> None:
    """Which the registry names."""
    reply = wire.parse_reply(asked().reply(code))

    assert (reply.code, reply.addresses, reply.words) == (code, (), words)


def test_what_an_answer_says_can_be_told() -> None:
    """Its addresses, or that there is none."""
    assert wire.parse_reply(asked().reply(addresses=["192.0.2.1"])).words == "192.0.2.1"
    assert wire.parse_reply(asked().reply()).words == "no address"


def test_a_truncated_answer_has_no_addresses() -> None:
    """It is asked for over TCP."""
    reply = wire.parse_reply(asked().reply(addresses=["192.0.2.1"], truncated=True))

    assert (reply.truncated, reply.addresses) == (True, ())


def test_aliases_are_followed_and_nothing_else() -> None:
    """RFC 1034 3.6.2; a name that nobody asked for is not believed."""
    reply = wire.parse_reply(dns.message.from_text(ALIASED).to_wire(want_shuffle=False))

    assert reply.addresses == ("192.0.2.1", "192.0.2.2")
    assert reply.name == NAME


def test_aliases_in_a_circle_are_malformed() -> None:
    """They have no end."""
    text = ALIASED.replace("far.test. 60 IN CNAME near.test.", "far.test. 60 IN CNAME far.test.")

    with pytest.raises(ValueError):
        wire.parse_reply(dns.message.from_text(text).to_wire())


def test_another_kind_of_question_has_version_0() -> None:
    """As has another class than the Internet's."""
    for kind, rdclass in (("TXT", "IN"), ("A", "CH")):
        query = dns.message.make_query(NAME, kind, rdclass)
        assert wire.parse_query(query.to_wire()).version == 0


def test_a_question_is_no_answer_and_an_answer_no_question() -> None:
    """One bit tells them apart."""
    with pytest.raises(ValueError, match="not an answer"):
        wire.parse_reply(wire.query(1, NAME, 4))
    with pytest.raises(ValueError, match="not a question"):
        wire.parse_query(asked().reply())


@pytest.mark.parametrize("count", [0, 2])
def test_a_message_has_one_question(count: int) -> None:
    """Real ones do, and others cannot be matched."""
    message = dns.message.make_query(NAME, "A")
    message.question = message.question * count

    with pytest.raises(ValueError, match="one question"):
        wire.parse_query(message.to_wire())


@pytest.mark.parametrize("name", ["a..b", "\\", "x" * 64 + ".test", "a." * 130])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    """An empty label, an escape of nothing, a label or a name that is too long."""
    with pytest.raises(ValueError, match="no host name"):
        wire.query(1, name, 4)


def test_over_tcp_a_message_has_its_length_in_front() -> None:
    """Two bytes (RFC 1035 4.2.2)."""
    assert wire.frame(b"abc") == b"\0\3abc"


GENUINE = [
    wire.query(4711, NAME, 4, b"12345678"),
    asked().reply(addresses=["192.0.2.1", "192.0.2.2"]),
    dns.message.from_text(ALIASED).to_wire(want_shuffle=False),
]


@given(
    st.binary(max_size=80)
    | st.tuples(st.sampled_from(GENUINE), st.integers(0, 100), st.binary(max_size=9)).map(
        lambda it: it[0][: it[1]] + it[2] + it[0][it[1] + len(it[2]) :]
    )
)
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Whatever dnspython says to it."""
    with suppress(ValueError):
        assert wire.parse_reply(data).version in (0, 4, 6)
    try:
        question = wire.parse_query(data)
    except ValueError:
        return
    assert len(question.cookie) <= 8
    question.reply(wire.REFUSED)
