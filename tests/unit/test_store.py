"""Results on disk: whole lines are kept, whatever else is there."""

import errno
import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import store
from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.model import Cell, Trial
from tests.unit.runs import OK, SILENT, outline, trials

PLAN = outline("wireguard")
TRIALS = trials(Cell("wireguard", "call", "lab", "ru"), [SILENT, OK], [OK, OK])


def written(folder: Path, those: list[Trial]) -> None:
    """Append trials as a run does."""
    writer = store.Writer(folder)
    writer.mend()
    for trial in those:
        writer.append(trial)
    writer.close()


def test_what_is_appended_is_read_back_in_order(tmp_path: Path) -> None:
    """By another process, at another time."""
    store.create(tmp_path, PLAN)
    written(tmp_path, TRIALS)

    assert store.read(tmp_path) == (TRIALS, [])
    assert store.load(tmp_path).outline == PLAN


def test_a_torn_line_is_reported_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    """A power cut costs one trial."""
    written(tmp_path, TRIALS[:2])
    file = tmp_path / store.TRIALS
    file.write_bytes(file.read_bytes()[:-10])
    written(tmp_path, TRIALS[2:])
    those, troubles = store.read(tmp_path)

    assert those == [TRIALS[0], *TRIALS[2:]]
    assert len(troubles) == 1
    assert "line 2" in troubles[0]


def test_doubles_count_once_and_are_told(tmp_path: Path) -> None:
    """The first one is the trial."""
    written(tmp_path, [*TRIALS, TRIALS[0]])
    those, troubles = store.read(tmp_path)

    assert those == TRIALS
    assert "double" in troubles[0]


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """One message that names it."""
    (tmp_path / store.TRIALS).write_text('{"some": "thing"}\n')

    with pytest.raises(ConfigError, match="holds no trial of ours"):
        store.read(tmp_path)
    with pytest.raises(ConfigError, match="is no run"):
        store.load(tmp_path)


def test_a_folder_with_another_plan_is_refused(tmp_path: Path) -> None:
    """Nothing is mixed, nothing overwritten."""
    store.create(tmp_path, PLAN)
    changed = msgspec.structs.replace(PLAN, hash="1" * 64)

    with pytest.raises(ConfigError, match="another plan"):
        store.create(tmp_path, changed)


def test_another_tunnel_behind_the_same_name_never_resumes_a_run(tmp_path: Path) -> None:
    """The plan's hash leaves secrets out, so the folder itself knows whose trials it holds."""
    folder = tmp_path / "a"
    store.create(folder, PLAN, b"one VPN")

    assert store.create(folder, PLAN, b"one VPN").outline == PLAN
    assert store.unfinished(tmp_path, PLAN.hash, b"one VPN") == folder
    assert store.unfinished(tmp_path, PLAN.hash, b"another VPN") is None
    with pytest.raises(ConfigError, match="other keys, addresses or files"):
        store.create(folder, PLAN, b"another VPN")


def test_the_seal_tells_nobody_what_it_seals(tmp_path: Path) -> None:
    """It is salted, readable by its owner only, and no secret is anywhere in the folder."""
    for name in ("a", "b"):
        store.create(tmp_path / name, PLAN, b"hunter2")
    seals = [(tmp_path / name / store.SEAL) for name in ("a", "b")]

    assert seals[0].read_bytes() != seals[1].read_bytes()
    assert seals[0].stat().st_mode & 0o077 == 0
    assert not any(b"hunter2" in file.read_bytes() for file in (tmp_path / "a").iterdir())


def test_only_one_run_writes_a_folder(tmp_path: Path) -> None:
    """The second one is told to wait."""
    with (
        store.lock(tmp_path),
        pytest.raises(ConfigError, match="another run"),
        store.lock(tmp_path),
    ):
        pass


def test_an_unfinished_run_is_found_again_and_a_finished_one_is_not(tmp_path: Path) -> None:
    """By its plan."""
    store.create(tmp_path / "a", PLAN)

    assert store.unfinished(tmp_path, PLAN.hash) == tmp_path / "a"
    store.finish(tmp_path / "a")
    assert store.unfinished(tmp_path, PLAN.hash) is None


def test_a_full_disk_stops_with_what_was_finished_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to do."""
    written(tmp_path, TRIALS[:3])

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EnvironmentUnfit, match="No space left"):
        written(tmp_path, TRIALS[3:])
    assert store.read(tmp_path)[0] == TRIALS[:3]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3))
def test_arbitrary_bytes_cost_nothing_but_themselves(garbage: bytes, at: int) -> None:
    """Whole lines before and after them survive."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, TRIALS)
        file = folder / store.TRIALS
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join([*lines[:at], garbage.replace(b"\n", b""), b"\n", *lines[at:]]))
        assert store.read(folder)[0] == TRIALS


def test_the_published_schema_is_that_of_the_code() -> None:
    """Whoever reads results by it reads what is written."""
    published = Path(__file__).parents[2] / "results" / "schema.json"

    assert published.read_text() == store.schema()
