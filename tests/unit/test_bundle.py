"""The file to share: the same each time, and none at all where a secret is in it."""

import io
import json
import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circumtest import store
from circumtest.bundle import MANIFEST, Search, contents, pack
from circumtest.errors import ConfigError
from circumtest.live.privacy import Keeper
from circumtest.model import Address, Arm, Cause, Cell, Failure, Invalid, Record, Stage, Trial
from tests.unit.runs import OK, outline, trials

CELL = Cell("wireguard", "call", "lab", "ru")
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="…<>"), min_size=6).filter(
    lambda one: len(one.strip()) >= 6 and any(map(str.isalpha, one))
)


def run(folder: Path, *more: Trial, summary: str = "") -> Path:
    """A small run on disk, with a seal."""
    plan = msgspec.structs.replace(outline("wireguard"), summary=summary)
    store.create(folder, plan, b"private")
    writer = store.Writer(folder)
    for trial in (*trials(CELL, [OK] * 2, [OK] * 2), *more):
        writer.append(trial)
    writer.close()
    return folder


def said(detail: str, seen: Address | None = None) -> Trial:
    """A trial that failed with those words."""
    outcome = Failure(Stage.ALLOCATE, Cause.REFUSED, detail)
    return Trial(CELL, 7, Arm.INSIDE, 1.0, Record(outcome, 0.1, exit=seen))


def test_the_same_run_makes_the_same_file(tmp_path: Path) -> None:
    """Byte for byte, so that two people can compare it by its sum."""
    folder = run(tmp_path)

    assert pack(contents(folder)) == pack(contents(folder))


def test_the_archive_holds_values_and_sums_and_nothing_else_of_the_folder(tmp_path: Path) -> None:
    """No seal, no lock, no packets, no stray line, no owner."""
    folder = run(tmp_path)
    (folder / "call.pcapng").write_bytes(b"packets")
    (folder / "my hunter2.txt").write_text("hunter2")
    with (folder / store.TRIALS).open("a") as lines:
        lines.write('{"hunter2": 1}\n')
    files = contents(folder)
    with tarfile.open(fileobj=io.BytesIO(pack(files))) as archive:
        members = archive.getmembers()
        whole = {m.name: (archive.extractfile(m) or io.BytesIO()).read() for m in members}

    assert {name.partition("/")[2] for name in whole} == set(files)
    assert set(files) == {
        "run.json",
        "trials.jsonl",
        "comparison.json",
        "comparison.md",
        "manifest.json",
    }
    assert all((m.uid, m.uname, m.mtime) == (0, "", 0) for m in members)
    assert b"hunter2" not in b"".join(whole.values())
    manifest = json.loads(files[MANIFEST])
    assert set(manifest["files"]) == set(files) - {MANIFEST}
    assert "1 lines that are no whole trials" in manifest["left_out"]


def test_a_plain_run_holds_nothing_that_looks_like_a_secret(tmp_path: Path) -> None:
    """Sums, hashes, times, versions, examples of addresses are none."""
    folder = run(tmp_path, said("udp 203.0.113.5:3478: refused at 12:34:56"))

    assert Search().places(contents(folder)) == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("key yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "key"),
        ("-----BEGIN PRIVATE KEY-----", "key"),
        ("ss://YWVzOnB3@h.example:8388", "link"),
        ("http://anna:pw@proxy.example/", "login"),
        ("seen as 8.8.4.4", "public address"),
        ("to vpn.anna.net", "host"),
        ("in /home/anna/x", "home"),
    ],
)
def test_what_looks_like_a_secret_is_told_by_its_place_only(
    tmp_path: Path, words: str, kind: str
) -> None:
    """File, line, key, kind; never the words."""
    places = Search().places(contents(run(tmp_path, said(words))))
    told = " ".join(map(str, places))

    assert any("trials.jsonl, line 9, trial.record.outcome.detail" in str(one) for one in places)
    assert kind in told
    assert words not in told
    assert words.split()[-1] not in told


def test_what_is_allowed_may_stay(tmp_path: Path) -> None:
    """A public service's address, in the shipped targets or by the person's own word."""
    files = contents(run(tmp_path, said("udp 8.8.4.4:3478 refused by e1.whatsapp.net")))

    assert Search(allowed=frozenset({"8.8.4.4", "e1.whatsapp.net"})).places(files) == []


def test_an_exit_that_is_no_tag_is_found(tmp_path: Path) -> None:
    """The address of the person, or of his server."""
    places = Search().places(contents(run(tmp_path, said("", Address("8.8.4.4", 1)))))

    assert [one.kind for one in places] == ["a public address"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(SECRETS, st.text(max_size=20), st.sampled_from(["detail", "evidence", "summary", "name"]))
def test_a_planted_secret_is_refused_or_was_scrubbed(
    tmp_path_factory: pytest.TempPathFactory, secret: str, before: str, where: str
) -> None:
    """Unscrubbed it is found wherever it stands; through the keeper it never gets there."""
    words = f"{before}{secret} end"
    trial = said(words) if where == "detail" else said("")
    if where == "evidence":
        outcome = Invalid("tunnel-down", evidence=words)
        trial = Trial(CELL, 7, Arm.INSIDE, 1.0, Record(outcome, 0.1))
    if where == "name":
        trial = Trial(Cell(words, "call", "lab", "ru"), 7, Arm.INSIDE, 1.0, Record(OK, 0.1))
    summary = words if where == "summary" else ""
    search = Search(frozenset({secret}))
    raw = contents(run(tmp_path_factory.mktemp("raw"), trial, summary=summary))

    assert search.places(raw)
    if where == "name":
        return  # names are refused before a run begins
    keeper = Keeper(b"s", frozenset({secret}))
    folder = tmp_path_factory.mktemp("kept")
    kept = contents(run(folder, keeper.trial(trial), summary=keeper.text(summary)))
    assert search.places(kept) == []
    assert keeper.hits


def test_an_empty_run_is_no_bundle(tmp_path: Path) -> None:
    """There is nothing to share."""
    store.create(tmp_path, outline("wireguard"))

    with pytest.raises(ConfigError, match="no trials"):
        contents(tmp_path)
