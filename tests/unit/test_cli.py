"""The command line: exit codes, help with examples, reading without what running needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from circumtest.cli import COMMANDS

SAMPLE = Path(__file__).parents[2] / "results" / "sample"


def said(*argv: str) -> subprocess.CompletedProcess[str]:
    """What the command prints, and its exit code, in a process of its own."""
    code = "from circumtest.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command: str) -> None:
    """Copied and typed, it works."""
    help_ = said(command, "--help")

    assert help_.returncode == 0
    assert f"circumtest {command}" in help_.stdout.partition("Example")[2]


def test_what_is_mistyped_exits_with_2_and_a_guess() -> None:
    """On stderr, and nothing on stdout."""
    for argv, guess in (
        (("dem",), "'demo'"),
        (("plan", "dmo"), "'demo'"),
        (("compare", str(SAMPLE), "--fail-on", "bypases"), "'bypasses'"),
        (("compare", "/nowhere"), "is no run"),
        (("run", "demo", "-t", "wiregard"), "'wireguard'"),
    ):
        got = said(*argv)
        assert (got.returncode, got.stdout) == (2, "")
        assert guess in got.stderr


def test_results_are_read_where_neither_root_nor_linux_nor_pyroute2_is() -> None:
    """Reading imports nothing that running needs."""
    code = (
        "import sys; sys.modules['pyroute2'] = None; sys.modules['fcntl'] = None\n"
        "from circumtest.cli import main; main()"
    )
    for command in ("compare", "show"):
        got = subprocess.run(
            [sys.executable, "-c", code, command, str(SAMPLE)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (got.returncode, got.stderr) == (0, "")
        assert "whatsapp-call" in got.stdout


def test_fail_on_decides_the_exit_code() -> None:
    """The sample has a tunnel that bypasses and none that breaks calls."""
    assert said("compare", str(SAMPLE), "--fail-on", "bypasses").returncode == 1
    assert said("compare", str(SAMPLE), "--fail-on", "breaks-calls").returncode == 0


def test_plan_says_what_it_would_do_and_starts_nothing() -> None:
    """Cells, trials, time, and what it could show."""
    got = said("plan", "demo")

    assert got.returncode == 0
    assert "140, 36 of them claims" in got.stdout
    assert "6720: 12 blocks of 4 arms a cell" in got.stdout


def test_list_names_what_plans_may_use() -> None:
    """One name a line, for scripts."""
    assert "ru-calls-2025-09" in said("list", "policies").stdout.splitlines()
