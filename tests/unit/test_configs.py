"""Shipped configurations are found by name, a person's own by path."""

from pathlib import Path

import pytest

from circumtest import configs
from circumtest.errors import ConfigError


def test_a_shipped_configuration_is_found_by_its_name() -> None:
    """The file is that of the repository's `configs/`."""
    file = configs.find("policies", "open")
    assert file.resolve() == Path(__file__).parents[2] / "configs/policies/open.toml"
    assert "open" in configs.names("policies")


def test_a_path_is_the_persons_own_file(tmp_path: Path) -> None:
    """With a suffix or a slash it is a path, and must be there."""
    own = tmp_path / "open.toml"
    own.write_text("")
    assert configs.find("policies", str(own)) == own
    own.unlink()
    with pytest.raises(ConfigError, match=r"no such file.*\n.*calls-and-wireguard"):
        configs.find("policies", str(own))


def test_an_unknown_name_gets_what_was_probably_meant() -> None:
    """A slip of the pen is answered by the name."""
    with pytest.raises(ConfigError, match="did you mean 'ru-calls-2025-09'"):
        configs.find("policies", "ru-calls-2025-9")
