"""What is exchanged with an endpoint: its options, its port and its name, in one."""

import pytest

from circumtest.errors import ConfigError
from circumtest.live.exchanged import At, called, controlled, exchanged, is_address
from circumtest.model import Level, Stage

AT = At("mine.toml", "[[endpoints]] 1", "a.example.org", 5222)


def test_a_handshake_is_made_for_its_endpoint() -> None:
    """Its port, its name and time to answer; what the file says counts more."""
    made = called("signal-message", {}, AT)
    hurried = called("signal-message", {"level": "quick", "host": "b.example.org"}, AT)

    assert (getattr(made, "port", 0), getattr(made, "host", "")) == (5222, "a.example.org")
    assert getattr(made, "level", None) is Level.STANDARD
    assert getattr(hurried, "level", None) is Level.QUICK
    assert getattr(hurried, "host", "") == "b.example.org"


def test_strangers_get_their_part_and_a_control_is_played_whole() -> None:
    """The stages are those that are entered."""
    stages, _ = exchanged(called("telegram-call-turn", {}, AT))
    whole, _ = exchanged(controlled("echo", {"transport": "tcp"}, AT))

    assert stages == (Stage.BINDING, Stage.ALLOCATE)
    assert whole == (Stage.CONNECTIVITY,)


def test_a_key_that_gives_itself_away_needs_no_name() -> None:
    """A far end of one's own, at an address."""
    at = At("mine.toml", "[control]", "192.0.2.1", 443)

    assert controlled("tls", {"secret": "shared"}, at)
    with pytest.raises(ConfigError, match="an address"):
        controlled("tls", {}, at)


def test_an_address_is_told_from_a_name() -> None:
    """Both IP versions."""
    assert is_address("192.0.2.1")
    assert is_address("2001:db8::1")
    assert not is_address("a.example.org")
    assert not is_address("")
