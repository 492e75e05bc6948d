"""Asking a proxy for a relay, against whatever it may answer."""

import asyncio
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.errors import TunnelDown
from circumtest.model import Address, TunnelFault
from circumtest.path.associate import associate, greet, raise_for

PROXY = Address("192.0.2.1", 1080)


async def asked(answer: bytes, user: str = "") -> Address:
    """The relay that a proxy gives which answers `answer`, whatever it is asked, and hangs up."""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        ours.setblocking(False)
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(5):
            await greet(ours, user, user)
            return await associate(ours, udp, PROXY)


def test_the_bound_address_is_the_relay() -> None:
    """And no address at all means the proxy's own."""
    told = b"\x05\x00" + b"\x05\x00\x00\x01\xc0\x00\x02\x07\x04\x38"
    assert asyncio.run(asked(told)) == Address("192.0.2.7", 1080)
    assert asyncio.run(asked(told.replace(b"\xc0\x00\x02\x07", bytes(4)))) == PROXY


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"\x05\xff", TunnelFault.AUTH),
        (b"\x05\x02\x01\x01", TunnelFault.AUTH),
        (b"\x05\x02\x01", TunnelFault.HANDSHAKE),
        (b"\x05\x00\x05\x07", TunnelFault.NO_UDP),
        (b"\x05\x00\x05\x02\x00\x01", TunnelFault.NO_UDP),
        (b"\x05\x00\x05\x00\x00\x04" + b"\1" * 18, TunnelFault.NO_UDP),
        (b"\x05\x00\x05\x00\x00\x03\x04name\x00\x01", TunnelFault.HANDSHAKE),
        (b"\x05\x00", TunnelFault.HANDSHAKE),
        (b"HTTP/1.1 400", TunnelFault.HANDSHAKE),
    ],
)
def test_each_refusal_has_its_fault(answer: bytes, fault: TunnelFault) -> None:
    """Wrong login, no UDP, a relay of another family, a name, half an answer, another protocol."""
    with pytest.raises(TunnelDown) as caught:
        asyncio.run(asked(answer, user="me"))
    assert caught.value.fault is fault


@settings(max_examples=50)
@given(st.sampled_from([b"", b"\x05\x00", b"\x05\x00\x05\x00\x00"]), st.binary(max_size=30))
def test_garbage_is_the_tunnels_fault_and_nothing_else(start: bytes, rest: bytes) -> None:
    """Never another exception, never a hang."""
    try:
        relay = asyncio.run(asked(start + rest))
    except TunnelDown:
        return
    assert relay.version == 4


@given(st.integers(0, 255))
def test_every_code_is_either_the_targets_or_the_proxys(code: int) -> None:
    """No code goes unnamed, and the errno is one that has a cause."""
    with pytest.raises((OSError, TunnelDown)):
        raise_for(code)


def test_neither_our_address_nor_our_port_is_told() -> None:
    """Something on the way may change both, and a proxy that was told them drops the others'."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            ours.setblocking(False)
            theirs.sendall(b"\x05\x00\x00\x01\xc0\x00\x02\x07\x04\x38")
            assert await associate(ours, udp, PROXY) == Address("192.0.2.7", 1080)
            assert theirs.recv(99) == b"\x05\x03\x00\x01" + bytes(6)

    asyncio.run(main())
