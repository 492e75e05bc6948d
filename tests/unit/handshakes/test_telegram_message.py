"""The messaging control's configuration and its far half."""

from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.handshakes.telegram_message import MAX_FLOWS, DataCentre, TelegramMessage
from circumtest.model import Address, Role, Stage, Transport
from circumtest.script import Channel, Flow, Listen, Now, Open, Send
from circumtest.wire import mtproto
from circumtest.wire.mtproto_transport import PREAMBLES, Framer, Framing

SERVER = Address("203.0.113.10", 443)
NOW = 1_764_000_000.0
TRANSPORTS = ("obfuscated2", "abridged", "intermediate", "padded")


def flow(port: int) -> Flow:
    """A client's connection."""
    return Flow(Transport.TCP, SERVER, Address("192.0.2.2", port))


def question(framing: Framing, nonce: bytes = b"n" * 16) -> bytes:
    """A client's first bytes."""
    message = mtproto.Message(mtproto.message_id(NOW), mtproto.pack_req_pq_multi(nonce))
    return PREAMBLES[framing] + Framer(framing).pack(message.pack())


def first_segment(handshake: TelegramMessage) -> bytes:
    """What the script sends once it is connected, without playing it any further."""
    script = handshake.script((SERVER,), Random(1))
    reply: object = None
    for _ in range(20):
        command = script.send(reply)
        match command:
            case Send(_, data, _):
                script.close()
                return data
            case Open():
                reply = Channel(1, Transport.TCP, SERVER)
            case Now():
                reply = NOW
            case _:
                reply = None
    raise AssertionError("it never sent anything")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("inner", ["abridged", "intermediate", "padded"])
def test_opening_is_the_size_of_the_first_segment(transport: str, inner: str) -> None:
    """The neutral control sends as many bytes; only random padding is beside it."""
    handshake = TelegramMessage(transport, inner)  # type: ignore[arg-type]
    padded = (inner if transport == "obfuscated2" else transport) == "padded"
    extra = len(first_segment(handshake)) - handshake.opening

    assert 0 <= extra < 16 if padded else extra == 0


def test_it_is_a_messaging_handshake_on_one_tcp_port() -> None:
    """What the plan and the lab read off it."""
    handshake = TelegramMessage(port=5222)

    assert handshake.listen == Listen(Transport.TCP, 5222)
    assert (handshake.role, handshake.stages) == (Role.MESSAGING, (Stage.SIGNALLING,))


@pytest.mark.parametrize("framing", Framing)
def test_a_question_is_answered_once_it_is_whole(framing: Framing) -> None:
    """With its own nonce, a server's message id and fingerprints that clients know."""
    server, data = DataCentre(), question(framing)
    for i in range(len(data) - 1):
        assert not list(server.receive(flow(1), data[i : i + 1], NOW))
    (emit,) = server.receive(flow(1), data[-1:], NOW)
    message = mtproto.parse_message(Framer(framing).feed(emit.data)[0])
    answer = mtproto.parse_res_pq(message.body)

    assert emit.flow == flow(1)
    assert not emit.close
    assert message.id & 3 == 1
    assert answer.nonce == b"n" * 16
    assert mtproto.FINGERPRINTS.issuperset(answer.fingerprints)


def test_what_goes_beyond_the_question_is_not_answered() -> None:
    """The key exchange's next message gets silence; another question on the stream an answer."""
    server = DataCentre()
    assert list(server.receive(flow(1), question(Framing.ABRIDGED), NOW))
    body = mtproto.REQ_DH_PARAMS.to_bytes(4, "little") + bytes(60)
    further = Framer(Framing.ABRIDGED).pack(mtproto.Message(4, body).pack())

    assert not list(server.receive(flow(1), further, NOW))
    assert list(server.receive(flow(1), question(Framing.ABRIDGED)[1:], NOW))


def test_the_answerer_forgets_the_oldest_stream_first() -> None:
    """Half a question from each of very many streams is not kept for ever."""
    server, data, ports = DataCentre(), question(Framing.ABRIDGED), count(1)
    for port, _ in zip(ports, range(MAX_FLOWS + 1), strict=False):
        server.receive(flow(port), data[:20], NOW)

    assert not list(server.receive(flow(1), data[20:], NOW)), "it has to begin anew"
    assert list(server.receive(flow(MAX_FLOWS), data[20:], NOW))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=6))
def test_garbage_gets_nothing_out_of_the_answerer(chunks: list[bytes]) -> None:
    """No answer and no exception, bare and behind each transport's preamble."""
    server = DataCentre()
    for port, framing in enumerate(Framing):
        for chunk in (PREAMBLES[framing] or b"!", *chunks):
            assert not list(server.receive(flow(port), chunk, NOW))
        assert not list(server.receive(flow(port), b"", NOW))
    assert server.timer() is None
