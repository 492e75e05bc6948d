"""A flow becomes a recording: what must be fresh is found, what identifies is replaced.

Whatever of it no protocol here explains is random bytes of the same size, unless the person keeps
it.  It refuses to make a recording of which nothing is known, unless it is asked for: only its
sizes and times could be played.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from circumtest.errors import ConfigError
from circumtest.model import Transport
from circumtest.recording import DRAWN, MAX_FRAMES, Frame, Kind, Place, Recording
from circumtest.recording.flows import Flow, Said
from circumtest.recording.known import ENCRYPTED, recognise, recognise_stream
from circumtest.recording.sheet import Book, Sheet
from circumtest.recording.text import check

REGULAR = 25
"""Packets in each direction that make sound of what comes regularly."""
SLOWEST, FASTEST = 0.1, 0.002
"""Seconds between two packets of sound, in the middle."""
_EVEN = 0.8
_FIRST = 5
_LOOK = 500
"""Frames of a set-up behind which sound is looked for."""
_SOUND_FRAMES = 1500
"""Packets of sound that are kept; it is played again and again anyway."""
_REFRESH = re.compile(r"(\d+):(\d+):(\d+)(?::(random|counter|echo))?")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person says of an import.

    `refresh` are FRAME:OFFSET:LENGTH[:random|counter|echo]; `names` keeps what people and servers
    are called, `unknown` bytes that nothing explains; `opaque` takes a flow of which nothing is
    known.
    """

    refresh: Sequence[str] = ()
    key: str = ""
    names: bool = False
    unknown: bool = False
    opaque: bool = False
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """The recording, what was recognised in it, and what is to be said of it."""

    recording: Recording
    labels: Counter[str]
    notes: tuple[str, ...]


def make(flow: Flow, wish: Wish, where: str) -> Made:
    """Import a flow of the capture `where`.  Raises ConfigError."""
    said = flow.said[:MAX_FRAMES]
    if not said:
        raise ConfigError(where, "", "nothing is said in this flow", "choose another: --flow N")
    notes = [f"left out: {reason} ({count})" for reason, count in flow.troubles.items()]
    if len(flow.said) > len(said):
        notes.append(f"left out: all behind the first {MAX_FRAMES} of {len(flow.said)} frames")
    book = Book(wish.names)
    frames, kinds, unknown = _frames(flow, said, book, wish)
    labels = _public(book)
    _demand_something(labels, unknown, len(frames), wish, where)
    frames = _refreshed(frames, said, wish.refresh, where)
    frames, more = _answered(frames)
    media = _media(frames, kinds)
    if media is not None:
        frames = frames[: media + _SOUND_FRAMES]
    recording = Recording(flow.transport, flow.server.port, frames, wish.summary, media, wish.key)
    check(recording, where)
    notes += [f"kept: {what} ({count})" for what, count in book.kept.items()]
    notes += _told(unknown, len(said), wish)
    return Made(recording, labels, (*notes, *more))


def labelled(flow: Flow) -> Counter[str]:
    """What is recognised in a flow, by number of frames; nothing is made of it."""
    book = Book()
    _frames(flow, flow.said[:MAX_FRAMES], book, Wish())
    return _public(book)


def _public(book: Book) -> Counter[str]:
    """The labels that are told: those with signs in them are the recognisers' own."""
    return Counter({name: n for name, n in book.labels.items() if not {":", ","} & set(name)})


# ------------------------------------------------------------------ looking at the bytes


def _frames(
    flow: Flow, said: Sequence[Said], book: Book, wish: Wish
) -> tuple[tuple[Frame, ...], list[set[str]], list[int]]:
    """The frames, marked; what each was recognised as; the numbers of those nothing explains."""
    marked = _datagrams if flow.transport is Transport.UDP else _streams
    marked(said, book, wish)
    book.survey = False
    book.labels.clear()
    book.kept.clear()
    sheets, unknown = marked(said, book, wish)
    begin = said[0].at
    latest = 0.0
    frames = []
    for one, sheet in zip(said, sheets, strict=True):
        latest = max(latest, round(one.at - begin, 6))
        frames.append(Frame(latest, one.client, sheet.bare(), tuple(sheet.places)))
    return tuple(frames), [{label for _, label in sheet.spots} for sheet in sheets], unknown


def _datagrams(said: Sequence[Said], book: Book, wish: Wish) -> tuple[list[Sheet], list[int]]:
    sheets, unknown = [], []
    for number, one in enumerate(said):
        sheet = Sheet(one.data, book, client=one.client)
        if not recognise(sheet, 0, len(one.data)):
            unknown.append(number)
            _explain_nothing(sheet, wish)
        sheets.append(sheet)
    return sheets, unknown


def _streams(said: Sequence[Said], book: Book, wish: Wish) -> tuple[list[Sheet], list[int]]:
    """Each direction is looked at as a whole, and cut where its segments were."""
    pieces: dict[int, Sheet] = {}
    unknown: list[int] = []
    for client in (True, False):
        numbers = [number for number, one in enumerate(said) if one.client is client]
        whole = Sheet(b"".join(said[n].data for n in numbers), book, client=client)
        if not recognise_stream(whole):
            unknown += numbers
            _explain_nothing(whole, wish)
        at = 0
        for number in numbers:
            size = len(said[number].data)
            pieces[number] = _cut(whole, at, at + size, client=client)
            at += size
    return [pieces[number] for number in range(len(said))], sorted(unknown)


def _explain_nothing(sheet: Sheet, wish: Wish) -> None:
    if not wish.unknown:
        sheet.mark(0, len(sheet.data), Kind.RANDOM)


def _cut(whole: Sheet, start: int, end: int, *, client: bool) -> Sheet:
    """What of a stream's places lies in one segment.

    A place that two segments share is random in each: it no longer recurs, nor is it a seal.
    """
    piece = Sheet(bytes(whole.data[start:end]), whole.book, client=client)
    piece.spots = [(at, label) for at, label in whole.spots if start <= at < end]
    for place in whole.places:
        begin, stop = max(place.offset, start), min(place.end, end)
        if begin >= stop:
            continue
        inside = place.size == stop - begin
        seal = place.kind not in DRAWN and place.kind is not Kind.COUNTER
        if inside and not (seal and place.add < start):
            add = place.add - start if seal else place.add
            piece.places.append(replace(place, offset=begin - start, add=add))
        else:
            piece.mark(begin - start, stop - begin, Kind.RANDOM)
    return piece


def _demand_something(
    labels: Counter[str], unknown: Sequence[int], frames: int, wish: Wish, where: str
) -> None:
    """Raise ConfigError where only sizes and times would be left, and nobody asked for that."""
    if wish.opaque or wish.refresh or (wish.unknown and labels.keys() <= set()):
        return
    remedy = "--opaque imports its sizes and times, and what type each packet is"
    if labels and labels.keys() <= ENCRYPTED:
        kinds = ", ".join(sorted(labels))
        raise ConfigError(
            where, "", f"is encrypted all through ({kinds}): nothing to refresh", remedy
        )
    if len(unknown) == frames:
        problem = "no protocol of a call is recognised in this flow: nothing to refresh"
        raise ConfigError(where, "", problem, "--opaque imports its sizes and times")


def _told(unknown: Sequence[int], frames: int, wish: Wish) -> Iterable[str]:
    if not unknown:
        return
    which = ", ".join(str(number + 1) for number in unknown[:8])
    which += ", ..." if len(unknown) > 8 else ""
    count = f"{len(unknown)} of {frames} frames ({which})"
    if wish.unknown:
        yield f"kept: all bytes of {count}, which no protocol explains: look before publishing"
    else:
        yield f"random now: {count}, which no protocol explains; --keep unknown keeps their bytes"


# ------------------------------------------------------------------ what the person adds


def _refreshed(
    frames: tuple[Frame, ...], said: Sequence[Said], wishes: Iterable[str], where: str
) -> tuple[Frame, ...]:
    """The frames with the places of --refresh, which go before those that were found."""
    made = list(frames)
    names: dict[bytes, str] = {}
    firsts: dict[int, int] = {}
    for wish in wishes:
        matched = _REFRESH.fullmatch(wish)
        option = f"--refresh {wish}"
        if not matched:
            raise ConfigError(
                option, "", "is no place", "FRAME:OFFSET:LENGTH[:random|counter|echo]"
            )
        number, offset, size = (int(matched[i]) for i in (1, 2, 3))
        how = matched[4] or "random"
        if not 1 <= number <= len(made) or not size or offset + size > len(said[number - 1].data):
            problem = f"{where} has no such bytes: it has {len(made)} frames"
            raise ConfigError(option, "", problem, "frames count from 1, offsets from 0")
        value = said[number - 1].data[offset : offset + size]
        if how == "counter":
            if size > 8:
                raise ConfigError(option, "", "a counter has at most 8 bytes")
            count = int.from_bytes(value)
            add = count - firsts.setdefault(size, count)
            place = Place(offset, size, Kind.COUNTER, f"own{size}", add)
        elif how == "echo":
            name = names.setdefault(value, f"echo{len(names) + 1}")
            place = Place(offset, size, Kind.RANDOM, name)
        else:
            place = Place(offset, size, Kind.RANDOM)
        made[number - 1] = _with(made[number - 1], place)
    return tuple(made)


def _with(frame: Frame, place: Place) -> Frame:
    kept = [one for one in frame.places if one.end <= place.offset or one.offset >= place.end]
    data = bytearray(frame.data)
    data[place.offset : place.end] = bytes(place.size)
    return replace(frame, data=bytes(data), places=(*kept, place))


# ------------------------------------------------------------------ the whole


def _answered(frames: tuple[Frame, ...]) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """Where nothing came back, one answer is made up: without it a play could show nothing."""
    if not all(frame.client for frame in frames):
        return frames, ()
    last = frames[-1]
    size = len(last.data)
    place = Place(0, size, Kind.RANDOM)
    answer = Frame(round(last.at + 0.02, 6), False, bytes(size), (place,), made=True)
    said = (
        f"nothing came back in this recording: its last frame is answered with {size} random bytes"
    )
    return (*frames, answer), (said,)


def _media(frames: tuple[Frame, ...], kinds: Sequence[set[str]]) -> int | None:
    """The number of the first frame from which both sides send sound, None where they do not.

    That is RTP, behind the last message of a handshake; where no packet is known to be RTP, what
    comes regularly.
    """
    spoken = next((n for n, frame in enumerate(frames) if not frame.client), len(frames))
    shaken = max((n for n, one in enumerate(kinds) if "DTLS handshake" in one), default=-1)
    begin = max(spoken, shaken) + 1
    known = any("RTP" in one for one in kinds)
    for number in range(begin, min(len(frames) - 2 * REGULAR + 1, begin + _LOOK)):
        if frames[number].tail is None or (known and "RTP" not in kinds[number]):
            continue
        behind = frames[number:]
        if all(_regular(behind, client=way, begins=not known) for way in (True, False)):
            return number
        if known:
            return None
    return None


def _regular(frames: Sequence[Frame], *, client: bool, begins: bool) -> bool:
    """Whether one side's packets come evenly, most of them; with `begins`, the first ones, too."""
    times = [frame.at for frame in frames if frame.client is client and frame.tail]
    if len(times) < REGULAR:
        return False
    gaps = [b - a for a, b in pairwise(times)]
    middle = median(gaps)
    even = [gap <= 3 * middle for gap in gaps]
    if not FASTEST <= middle <= SLOWEST or sum(even) < _EVEN * len(gaps):
        return False
    return not begins or all(middle / 3 <= gap <= 3 * middle for gap in gaps[:_FIRST])
