"""`bundle`: a file and exit code 0, or the place of a secret and exit code 2."""

import tarfile
from pathlib import Path

import pytest

from circumtest import store
from circumtest.model import Cause, Cell, Failure, Stage
from tests.unit.runs import OK, outline, trials
from tests.unit.test_cli import said


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """One that says a password where nobody would look for its shape."""
    folder = tmp_path / "run"
    store.create(folder, outline("wireguard"), b"private")
    writer = store.Writer(folder)
    failure = Failure(Stage.ALLOCATE, Cause.REFUSED, "login hunter-two refused")
    for trial in trials(Cell("wireguard", "call", "lab", "ru"), [failure], [OK]):
        writer.append(trial)
    writer.close()
    return folder


def test_a_run_becomes_one_file_beside_it(run: Path) -> None:
    """And it is said that no secret was named."""
    got = said("bundle", str(run))
    file = run.with_name("run.tar.gz")

    assert got.returncode == 0
    assert "no secret was named" in got.stderr
    with tarfile.open(file) as archive:
        assert len(archive.getnames()) == 5


def test_a_secret_that_was_named_is_found_and_not_repeated(run: Path, tmp_path: Path) -> None:
    """Nothing is written."""
    secrets = tmp_path / "secrets.txt"
    secrets.write_text("hunter-two\n")
    got = said("bundle", str(run), "--secret", str(secrets), "-o", str(tmp_path / "x.tar.gz"))

    assert got.returncode == 2
    assert "trials.jsonl, line 1, trial.record.outcome.detail: a secret" in got.stderr
    assert "hunter" not in got.stdout + got.stderr
    assert not (tmp_path / "x.tar.gz").exists()


def test_the_secrets_of_a_vpn_are_taken_out_of_its_file(run: Path, tmp_path: Path) -> None:
    """The person need not know which of its words are."""
    vpn = tmp_path / "proxy.txt"
    vpn.write_text("socks5://anna:hunter-two@192.0.2.9:1080\n")
    got = said("bundle", str(run), "--vpn", str(vpn))

    assert got.returncode == 2
    assert "hunter" not in got.stderr


def test_a_secret_that_would_be_everywhere_is_refused(run: Path, tmp_path: Path) -> None:
    """Three letters are in every other word."""
    secrets = tmp_path / "secrets.txt"
    secrets.write_text("abc\n")
    got = said("bundle", str(run), "--secret", str(secrets))

    assert got.returncode == 2
    assert "fewer than 4 characters" in got.stderr


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    """With what to name."""
    got = said("bundle", str(tmp_path))

    assert got.returncode == 2
    assert "is no run" in got.stderr
