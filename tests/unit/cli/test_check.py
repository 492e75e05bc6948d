"""`circumtest check` before it sends anything: what it refuses, and that it asks first."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from circumtest.cli import group
from circumtest.errors import ConfigError


def test_without_a_terminal_nothing_is_sent_unless_it_is_told_to() -> None:
    """Exit code 2, with what would be sent where."""
    done = CliRunner().invoke(group, ["check"])

    assert done.exit_code == 2
    assert "sends a few packets" in done.stderr
    assert "nobody is there to be asked: -y says yes" in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        ["--vpn", "no-such-file.conf"],
        ["--target", "whatsap"],
        ["--mirror", "no-token"],
        ["--neutral", "no-such.toml"],
    ],
)
def test_what_cannot_be_right_is_refused_before_anybody_is_asked(given: list[str]) -> None:
    """With one message of what would be."""
    done = CliRunner().invoke(group, ["check", "-y", *given])

    assert isinstance(done.exception, ConfigError)
    assert "sends a few packets" not in done.stderr


def test_help_has_examples_and_exit_codes(tmp_path: Path) -> None:
    """As every command's."""
    done = CliRunner().invoke(group, ["check", "--help"])

    assert done.exit_code == 0
    assert "circumtest check --vpn iface:wg0" in done.output
    assert "Exit codes: 0 something could be said" in done.output
