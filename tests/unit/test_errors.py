"""Errors say what to open, what is wrong there and what would be right."""

from circumtest.errors import ConfigError, EnvironmentUnfit, HandshakeFailed, TunnelDown
from circumtest.model import Cause, TunnelFault


def test_a_config_error_is_one_message_with_file_place_and_cure() -> None:
    """Nothing has to be looked up to act on it."""
    error = ConfigError("plan.toml", "[[tunnel]] 1, key `kind`", "is missing", "one of: socks")

    assert str(error) == "plan.toml: [[tunnel]] 1, key `kind`: is missing\n  one of: socks"


def test_what_has_no_place_or_cure_is_told_without() -> None:
    """No empty colons, no empty lines."""
    assert str(ConfigError("plan.toml", "", "is not TOML")) == "plan.toml: is not TOML"
    assert str(EnvironmentUnfit("no TUN")) == "no TUN"


def test_faults_and_causes_stand_in_front_of_their_detail() -> None:
    """The closed vocabulary first, free text after."""
    assert str(TunnelDown(TunnelFault.AUTH, "wrong password")) == "auth: wrong password"
    assert str(TunnelDown(TunnelFault.MTU)) == "mtu"
    assert str(HandshakeFailed(Cause.TIMEOUT, "3 s")) == "generic_timeout_error: 3 s"
    assert str(HandshakeFailed(Cause.RESET)) == "connection_reset"
