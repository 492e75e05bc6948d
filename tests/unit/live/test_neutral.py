"""Whom one asks: the shipped file, and every mistake in a person's own."""

from pathlib import Path

import pytest

from circumtest import configs
from circumtest.errors import ConfigError
from circumtest.live.neutral import FEWEST, load

GOOD = (configs.ROOT / "environment" / "neutral.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", configs.names("environment"))
def test_every_shipped_file_loads_with_dates_and_sources(name: str) -> None:
    """Enough of each that one dead server never decides; by number, some of them."""
    found = load(name)
    for some in (found.pages, found.servers, found.stun):
        assert len({one.name for one in some}) >= FEWEST
    for one in (*found.pages, *found.servers, *found.listed, *found.stun):
        assert one.source.startswith("https://")
        assert one.date.year >= 2025
    assert sum(bool(one.addresses) for one in found.servers) >= 2
    assert found.listed


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("http://detectportal", "https://detectportal", "no http:// URL"),
        ('"1.1.1.1"', '"one.one"', "no IP address"),
        ('name = "www.debian.org"', 'name = "www debian"', "no host name"),
        ("port = 19302", "port = 0", "1"),
        ("[[listed]]", "[[listing]]", "listing"),
        ("date = 2025-12-17\n", "", "date"),
        ("[[page]]", "[[page", "TOML"),
    ],
)
def test_a_mistake_is_one_clear_message(tmp_path: Path, old: str, new: str, said: str) -> None:
    """With the file it is in."""
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        load(str(file))
    assert "own.toml" in str(caught.value)


def test_fewer_than_three_are_refused(tmp_path: Path) -> None:
    """One dead server must never decide."""
    file = tmp_path / "own.toml"
    blocks = GOOD.split("[[")
    kept = [one for one in blocks if not one.startswith("server")] + [
        one for one in blocks if one.startswith("server")
    ][:2]
    file.write_text("[[".join(kept), encoding="utf-8")
    with pytest.raises(ConfigError, match="one dead server"):
        load(str(file))
