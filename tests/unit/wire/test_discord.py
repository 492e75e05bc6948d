"""Discord's packets: the captured bytes, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import discord

ASKED = "000100460000beef" + "00" * 64 + "6f74"
ANSWERED = "000200460000beef" + b"192.0.2.100".hex() + "00" * 53 + "e263"


def test_discovery_has_the_captured_bytes() -> None:
    """74 both ways; the port is in network order, the address text."""
    assert discord.ask(0xBEEF, 0x6F74) == bytes.fromhex(ASKED)
    assert discord.parse_ask(bytes.fromhex(ASKED)) == (0xBEEF, 0x6F74)
    assert discord.answer(0xBEEF, "192.0.2.100", 57955) == bytes.fromhex(ANSWERED)
    assert discord.parse_answer(bytes.fromhex(ANSWERED)) == ("192.0.2.100", 57955)


def test_the_longest_ipv6_address_fits() -> None:
    """39 characters of 64."""
    host = "2001:db8:1111:2222:3333:4444:5555:6666"
    assert discord.parse_answer(discord.answer(1, host, 2)) == (host, 2)


@pytest.mark.parametrize(
    "spoiled",
    [
        ANSWERED[:-2],
        ANSWERED.replace("00020046", "00010046"),
        ANSWERED.replace(b"192".hex(), b"x92".hex()),
        ANSWERED.replace(b"192".hex(), "ff3932"),
        ANSWERED[:-6] + "01" + ANSWERED[-4:],
        "000200460000beef" + b"2001:db8::1%1".hex() + "00" * 51 + "e263",
        "",
    ],
)
def test_an_answer_that_is_spoiled_is_told(spoiled: str) -> None:
    """Cut short, another type, no address, no text, something behind it, a zone."""
    with pytest.raises(ValueError):
        discord.parse_answer(bytes.fromhex(spoiled))


def test_a_request_has_64_zeros() -> None:
    """One that has not is none."""
    with pytest.raises(ValueError):
        discord.parse_ask(bytes.fromhex(ASKED[:20] + "01" + ASKED[22:]))


def test_a_keep_alive_counts_in_little_endian() -> None:
    """As captured: 1337cafe 01000000."""
    assert discord.keep_alive(1).hex() == "1337cafe01000000"
    assert discord.parse_keep_alive(discord.keep_alive(258)) == 258
    with pytest.raises(ValueError):
        discord.parse_keep_alive(discord.keep_alive(1)[:-1])


def test_sound_begins_as_captured() -> None:
    """`90 78`, one word of extension under the profile of RFC 8285, 960 ticks a packet."""
    head = discord.header(2, 7, b"abcd").pack()

    assert head.hex() == "90780002" + "00000780" + "00000007" + "bede0001" + b"abcd".hex()


@given(st.binary(max_size=80), st.sampled_from(["", "00010046", "00020046", "1337cafe"]))
def test_garbage_is_a_value_error(data: bytes, head: str) -> None:
    """Nothing else is raised, whatever it begins with; also at the right size."""
    for whole in (bytes.fromhex(head) + data, (bytes.fromhex(head) + data).ljust(74, b"\0")[:74]):
        for parse in (discord.parse_ask, discord.parse_answer, discord.parse_keep_alive):
            try:
                parse(whole)
            except ValueError:
                continue
        assert discord.is_answer(whole, 0) in (True, False)
