"""Results on disk: a folder a run, a line a trial, nothing half-written.

`run.json` says what was run and is replaced whole; `trials.jsonl` only grows, one synced line a
trial.  Reading keeps every whole line and reports the rest.  It refuses to change what is there.
`appearances.jsonl` beside them is `circumtest.sightings`'.
"""

import hmac
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from circumtest import __version__
from circumtest.appearance import Sighting
from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.finding import Outline
from circumtest.model import Arm, Trial

FORMAT = 1
"""The version of all files; a reader of this version reads this one only."""
RUN, TRIALS, LOCK = "run.json", "trials.jsonl", ".lock"
SEAL = ".seal"
"""A salt, and under it the digest of what the hash of the plan leaves out: not to be shared."""
SALT = 16
ARMS = len(Arm)


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.json`.  Times are seconds since the Unix epoch; `finished` is None while it is not.

    `environment` is why a live run, when it was last tried, played nothing: in words, or "".
    """

    v: int
    outline: Outline
    started: float
    versions: dict[str, str]
    finished: float | None = None
    environment: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of `trials.jsonl`."""

    v: int
    trial: Trial


class Watched(msgspec.Struct, frozen=True):
    """A line of `appearances.jsonl`."""

    v: int
    sighting: Sighting


_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(Line).decode
_decode_run = msgspec.json.Decoder(Run).decode


def schema() -> str:
    """The JSON Schema of all files, as published in `results/schema.json`."""
    files = [Run, Line, Watched]
    _, components = msgspec.json.schema_components(files, ref_template="#/$defs/{name}")
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": components}
    return msgspec.json.format(msgspec.json.encode(whole)).decode() + "\n"


# ------------------------------------------------------------------ writing


def create(folder: Path, outline: Outline, private: bytes = b"") -> Run:
    """Begin a run in `folder`, or find there the one that began.

    `private` is what the plan's hash leaves out (`Plan.private`).  Raises ConfigError when the
    folder holds a run of another plan, or of the same one with other tunnels behind its names;
    EnvironmentUnfit when the disk does not take it.
    """
    if (folder / RUN).exists():
        run = load(folder)
        problem = ""
        if run.outline.hash != outline.hash:
            problem = f"holds a run of another plan, {run.outline.name!r}"
        elif not _sealed(folder, private):
            problem = "holds a run of this plan with other keys, addresses or files"
        if problem:
            raise ConfigError(str(folder), "", problem, "name another folder with -o")
        return run
    versions = {
        "circumtest": __version__,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
    }
    run = Run(FORMAT, outline, time.time(), versions)
    with _full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _seal(folder, private)
        _replace(folder / RUN, msgspec.json.format(_encode(run)))
    return run


def _seal(folder: Path, private: bytes) -> None:
    salt = os.urandom(SALT)
    fd = os.open(folder / SEAL, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.write(salt + hmac.digest(salt, private, "sha256"))


def _sealed(folder: Path, private: bytes) -> bool:
    """Whether the run there was begun with the same `private`; a shared one has no seal left."""
    try:
        seal = (folder / SEAL).read_bytes()
    except OSError:
        return not private
    return hmac.compare_digest(seal[SALT:], hmac.digest(seal[:SALT], private, "sha256"))


def salt(folder: Path) -> bytes:
    """The salt of a run, for tags that are the same all through it.

    Raises ConfigError where its seal is gone: then what was tagged before cannot be tagged again.
    """
    try:
        found = (folder / SEAL).read_bytes()[:SALT]
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise ConfigError(str(folder / SEAL), "", problem, "begin another run with -o") from None
    if len(found) < SALT:
        raise ConfigError(str(folder / SEAL), "", "is cut short", "begin another run with -o")
    return found


def finish(folder: Path) -> None:
    """Mark the run as finished."""
    with _full_disk(folder):
        run = msgspec.structs.replace(load(folder), finished=time.time())
        _replace(folder / RUN, msgspec.json.format(_encode(run)))


def say_environment(folder: Path, words: str) -> None:
    """Keep why nothing can be played where this run is tried; "" when it can."""
    run = load(folder)
    if run.environment != words:
        with _full_disk(folder):
            changed = msgspec.structs.replace(run, environment=words)
            _replace(folder / RUN, msgspec.json.format(_encode(changed)))


class Writer:
    """Appends trials; several processes may do so at once, each with a writer of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _full_disk(folder):
            self._fd = os.open(folder / TRIALS, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)

    def mend(self) -> None:
        """End a torn last line, so that what comes next is a line of its own.

        To be called by one process before any of them appends.
        """
        end = os.fstat(self._fd).st_size
        if end and os.pread(self._fd, 1, end - 1) != b"\n":
            with _full_disk(self._folder):
                os.write(self._fd, b"\n")
                os.fsync(self._fd)

    def append(self, trial: Trial) -> None:
        """Put one trial on disk.  Raises EnvironmentUnfit when the disk is full."""
        line = _encode(Line(FORMAT, trial)) + b"\n"
        with _full_disk(self._folder):
            written = os.write(self._fd, line)
            if written < len(line):
                os.write(self._fd, b"\n")
                raise OSError(28, "short write")
            os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def make(folder: Path) -> None:
    """Have a folder within a run's, closed to others.  Raises EnvironmentUnfit on a full disk."""
    with _full_disk(folder):
        folder.mkdir(mode=0o700, exist_ok=True)


def publish(file: Path, data: bytes) -> None:
    """Put a whole file into a run's folder.  Raises EnvironmentUnfit when the disk is full."""
    with _full_disk(file.parent):
        _replace(file, data)


def _replace(file: Path, data: bytes) -> None:
    """The whole file or the old one, whatever happens."""
    draft = file.with_suffix(".tmp")
    with draft.open("wb") as out:
        out.write(data + b"\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentUnfit(
            f"{folder} cannot be written: {error.strerror}",
            "what was finished is intact; make room or name another folder, then run again",
        ) from error


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Only one run writes a folder.  Raises ConfigError when another one does."""
    import fcntl  # not on Windows, where only reading works

    with _full_disk(folder):
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(str(folder), "", "another run writes here", "wait for it") from None
        yield
    finally:
        os.close(fd)


# ------------------------------------------------------------------ reading


def load(folder: Path) -> Run:
    """What was run.  Raises ConfigError when `folder` holds no run that this version reads."""
    file = folder / RUN
    try:
        run = _decode_run(file.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            str(folder), "", f"is no run: it has no {RUN}", "name a folder in results/"
        ) from None
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "", f"is not a run of ours: {error}") from None
    if run.v != FORMAT:
        problem = f"has format {run.v}, this version reads {FORMAT}"
        raise ConfigError(str(file), "key `v`", problem, "use the version that wrote it")
    return run


def lines(file: Path) -> list[tuple[str, bytes]]:
    """The lines of a file that have anything in them, each behind its place in words.

    Without the file there are none.  Raises ConfigError when it cannot be read.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read: {error.strerror}") from None
    numbered = enumerate(data.split(b"\n"), 1)
    return [(f"{file}, line {number}", text) for number, text in numbered if text.strip()]


def read(folder: Path) -> tuple[list[Trial], list[str]]:
    """Every whole trial in order, doubles left out, and what was wrong with the other lines.

    Raises ConfigError when the file is there, is not empty and holds no trial at all.
    """
    file = folder / TRIALS
    trials: dict[object, Trial] = {}
    troubles: list[str] = []
    for place, text in lines(file):
        trial = _trial(text, place, troubles)
        if trial is not None:
            key = (trial.cell, trial.block, trial.arm)
            if key in trials:
                troubles.append(f"{place}: a double; the first one counts")
            trials.setdefault(key, trial)
    if troubles and not trials:
        raise ConfigError(str(file), "", "holds no trial of ours", troubles[0])
    return list(trials.values()), troubles


def _trial(text: bytes, place: str, troubles: list[str]) -> Trial | None:
    try:
        line = _decode_line(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        troubles.append(f"{place}: not a whole trial, left out ({str(error)[:80]})")
        return None
    if line.v != FORMAT:
        troubles.append(f"{place}: format {line.v}, left out")
        return None
    return line.trial


def unfinished(results: Path, digest: str, private: bytes = b"") -> Path | None:
    """The newest folder in `results` with a run of that plan that did not finish.

    By its hash, and by what that leaves out, as in `create`.
    """
    found = []
    for file in results.glob(f"*/{RUN}"):
        try:
            run = load(file.parent)
        except ConfigError:
            continue
        same = run.outline.hash == digest and _sealed(file.parent, private)
        if same and run.finished is None:
            found.append((run.started, file.parent))
    return max(found)[1] if found else None
