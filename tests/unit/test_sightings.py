"""What is watched in a run, and what is kept of it."""

from pathlib import Path

import pytest

from circumtest import sightings, store
from circumtest.appearance import Sighting
from circumtest.model import Cell
from circumtest.sightings import Deposits, to_watch
from tests.unit.packets import capture, stream
from tests.unit.runs import outline

CALL = Cell("wireguard", "call", "lab", "open")
MESSAGE = Cell("wireguard", "message", "lab", "open")


def test_each_tunnel_is_watched_over_both_transports_calls_first() -> None:
    """Controls are no tunnels."""
    plan = outline("none", "isolated", "wireguard", "socks", policies=("ru", "open"))

    assert to_watch(plan, "open") == (
        CALL,
        Cell("socks", "call", "lab", "open"),
        MESSAGE,
        Cell("socks", "message", "lab", "open"),
    )


def test_what_was_deposited_is_looked_at_kept_and_thrown_away(tmp_path: Path) -> None:
    """Packets may hold what a tunnel carries in the clear."""
    deposits = Deposits(tmp_path, [CALL, MESSAGE])
    assert deposits.wanted(CALL)
    deposits.put(CALL, tuple(capture("wg_plain")), played=True)
    assert not deposits.wanted(CALL)
    assert deposits.wanted(MESSAGE)
    deposits.recognise()
    (found,), troubles = sightings.read(tmp_path)

    assert (found.cell, found.played, troubles) == (CALL, True, [])
    assert found.appearance is not None
    assert found.appearance.sizes[0] == 148
    assert [file.name for file in tmp_path.iterdir()] == [sightings.FILE]


def test_where_a_trial_was_played_counts_before_where_none_was(tmp_path: Path) -> None:
    """A tunnel that carries no UDP is shown with what it does carry."""
    deposits = Deposits(tmp_path, [CALL, MESSAGE])
    deposits.put(CALL, (), played=False)
    deposits.put(MESSAGE, tuple(stream((b"SSH-2.0-x\r\n", 0))), played=True)
    deposits.recognise()
    (found,), _ = sightings.read(tmp_path)

    assert found.cell == MESSAGE


def test_a_run_that_goes_on_watches_what_was_not_seen_and_keeps_what_was(tmp_path: Path) -> None:
    """Once a tunnel; a deposit that was not looked at yet is, later."""
    other = Cell("socks", "call", "lab", "open")
    first = Deposits(tmp_path, [CALL, other])
    first.put(CALL, tuple(capture("wg_plain")), played=True)
    first.recognise()
    before, _ = sightings.read(tmp_path)
    Deposits(tmp_path, [CALL, other]).put(other, (), played=False)
    again = Deposits(tmp_path, [CALL, other])

    assert not again.wanted(CALL)
    assert not again.wanted(other)
    again.recognise()
    assert sightings.read(tmp_path)[0] == [*before, Sighting(other, False, None)]


def test_half_a_deposit_is_none(tmp_path: Path) -> None:
    """A disk that was full, a hand that was busy."""
    deposits = Deposits(tmp_path, [CALL])
    deposits.put(CALL, tuple(capture("wg_plain")), played=True)
    (file,) = (tmp_path / sightings.DEPOSITS).iterdir()
    file.write_bytes(file.read_bytes()[:50])
    deposits.recognise()

    assert sightings.read(tmp_path) == ([], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not a whole sighting"),
        ('{"v": 1, "sighting": {}}', "not a whole sighting"),
        (
            '{"v": 99, "sighting": {"cell": {"tunnel": "a", "handshake": "b", "target": "c",'
            ' "policy": "d"}, "played": true, "appearance": null}}',
            "format 99",
        ),
    ],
)
def test_lines_that_are_none_of_ours_are_told(line: str, why: str, tmp_path: Path) -> None:
    """And cost nothing but themselves."""
    deposits = Deposits(tmp_path, [CALL])
    deposits.put(CALL, (), played=False)
    deposits.recognise()
    file = tmp_path / sightings.FILE
    file.write_text(file.read_text() + line + "\n")
    found, (trouble,) = sightings.read(tmp_path)

    assert [one.cell for one in found] == [CALL]
    assert "line 2" in trouble
    assert why in trouble


def test_a_run_that_nobody_watched_has_none(tmp_path: Path) -> None:
    """Runs of yesterday are read as ever."""
    store.create(tmp_path, outline("wireguard"))

    assert sightings.read(tmp_path) == ([], [])
