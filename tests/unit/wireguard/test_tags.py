"""Custom packets: what the tags make, and what is no tag."""

import string
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wireguard.tags import MOST, special


def made(text: str, now: float = 0.0, count: int = 0) -> bytes:
    """The packet, by chance that is always the same."""
    return special(text).make(Random(7), now, count)


def test_each_tag_makes_its_octets_in_order() -> None:
    """Fixed, counted and random parts, as many as their size says."""
    packet = made("<b 0x00FFa1><t><c>", now=1_700_000_000.9, count=258)
    assert packet == bytes.fromhex("00ffa1") + (1_700_000_000).to_bytes(4, "big") + b"\0\0\1\2"
    assert len(made("<r 16><rc 5><rd 3>")) == special("<r 16><rc 5><rd 3>").size == 24


def test_random_letters_are_letters_and_digits_digits() -> None:
    """And octets are any; chance decides which."""
    assert set(made("<rc 500>").decode()) == set(string.ascii_letters)
    assert set(made("<rd 500>").decode()) == set(string.digits)
    assert len(set(made("<r 5000>"))) == 256
    assert special("<r 9>").make(Random(1), 0, 0) != special("<r 9>").make(Random(2), 0, 0)


def test_blanks_between_and_inside_tags_mean_nothing() -> None:
    """As the daemons read them."""
    assert made(" < b  0x0102 > <t> ") == b"\1\2\0\0\0\0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 octets"),
        ("<r 0>", "0 octets"),
        (f"<r {MOST}><r 1>", "65508 octets"),
        ("hello", "from character 1"),
        ("<r 1>x<r 1>", "from character 6"),
        ("<r 1", "from character 1"),
        ("<b 01>", "0x and an even number"),
        ("<b 0x012>", "0x and an even number"),
        ("<b 0x>", "0x and an even number"),
        ("<b>", "0x and an even number"),
        ("<r>", "a number of octets"),
        ("<rc -1>", "a number of octets"),
        ("<rd many>", "a number of octets"),
        ("<t 4>", "nothing behind it"),
        ("<rb 4>", "unknown tag <rb>"),
        ("<ds>", "unknown tag <ds>"),
    ],
)
def test_what_is_no_packet_is_refused_in_its_own_words(text: str, said: str) -> None:
    """The daemons skip some of it in silence, and send something else than was meant."""
    with pytest.raises(ValueError, match=said):
        special(text)


@given(st.text(alphabet="<>brcdt0x1f 9\n", max_size=40))
def test_garbage_is_a_value_error_or_a_packet_of_its_size(text: str) -> None:
    """Nothing else."""
    with suppress(ValueError):
        one = special(text)
        assert len(one.make(Random(0), 0, 0)) == one.size
