"""WhatsApp's messaging: the answerer, its test root, and a configuration that cannot be right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import configs
from circumtest.handshakes.whatsapp_message import (
    MAX_FLOWS,
    MAX_HELLO,
    TEST_ROOT,
    ChatServer,
    WhatsappMessage,
)
from circumtest.model import Address, Role, Transport
from circumtest.script import Flow
from circumtest.wire import noise, protobuf, wacert
from circumtest.wire.noise import KeyPair

NOW = 1_764_000_000.0
CLIENT = KeyPair.of(b"\1" * 32)
HELLO = noise.MAGIC + noise.frame(noise.client_hello(CLIENT))


def flow(port: int = 40000) -> Flow:
    """From a port of the client."""
    return Flow(Transport.TCP, Address("203.0.113.10", 443), Address("192.0.2.2", port))


def say(server: ChatServer, *chunks: bytes, port: int = 40000) -> list[bytes]:
    """What it answers."""
    return [emit.data for chunk in chunks for emit in server.receive(flow(port), chunk, NOW)]


@pytest.mark.parametrize("intro", [b"", noise.INTRO])
@pytest.mark.parametrize("step", [1, 5, 54])
def test_a_client_hello_of_either_form_is_answered_under_the_test_root(
    intro: bytes, step: int
) -> None:
    """In chunks of any size; the chain proves the static key, and only under that root."""
    data = intro + HELLO
    (answer,) = say(ChatServer(), *(data[i : i + step] for i in range(0, len(data), step)))
    static, chain = noise.open_server_hello(answer[3:], CLIENT)

    assert noise.frame_length(answer[:3]) == len(answer) - 3
    assert wacert.check_chain(chain, bytes.fromhex(TEST_ROOT), static, NOW) == ""
    assert wacert.check_chain(chain, bytes.fromhex(wacert.WHATSAPP_ROOT), static, NOW) != ""


def test_the_first_packet_has_the_size_of_either_form() -> None:
    """43 bytes, 54 with edge routing, over TCP."""
    assert [WhatsappMessage(form=form).opening for form in ("plain", "ed")] == [43, 54]
    assert WhatsappMessage.role is Role.MESSAGING
    assert WhatsappMessage().listen.transport is Transport.TCP


def test_the_real_root_is_the_default_and_the_default_plan_names_the_labs() -> None:
    """A lab must say that it trusts a key whose private half anybody can derive."""
    assert WhatsappMessage().root == wacert.WHATSAPP_ROOT != TEST_ROOT
    assert TEST_ROOT in configs.find("plans", "demo").read_text(encoding="utf-8")


@pytest.mark.parametrize("root", ["", "zz", TEST_ROOT[:-2], TEST_ROOT + "00"])
def test_a_root_that_is_no_key_is_refused(root: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        WhatsappMessage(root=root)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        noise.MAGIC + noise.frame(protobuf.pack({2: protobuf.pack({1: bytes(31)})})),
        noise.MAGIC + noise.frame(protobuf.pack({2: protobuf.pack({1: bytes(32)})})),  # low order
        noise.MAGIC + noise.frame(protobuf.pack({2: protobuf.pack({1: b"k" * 32, 2: b"IK"})})),
        noise.MAGIC + b"\xff\xff\xff" + bytes(400),
        noise.INTRO + noise.INTRO,
    ],
)
def test_other_openings_are_not_answered_and_not_kept(data: bytes) -> None:
    """Another protocol, keys that are none, a resumption, an absurd length."""
    server = ChatServer()

    assert say(server, data) == []
    assert server._streams == {}


def test_unfinished_openings_are_bounded_and_forgotten_with_their_stream() -> None:
    """The oldest go first."""
    server = ChatServer()
    for port in range(MAX_FLOWS + 10):
        assert say(server, HELLO[:20], port=port) == []
    assert len(server._streams) == MAX_FLOWS

    assert say(server, b"", port=MAX_FLOWS) == []
    assert len(server._streams) == MAX_FLOWS - 1


@given(
    st.lists(st.binary(max_size=80), max_size=6), st.sampled_from([b"", noise.MAGIC, noise.INTRO])
)
def test_garbage_is_not_answered(chunks: list[bytes], start: bytes) -> None:
    """Also behind a right beginning, and never kept beyond a hello's length."""
    server = ChatServer()

    assert say(server, start, *chunks) == []
    assert all(len(kept) <= MAX_HELLO for kept in server._streams.values())
