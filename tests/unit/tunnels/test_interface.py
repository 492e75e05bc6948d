"""Names of devices: what can be one, and how people write it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.recognise import recognise
from circumtest.tunnels.interface import Interface


def test_it_is_written_with_its_kind_before_it() -> None:
    """`iface:` and `interface:` alike, blanks at the ends dropped."""
    for text in ("iface:wg0", "interface:wg0", " iface: wg0 "):
        assert recognise(text, "plan", "place") == {"kind": "interface", "device": "wg0"}
    for text in ("wg0", "socks5://wg0:1", "[Interface]\ninterface:wg0", "interface:a\nb"):
        assert Interface.claims(text) is None


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "x" * 16, ".", "..", "a\0"])
def test_what_no_device_can_be_called_is_refused(name: str) -> None:
    """As the kernel refuses it, with where to look."""
    with pytest.raises(ConfigError, match="ip link"):
        Interface(device=name)


def test_a_patience_that_is_none_is_refused() -> None:
    """Zero and NaN seconds wait for nothing."""
    for patience in (0.0, float("nan")):
        with pytest.raises(ConfigError, match="patience"):
            Interface(device="wg0", patience=patience)


@given(st.text(max_size=20))
def test_garbage_is_a_configuration_error_or_a_name(text: str) -> None:
    """Whatever it is, it is kept as it is."""
    with suppress(ConfigError):
        assert Interface(device=text).device == text
