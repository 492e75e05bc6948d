"""The file to share: a run's values and what they show, searched before anybody gets it.

It is made anew from what was understood of the folder, so that nothing else of it can come along,
and is the same file for the same run.  It refuses to be made at all where a secret is in it, or
something that looks like one; it says where that is, and never what.
"""

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from circumtest import __version__, sightings, store
from circumtest.compare import compare
from circumtest.errors import ConfigError
from circumtest.report import render
from circumtest.telltale import Tale, any_of, tales, tells_where

APPEARANCES = sightings.FILE
COMPARISON, TABLE, MANIFEST = "comparison.json", "comparison.md", "manifest.json"
_HASH = re.compile(r"[0-9a-f]{64}")
_RESERVED = (".test", ".invalid", ".example", ".localhost", ".example.org", ".example.com")
"""Ends of names that are nobody's (RFC 2606)."""
_NUMBER = re.compile(r"[\d.,:\s-]+")


class Manifest(msgspec.Struct, frozen=True):
    """`manifest.json`: SHA-256 of each file, which plan and versions, and what was left out."""

    v: int
    plan: str
    versions: dict[str, str]
    files: dict[str, str]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is that must not be shared: file, line from 1, key, and of which kind."""

    file: str
    line: int
    key: str
    kind: str

    def __str__(self) -> str:
        spot = f"{self.file}, line {self.line}"
        return f"{spot}, {self.key}: {self.kind}" if self.key else f"{spot}: {self.kind}"


@dataclass(frozen=True)
class Search:
    """What is looked for: `secrets` by name, and shapes; `allowed` addresses and words may stay."""

    secrets: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()

    def places(self, files: Mapping[str, bytes]) -> list[Place]:
        """Every place in `files` that holds one."""
        wanted = self.secrets - self.allowed
        named = any_of(wanted)
        # A table of numbers holds every short number: what is one only is looked for in the values.
        in_tables = any_of(one for one in wanted if not _NUMBER.fullmatch(one))
        found = []
        for file, data in files.items():
            pattern = named if file.endswith((".json", ".jsonl")) else in_tables
            for line, key, text in _strings(file, data):
                if key.endswith("outline.hash") and _HASH.fullmatch(text):
                    continue
                kinds = [_WORDS[tale.kind] for tale in tales(text) if not self._may_stay(tale)]
                if pattern and pattern.search(text):
                    kinds.append("a secret that was named")
                found += [Place(file, line, key, kind) for kind in dict.fromkeys(kinds)]
        return found

    def _may_stay(self, tale: Tale) -> bool:
        if tale.words in self.allowed:
            return True
        match tale.kind:
            case "address":
                return not tells_where(tale.words)
            case "host":
                return f".{tale.words.lower()}".endswith(_RESERVED)
        return False


_WORDS = {
    "pem": "a key or certificate",
    "link": "a link to a proxy",
    "login": "a link with a login",
    "mail": "a mail address",
    "id": "an identifier (UUID)",
    "mac": "a hardware address",
    "home": "somebody's home folder",
    "key": "what looks like a key",
    "address": "a public address",
    "host": "a host's name",
}


def contents(folder: Path, *, appearances: bool = False) -> dict[str, bytes]:
    """The files of a bundle of the run in `folder`, in the order of their names.

    Raises ConfigError when it is no run, or has no trial yet.
    """
    run = store.load(folder)
    trials, _ = store.read(folder)
    if not trials:
        raise ConfigError(str(folder), "", "has no trials yet", "run it first")
    seen = sightings.read(folder)[0] if appearances else []
    findings = compare(run.outline, trials, seen)
    files = {
        store.RUN: msgspec.json.format(msgspec.json.encode(run)) + b"\n",
        store.TRIALS: _lines(store.Line(store.FORMAT, trial) for trial in trials),
        COMPARISON: render(findings, "json", long=True).encode(),
        TABLE: render(findings, "markdown", long=True).encode(),
    }
    if seen:
        files[APPEARANCES] = _lines(store.Watched(store.FORMAT, one) for one in seen)
    files[MANIFEST] = _manifest(folder, run, files, appearances=appearances)
    return dict(sorted(files.items()))


def pack(files: Mapping[str, bytes]) -> bytes:
    """A .tar.gz that is the same for the same files: no times, no owners, no machine."""
    top = f"circumtest-{hashlib.sha256(files[store.RUN]).hexdigest()[:12]}"
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as out:
        out.write(plain.getvalue())
    return packed.getvalue()


def _lines(values: Iterable[Any]) -> bytes:
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)


def _manifest(
    folder: Path, run: store.Run, files: Mapping[str, bytes], *, appearances: bool
) -> bytes:
    left_out = ["seal and lock of the run", "packet captures", "whatever else is in its folder"]
    if not appearances:
        left_out.append("how the tunnels look to an observer (--with-appearances)")
    if troubles := store.read(folder)[1]:
        left_out.append(f"{len(troubles)} lines that are no whole trials")
    versions = {**run.versions, "bundled by circumtest": __version__}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = Manifest(store.FORMAT, run.outline.hash, versions, sums, tuple(left_out))
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


# ------------------------------------------------------------------ every text in a file


def _strings(file: str, data: bytes) -> Iterator[tuple[int, str, str]]:
    """Every text: its line, the key where it stands in JSON, itself.  Digests are none."""
    if file == MANIFEST:
        value = msgspec.json.decode(data)
        yield from ((1, key, text) for key, text in _walk(value["versions"], "versions"))
    elif file.endswith(".json"):
        yield from ((1, key, text) for key, text in _walk(msgspec.json.decode(data), ""))
    elif file.endswith(".jsonl"):
        for number, line in enumerate(data.splitlines(), 1):
            for key, text in _walk(msgspec.json.decode(line), ""):
                yield number, key, text
    else:
        for number, words in enumerate(data.decode(errors="replace").splitlines(), 1):
            yield number, "", words


def _walk(value: Any, key: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield key, value
        case dict():
            for name, one in value.items():
                yield f"{key} (a key)".lstrip(), name
                yield from _walk(one, f"{key}.{name}".lstrip("."))
        case list():
            for one in value:
                yield from _walk(one, key)
