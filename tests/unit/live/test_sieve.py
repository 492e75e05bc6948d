"""What of an uplink is worth a look: the filter's words run here, and packets are read."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.sieve import MOST, Seen, program, seen
from circumtest.model import Address
from circumtest.netns.packets import Filter

_AUXILIARY = 0xFFFFF000
_ETHERNET, _LOOPBACK = 1, 772
FOUR, SIX = "192.0.2.10", "2001:db8:4::2"
MANY = [f"203.0.113.{number}" for number in range(200)] + [
    f"2001:db8:113::{number:x}" for number in range(1, 100)
]

ports = st.integers(0, 65535)
hosts4 = st.sampled_from([FOUR, *MANY[:3], MANY[199], "198.51.100.9", "198.51.100.10"])
hosts6 = st.sampled_from([SIX, MANY[200], MANY[-1], "2001:db8::9", "2001:db8:113:0:1::1"])


def packet(
    source: str, target: str, protocol: int, payload: bytes, *, fragment: int = 0, options: int = 0
) -> bytes:
    """An IP packet; checksums are nobody's here."""
    near, far = ip_address(source).packed, ip_address(target).packed
    if len(near) == 16:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
        return head + near + far + payload
    size = 20 + options * 4 + len(payload)
    head = struct.pack("!BBHHHBBH", 0x45 + options, 0, size, 1, fragment, 64, protocol, 0)
    return head + near + far + bytes(options * 4) + payload


def segment(source: int, target: int, data: bytes = b"") -> bytes:
    """The payload of a UDP packet."""
    return struct.pack("!HHHH", source, target, 8 + len(data), 0) + data


def runs(
    filter_: Filter, data: bytes, *, kind: int = 4, device: int = 2, hardware: int = _ETHERNET
) -> int:
    """What the kernel would let through: the few instructions that there are, as it has them."""
    beside = {0: 0x0800 if data[0] >> 4 == 4 else 0x86DD, 4: kind, 8: device, 28: hardware}
    accumulator = index = place = 0
    while True:
        code, met, unmet, operand = filter_[place]
        place += 1
        if code == 0x06:
            return operand
        if code == 0x05:
            place += operand
        elif code in (0x15, 0x45):
            true = accumulator == operand if code == 0x15 else accumulator & operand
            place += met if true else unmet
        elif code == 0xB1:
            index = (data[operand] & 15) * 4
        elif operand >= _AUXILIARY:
            accumulator = beside[operand - _AUXILIARY]
        else:
            size = {0x20: 4, 0x28: 2, 0x30: 1, 0x48: 2}[code]
            start = operand + (index if code == 0x48 else 0)
            if start + size > len(data):
                return 0  # as the kernel does with what a packet has not
            accumulator = int.from_bytes(data[start : start + size], "big")


@given(
    st.one_of(st.tuples(hosts4, hosts4), st.tuples(hosts6, hosts6)),
    st.sampled_from([6, 17, 47, 50]),
    ports,
    st.sampled_from([53, 853, 443, 53 << 8]),
    st.sampled_from([0, 0x4000, 0x2000, 100]),
    st.integers(0, 10),
    st.sampled_from([[FOUR, SIX], MANY, []]),
)
def test_the_filter_lets_out_what_goes_to_a_host_and_what_asks_a_resolver(
    pair: tuple[str, str],
    protocol: int,
    near: int,
    far: int,
    fragment: int,
    options: int,
    hosts: Sequence[str],
) -> None:
    """However many hosts there are, and nothing besides."""
    data = packet(*pair, protocol, segment(near, far), fragment=fragment, options=options)
    later = ":" not in pair[0] and fragment & 0x1FFF
    wanted = pair[1] in hosts or (protocol in (6, 17) and far == 53 and not later)

    assert bool(runs(program(hosts), data)) == wanted


def test_what_comes_in_and_what_stays_at_home_is_none_of_it() -> None:
    """Only packets that leave, by a device that leads somewhere and is not the tunnel's."""
    data = packet("198.51.100.9", FOUR, 17, segment(1, 2))

    assert runs(program([FOUR]), data)
    assert not runs(program([FOUR]), data, kind=0)
    assert not runs(program([FOUR]), data, hardware=_LOOPBACK)
    assert not runs(program([FOUR], [7, 9]), data, device=9)
    assert runs(program([FOUR], [7, 9]), data, device=8)


def test_more_hosts_than_a_filter_can_name_are_refused() -> None:
    """And so is what is no address; the most that are allowed fit the kernel's 4096 words."""
    with pytest.raises(ValueError, match="300"):
        program([f"2001:db8::{number:x}" for number in range(MOST + 1)])
    with pytest.raises(ValueError, match="example"):
        program(["example.org"])
    assert len(program([f"2001:db8::{number:x}" for number in range(MOST)])) < 4096


@given(st.binary(max_size=200))
def test_garbage_is_a_packet_or_a_value_error(data: bytes) -> None:
    """Whatever leaves a machine."""
    try:
        seen(data)
    except ValueError:
        return


@given(st.binary(max_size=100), st.sampled_from([6, 17]), st.sampled_from([FOUR, SIX]))
def test_a_question_of_garbage_is_none_or_some_text(data: bytes, protocol: int, host: str) -> None:
    """Nobody promises that what goes to port 53 is DNS."""
    source = "198.51.100.9" if host == FOUR else "2001:db8::9"

    assert isinstance(seen(packet(source, host, protocol, segment(1, 53, data))).question, str)


@pytest.mark.parametrize("options", [0, 3])
def test_ports_and_hosts_are_read_behind_options(options: int) -> None:
    """Of UDP, TCP and of what has no ports."""
    near, far = Address("198.51.100.9", 4242), Address(FOUR, 9000)
    data = packet(near.host, far.host, 17, segment(4242, 9000), options=options)

    assert seen(data) == Seen("UDP", near, far)
    assert seen(packet(near.host, far.host, 47, b"x" * 20)) == Seen(
        "IP", near._replace(port=0), far._replace(port=0)
    )
    later = packet(near.host, far.host, 17, segment(1, 2), fragment=100)
    assert seen(later) == Seen("UDP", near._replace(port=0), far._replace(port=0))


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True), min_size=1, max_size=5))
def test_the_name_of_a_question_is_read(labels: list[str]) -> None:
    """Over UDP and TCP, in lower case, whatever dnspython makes of it."""
    name = ".".join(labels)
    wire = dns.message.make_query(name, "A").to_wire()
    stream = struct.pack("!HHIIBBHHH", 1, 53, 0, 0, 8 << 4, 0x18, 0, 0, 0) + bytes(12)
    over_tcp = stream + len(wire).to_bytes(2, "big") + wire

    assert seen(packet("198.51.100.9", FOUR, 17, segment(1, 53, wire))).question == name.lower()
    assert seen(packet("2001:db8::9", SIX, 6, over_tcp)).question == name.lower()
