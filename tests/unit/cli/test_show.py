"""`show`, and `compare` beside it, on a run whose tunnels were watched."""

import json
from pathlib import Path

import pytest

from circumtest import store
from circumtest.model import Cell
from circumtest.sightings import FILE, Deposits
from tests.unit.packets import capture
from tests.unit.runs import OK, SILENT, outline, trials
from tests.unit.test_cli import said

CELL = Cell("wireguard", "call", "lab", "ru")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Twelve blocks of a call in WireGuard, and what WireGuard looked like."""
    store.create(tmp_path, outline("wireguard"))
    writer = store.Writer(tmp_path)
    for trial in trials(CELL, [SILENT] * 12, [OK] * 12):
        writer.append(trial)
    writer.close()
    deposits = Deposits(tmp_path, [CELL])
    deposits.put(CELL, tuple(capture("wg_plain")), played=True)
    deposits.recognise()
    return tmp_path


@pytest.mark.parametrize("command", ["show", "compare"])
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_what_an_observer_sees_is_shown_below(command: str, form: str, run: Path) -> None:
    """With what that does not mean."""
    got = said(command, str(run), "--format", form)
    below = got.stdout.partition("what an observer sees")[2]

    assert (got.returncode, got.stderr) == (0, "")
    assert "WireGuard (packet 2)" in below
    assert "is not undetectable" in below


@pytest.mark.parametrize("command", ["show", "compare"])
def test_json_holds_the_whole_of_it(command: str, run: Path) -> None:
    """Times too, which no table has."""
    got = said(command, str(run), "--format", "json")
    (sighting,) = json.loads(got.stdout)["sightings"]

    assert sighting["cell"]["tunnel"] == "wireguard"
    assert sighting["appearance"]["sizes"][:2] == [148, -92]
    assert len(sighting["appearance"]["times"]) == len(sighting["appearance"]["sizes"])


@pytest.mark.parametrize("command", ["show", "compare"])
def test_a_spoilt_line_is_told_on_stderr(command: str, run: Path) -> None:
    """And costs nothing else."""
    with (run / FILE).open("a") as file:
        file.write("{\n")
    got = said(command, str(run))

    assert got.returncode == 0
    assert "line 2: not a whole sighting" in got.stderr
    assert "WireGuard (packet 2)" in got.stdout
