"""Recordings as TOML: a head, and one frame a line.

Strict in both directions: what is written is read again as the same value, and what is read is
refused with file, key and cure where anything in it could not be played.  It refuses to guess.
"""

import math
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import msgspec

from circumtest import configs, registry
from circumtest.errors import ConfigError
from circumtest.model import Transport
from circumtest.recording import (
    ADDRESSES,
    MAX_FRAME,
    MAX_FRAMES,
    SEALS,
    Frame,
    Kind,
    Place,
    Recording,
)
from circumtest.wire import stun

FORMAT = 1
MAX_TEXT = 4 << 20
"""Bytes of a file at most."""
MAX_OPENING = 65536
"""Bytes that a caller may say over a stream before the far half says anything."""
MAX_TIME = 86400.0
_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_REFRESH = re.compile(r"(\d{1,5}):(\d{1,5}):([a-z0-9]+)(?::([a-z0-9]*))?(?::(-?\d{1,10}))?")
_SIZES = {Kind.INTEGRITY: (20,), Kind.FINGERPRINT: (4,), **dict.fromkeys(ADDRESSES, (8, 20))}


class _FrameTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: float
    sender: Literal["client", "server"] = msgspec.field(name="from")
    size: int
    hex: str = ""
    refresh: tuple[str, ...] = ()
    made: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    transport: Transport
    port: int
    frames: tuple[_FrameTable, ...]
    summary: str = ""
    media: int | None = None
    key: str = ""


def load(name: str) -> Recording:
    """A shipped recording by name, or the one in a file.  Raises ConfigError."""
    file = configs.find("recordings", name)
    try:
        if file.stat().st_size > MAX_TEXT:
            raise ConfigError(name, "", f"is larger than {MAX_TEXT >> 20} MiB")
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(name, "", "is not text") from None
    except OSError as error:
        raise ConfigError(name, "", f"cannot be read: {error.strerror}") from None
    return loads(text, name)


@cache
def loads(text: str, where: str) -> Recording:
    """The recording in a text; `where` names it.  Raises ConfigError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(where, "", f"is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(where, "", "is nested too deeply") from None
    if raw.get("format") != FORMAT:
        remedy = "files by `circumtest capture import` have `format = 1`"
        raise ConfigError(where, "key `format`", "is not one that is known", remedy)
    table: _File = registry.convert(raw, _File, where, "")
    if not table.frames or len(table.frames) > MAX_FRAMES:
        raise ConfigError(where, "key `frames`", f"has not 1 to {MAX_FRAMES} frames")
    frames = tuple(
        _frame(one, where, f"frame {number}") for number, one in enumerate(table.frames, 1)
    )
    media = None if table.media is None else table.media - 1
    made = Recording(table.transport, table.port, frames, table.summary, media, table.key)
    check(made, where)
    return made


def dumps(recording: Recording) -> str:
    """The text of a recording."""
    head: list[tuple[str, Any]] = [
        ("format", FORMAT),
        ("summary", recording.summary),
        ("transport", str(recording.transport)),
        ("port", recording.port),
    ]
    if recording.media is not None:
        head.append(("media", recording.media + 1))
    if recording.key:
        head.append(("key", recording.key))
    lines = [f"{name} = {_value(value)}" for name, value in head]
    lines += ["frames = [", *(f"  {_line(frame)}," for frame in recording.frames), "]"]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------ frames


def _frame(table: _FrameTable, where: str, place: str) -> Frame:
    try:
        data = bytes.fromhex(table.hex)
    except ValueError:
        raise ConfigError(where, f"{place}, key `hex`", "is not hexadecimal") from None
    if not max(len(data), 1) <= table.size <= MAX_FRAME:
        problem = f"{table.size} does not fit: `hex` has {len(data)} bytes"
        raise ConfigError(where, f"{place}, key `size`", problem, f"1 to {MAX_FRAME}")
    if not 0 <= table.at <= MAX_TIME:
        problem = f"{table.at} is no time"
        raise ConfigError(where, f"{place}, key `at`", problem, "seconds, 0 to 86400")
    data = data.ljust(table.size, b"\0")
    spot = f"{place}, key `refresh`"
    places = tuple(_place(text, where, spot) for text in table.refresh)
    free = 0
    for one in sorted(places, key=lambda p: p.offset):
        if one.offset < free or one.end > len(data):
            raise ConfigError(where, spot, "its places overlap, or reach beyond the frame")
        free = one.end
        if any(data[one.offset : one.end]):
            problem = f"`hex` is not zero at {one.offset}, which is fresh in every play"
            raise ConfigError(where, spot, problem)
    return Frame(table.at, table.sender == "client", data, places, table.made)


def _place(text: str, where: str, spot: str) -> Place:
    remedy = f"OFFSET:SIZE:KIND[:NAME[:ADD]], kinds: {', '.join(Kind)}"
    matched = _REFRESH.fullmatch(text)
    if not matched or matched[3] not in list(Kind):
        raise ConfigError(where, spot, f"{text!r} is no place", remedy)
    offset, size, kind = int(matched[1]), int(matched[2]), Kind(matched[3])
    name, add = matched[4] or "", int(matched[5] or 0)
    if size < 1 or size not in _SIZES.get(kind, (size,)):
        raise ConfigError(where, spot, f"{text!r} has a wrong size", remedy)
    if name and not _NAME.fullmatch(name):
        raise ConfigError(
            where, spot, f"{text!r} has a wrong name", "a letter, then letters, digits"
        )
    if kind is Kind.COUNTER and (not name or size > 8):
        raise ConfigError(where, spot, f"{text!r} has no name, or more than 8 bytes", remedy)
    if kind in SEALS | ADDRESSES and not 0 <= add <= offset - stun.HEADER - 4:
        raise ConfigError(where, spot, f"{text!r} is not inside of a STUN message", remedy)
    return Place(offset, size, kind, name, add)


def _line(frame: Frame) -> str:
    known = frame.data.rstrip(b"\0").hex()
    parts = [f"at = {frame.at:.6f}", f'from = "{"client" if frame.client else "server"}"']
    parts.append(f"size = {len(frame.data)}")
    if known:
        parts.append(f'hex = "{known}"')
    if frame.places:
        parts.append(f"refresh = [{', '.join(_value(_spell(place)) for place in frame.places)}]")
    if frame.made:
        parts.append("made = true")
    return f"{{{', '.join(parts)}}}"


def _spell(place: Place) -> str:
    parts = [place.offset, place.size, str(place.kind)]
    if place.name or place.add:
        parts.append(place.name)
    if place.add:
        parts.append(place.add)
    return ":".join(str(part) for part in parts)


def _value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else quoted(value)


def quoted(text: str) -> str:
    """A text as TOML has it, on one line."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ------------------------------------------------------------------ the whole


def check(recording: Recording, where: str) -> None:
    """Raise ConfigError for what could not be played, though each of its frames could."""
    frames = recording.frames
    if not 1 <= recording.port <= 65535:
        raise ConfigError(where, "key `port`", f"{recording.port} is no port", "1 to 65535")
    if not frames[0].client:
        problem = "the server speaks first: nothing would tell it that a call has come"
        raise ConfigError(where, "frame 1", problem)
    if all(frame.client for frame in frames):
        raise ConfigError(where, "key `frames`", "nothing comes back: it could show nothing")
    for number, (one, two) in enumerate(pairwise(frames), 2):
        if two.at < one.at or not math.isfinite(two.at):
            raise ConfigError(where, f"frame {number}, key `at`", "is before the frame before it")
    opening = sum(len(frames[number].data) for number in recording.turns[0].client)
    if opening > MAX_OPENING:
        raise ConfigError(where, "key `frames`", f"more than {MAX_OPENING} bytes before any answer")
    _check_names(frames, where)
    _check_media(recording, where)


def _check_names(frames: Iterable[Frame], where: str) -> None:
    known: dict[str, tuple[int, Kind]] = {}
    for number, frame in enumerate(frames, 1):
        for place in frame.places:
            if place.name and known.setdefault(place.name, (place.size, place.kind)) != (
                place.size,
                place.kind,
            ):
                problem = f"{place.name!r} has another size or kind elsewhere"
                raise ConfigError(where, f"frame {number}, key `refresh`", problem)


def _check_media(recording: Recording, where: str) -> None:
    if recording.media is None:
        return
    spoken = [number for number, frame in enumerate(recording.frames) if not frame.client]
    if not spoken[0] < recording.media < len(recording.frames):
        problem = "is not a frame behind the first answer"
        raise ConfigError(where, "key `media`", problem)
    if not (recording.sound(client=True) and recording.sound(client=False)):
        problem = "has no sound in one direction: packets that end with 8 random bytes"
        raise ConfigError(where, "key `media`", problem, "leave it out")
