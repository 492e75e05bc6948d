"""The one door: tables in, instances or one clear message out."""

import pytest

from circumtest.errors import ConfigError
from circumtest.handshakes.stun_binding import StunBinding
from circumtest.registry import HANDSHAKES, SERVERS, TUNNELS, build, check_keys, kinds, load


def test_what_is_shipped_is_found_by_entry_point() -> None:
    """Built-in kinds come through the same door as anybody's."""
    assert {"echo", "whatsapp-call", "telegram-call-udp"} <= set(kinds(HANDSHAKES))
    assert {"none", "isolated", "wireguard", "socks"} <= set(kinds(TUNNELS))
    assert {"dante", "microsocks", "wireguard-go"} <= set(kinds(SERVERS))


def test_a_table_becomes_an_instance_with_its_fields() -> None:
    """Keys are fields."""
    built = build(HANDSHAKES, {"kind": "stun-binding", "port": 1400}, "plan.toml", "[[handshake]]")

    assert built == StunBinding(port=1400)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "key `kind`: is missing"),
        ({"kind": "stun-bindin"}, "did you mean 'stun-binding'?"),
        ({"kind": "stun-binding", "prot": 1}, "did you mean 'port'?"),
        ({"kind": "stun-binding", "port": "x"}, "key `port`: expected `int`"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_file_place_and_cure(
    table: dict[str, object], words: str
) -> None:
    """One message, and nothing is built."""
    with pytest.raises(ConfigError) as told:
        build(HANDSHAKES, table, "plan.toml", "[[handshake]] 2")

    assert str(told.value).startswith("plan.toml: [[handshake]] 2")
    assert words in str(told.value)


def test_keys_are_checked_without_the_fields_that_come_later() -> None:
    """A tunnel whose server gives it the rest is still held to its own keys."""
    cls, fields = check_keys(TUNNELS, {"kind": "wireguard", "patience": 3.0}, "p", "t")

    assert cls is load(TUNNELS, "wireguard", "p", "t")
    assert fields == {"patience": 3.0}
