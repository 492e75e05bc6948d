"""Live runs on the command line: nothing is sent before somebody said yes."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from circumtest.cli import group
from circumtest.errors import ConfigError

TOKEN = "192.0.2.1:" + "a" * 32


def invoke(*argv: str) -> Result:
    """A command line, in a process that is no terminal."""
    return CliRunner().invoke(group, list(argv), standalone_mode=False)


@pytest.mark.parametrize("how", [("--live",), ("--mirror", TOKEN)])
def test_where_nobody_can_be_asked_nothing_is_begun(how: tuple[str, ...], tmp_path: Path) -> None:
    """Usage, and no folder is left."""
    result = invoke("run", *how, "-o", str(tmp_path / "run"))

    assert "nobody is there to be asked: -y says yes" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_shows_the_plan_and_nothing_of_the_secret() -> None:
    """As `plan` does for one for a real network."""
    shown = invoke("run", "--mirror", TOKEN, "--dry-run")

    assert shown.return_value == 0
    assert "to your mirror 192.0.2.1" in shown.output
    assert "a" * 32 not in shown.output
    assert "telegram: telegram-message" in invoke("run", "--live", "--dry-run").output
    assert "telegram: telegram-message" in invoke("plan", "live").output


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("run", "--live", "--mirror", TOKEN), "two runs"),
        (("run", "--live", "-p", "open"), "--policy is for runs in the lab"),
        (("run", "-y"), "--yes is for live runs"),
        (("run", "--budget", "5"), "--budget is for live runs"),
        (("run", "demo", "--live", "-y"), "is a plan for the lab"),
        (("run", "live", "--mirror", TOKEN, "-y"), "asks real services"),
        (("run", "mirror", "--live", "-y"), "asks a mirror"),
        (("run", "--mirror", "192.0.2.1", "-y"), "no mirror's token"),
    ],
)
def test_what_does_not_go_together_is_told(argv: tuple[str, ...], words: str) -> None:
    """Before anything is asked or sent."""
    result = invoke(*argv)

    assert isinstance(result.exception, ConfigError) or result.exit_code
    assert words in str(result.exception)
