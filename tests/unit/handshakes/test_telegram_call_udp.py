"""The call over UDP reflectors: its configuration, and which answers it takes for its own."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.handshakes.telegram_call_udp import MAX_HELLOS, TelegramCallUdp, _Greetings
from circumtest.model import Address, Cause, Role, Stage, Transport
from circumtest.peers import draw_tags, pair
from circumtest.reflector import UdpReflector
from circumtest.script import Arrival, Channel, Listen
from circumtest.wire.reflector import Hello, SelfInfo, parse_hello

TARGET = tuple(Address(f"203.0.113.{10 + i}", 599) for i in range(3))
CHANNELS = (Channel(1, Transport.UDP, TARGET[0]), Channel(2, Transport.UDP, TARGET[0]))
TAGS = draw_tags(Random(1), natural=False)
SEEN = Address("192.0.2.2", 40001)


@pytest.fixture
def greetings() -> _Greetings:
    """A gathering whose first hellos are out."""
    found = _Greetings(pair(CHANNELS, TAGS, TARGET), TARGET)
    assert len(list(found.due())) == 6
    return found


def info(end: int = 0, **changes: object) -> Arrival:
    """An answer to one end, as it should be but for the changes."""
    fields: dict[str, object] = {"tag": TAGS[end], "date": 1, "host": SEEN.host, "port": SEEN.port}
    source = changes.pop("source", TARGET[0])
    channel = changes.pop("channel", CHANNELS[end])
    data = SelfInfo(**(fields | changes)).pack()  # type: ignore[arg-type]
    return Arrival(channel, data, source, 0.0)  # type: ignore[arg-type]


def test_it_is_a_call_on_as_many_reflectors_as_asked_for() -> None:
    """What the plan and the lab read off it."""
    handshake = TelegramCallUdp(reflectors=5, port=596)

    assert handshake.listen == Listen(Transport.UDP, 596, 5)
    assert handshake.opening == 40
    assert (handshake.role, handshake.messaging) == (Role.CALL, "telegram-message")
    assert handshake.stages[:2] == (Stage.BINDING, Stage.CONNECTIVITY)
    assert isinstance(handshake.answerer(), UdpReflector)


def test_every_reflector_hears_of_both_peers(greetings: _Greetings) -> None:
    """Each hello carries its peer's tag; those that are answered get no more of them."""
    hellos = {(send.channel.id, send.remote, send.data) for send in greetings.due()}
    assert hellos == {
        (channel.id, address, Hello(tag).pack())
        for channel, tag in zip(CHANNELS, TAGS, strict=True)
        for address in TARGET
    }
    greetings.accept(info())

    assert len(list(greetings.due())) == 5


def test_a_silent_reflector_is_asked_twenty_times(greetings: _Greetings) -> None:
    """And no more, however long the stages last."""
    rounds: Iterator[int] = (len(list(greetings.due())) for _ in range(40))

    assert sum(rounds) == 6 * (MAX_HELLOS - 1)


def test_both_peers_have_to_be_answered_by_one_reflector(greetings: _Greetings) -> None:
    """The caller here and the callee there are no call; the address told is the caller's."""
    assert greetings.accept(info(0)) is None
    assert greetings.accept(info(1, source=TARGET[1])) is None
    assert greetings.ready() == ()

    assert greetings.accept(info(1, port=40002)) == SEEN
    assert greetings.ready() == (TARGET[0],)


@pytest.mark.parametrize(
    "changes",
    [
        {"tag": TAGS[1]},
        {"tag": TAGS[0][:12] + b"zzzz"},
        {"tag": b"\0" + b"z" * 11 + TAGS[0][12:]},
        {"query": 124},
        {"source": Address("203.0.113.99", 599)},
        {"source": Address("203.0.113.10", 598)},
        {"channel": CHANNELS[1]},
    ],
)
def test_a_forged_answer_counts_for_nothing(
    greetings: _Greetings, changes: dict[str, object]
) -> None:
    """One field wrong, or the wrong place to come from."""
    greetings.accept(info(1))

    assert greetings.accept(info(0, **changes)) is None
    assert greetings.accept(info(0)) == SEEN


@given(st.binary(max_size=80))
def test_garbage_counts_for_nothing(data: bytes) -> None:
    """Noise, our own hello sent back, and ICMP errors are as if they had never come."""
    found = _Greetings(pair(CHANNELS, TAGS, TARGET), TARGET)
    hello = next(iter(found.due())).data
    assert parse_hello(hello).tag == TAGS[0]
    for raw in (data, hello, hello[:28] + data, Cause.REFUSED):
        assert found.accept(Arrival(CHANNELS[0], raw, TARGET[0], 0.0)) is None
    assert found.ready() == ()
