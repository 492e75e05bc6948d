"""Blocks as the pcapng draft has them, read by a second reading of it."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from circumtest.lab import pcapng


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """The types and bodies; both lengths of each block agree and are multiples of four."""
    found, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, at + size - 4) == (size,)
        found.append((kind, data[at + 8 : at + size - 4]))
        at += size
    return found


def options(body: bytes) -> dict[int, bytes]:
    """The options, up to their end."""
    found: dict[int, bytes] = {}
    at = 0
    while True:
        code, size = struct.unpack_from("<HH", body, at)
        if code == 0:
            assert at + 4 == len(body)
            return found
        found[code] = body[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


def test_a_file_begins_with_its_section_and_an_interface_a_link() -> None:
    """Byte order, version, and each link's name, description and nanoseconds."""
    (section, head), *links = blocks(pcapng.header("a program", [("one", "here"), ("two", "")]))
    assert section == 0x0A0D0D0A
    assert head[:16] == struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    assert options(head[16:]) == {4: b"a program"}
    assert [kind for kind, _ in links] == [1, 1]
    assert [body[:8] for _, body in links] == [struct.pack("<HHI", 1, 0, pcapng.SNAPLEN)] * 2
    assert options(links[0][1][8:]) == {2: b"one", 3: b"here", 9: b"\x09"}
    assert options(links[1][1][8:]) == {2: b"two", 3: b"", 9: b"\x09"}


@given(st.integers(0, 1), st.integers(0, (1 << 64) - 1), st.binary(max_size=2000), st.booleans())
def test_every_packet_is_there_again(link: int, at: int, frame: bytes, outbound: bool) -> None:
    """Link, time, bytes and direction."""
    ((kind, body),) = blocks(pcapng.packet(link, at, frame, outbound=outbound))
    assert kind == 6
    which, high, low, kept, size = struct.unpack_from("<IIIII", body)
    assert (which, high << 32 | low, kept, size) == (link, at, len(frame), len(frame))
    assert body[20 : 20 + kept] == frame
    assert options(body[20 + kept + -kept % 4 :]) == {2: struct.pack("<I", 2 if outbound else 1)}


def test_a_packet_that_is_too_long_is_cut_and_says_so() -> None:
    """Its length on the link stays known."""
    ((_, body),) = blocks(pcapng.packet(0, 1, bytes(pcapng.SNAPLEN + 5), outbound=True))
    assert struct.unpack_from("<II", body, 12) == (pcapng.SNAPLEN, pcapng.SNAPLEN + 5)


def test_statistics_tell_what_came_and_what_was_lost() -> None:
    """Of a link, at the end."""
    ((kind, body),) = blocks(pcapng.statistics(1, 5 << 32 | 7, 1000, 3))
    assert kind == 5
    assert struct.unpack_from("<III", body) == (1, 5, 7)
    assert options(body[12:]) == {4: struct.pack("<Q", 1000), 5: struct.pack("<Q", 3)}
