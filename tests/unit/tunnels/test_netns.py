"""Names and files of namespaces: what can be one, and how people write it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.recognise import recognise
from circumtest.tunnels.netns import NAMES, NamedNetns


def test_it_is_written_with_its_kind_before_it() -> None:
    """A name, or the whole path of a file."""
    for netns in ("vpn", "/proc/17/ns/net"):
        assert recognise(f"netns:{netns}", "plan", "place") == {"kind": "netns", "netns": netns}
    assert NamedNetns.claims("vpn") is None
    assert NamedNetns.claims("netns:a\nb") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../etc/passwd", "a\0", "/a\0", "a\nb"])
def test_what_is_neither_a_name_nor_a_whole_path_is_refused(name: str) -> None:
    """A name stays inside its directory."""
    with pytest.raises(ConfigError, match="ip netns list"):
        NamedNetns(netns=name)


def test_a_patience_that_is_none_is_refused() -> None:
    """Zero and NaN seconds wait for nothing."""
    for patience in (0.0, float("nan")):
        with pytest.raises(ConfigError, match="patience"):
            NamedNetns(netns="vpn", patience=patience)


@given(st.text(alphabet="ab./\0\n", max_size=8))
def test_a_name_that_is_taken_never_leads_out_of_its_directory(text: str) -> None:
    """Unless it is a whole path."""
    with suppress(ConfigError):
        named = NamedNetns(netns=text).netns
        assert named.startswith("/") or (NAMES / named).parent == NAMES
