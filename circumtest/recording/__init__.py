"""Recorded calls: one flow of a capture as data that can be played, both halves of it.

This file holds the values.  A frame is a datagram, or a segment of a stream, with the places in it
that must be fresh in every play; those places hold zeros.  It refuses to keep what identifies: an
import has replaced it before a value is made.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from circumtest.model import Transport

MAX_FRAMES = 4000
"""Frames of a recording: 30 s of sound both ways, and a set-up."""
MAX_FRAME = 16384
"""Bytes of one frame."""
MIN_TAIL = 8
"""Bytes at the end of a packet of sound that tell which packet it is."""


class Kind(StrEnum):
    """What is put into a place of a frame."""

    RANDOM = "random"
    """Any bytes."""
    PLAIN = "plain"
    """Bytes without 0xff: a run of 0xff is what some protocols are recognised by."""
    BASE64 = "base64"
    """Characters of the base64 alphabet, as libwebrtc's ids are."""
    COUNTER = "counter"
    """A big-endian number that the recording counts on from a drawn one."""
    MAPPED = "mapped"
    """XOR-MAPPED-ADDRESS (RFC 8489 14.2): the caller's address, as the far half sees it."""
    RELAYED = "relayed"
    """The far half's own address, in the same form."""
    PEER = "peer"
    """Somebody else's address in the same form: one reserved for documentation."""
    INTEGRITY = "integrity"
    """MESSAGE-INTEGRITY (14.5)."""
    FINGERPRINT = "fingerprint"
    """FINGERPRINT (14.7)."""


DRAWN = frozenset({Kind.RANDOM, Kind.PLAIN, Kind.BASE64})
"""Places whose bytes are drawn."""
ADDRESSES = frozenset({Kind.MAPPED, Kind.RELAYED, Kind.PEER})
SEALS = frozenset({Kind.INTEGRITY, Kind.FINGERPRINT})


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of a frame that are fresh in every play: `size` of them from `offset` on.

    Places of one `name` hold the same drawn bytes (or count from the same number, `add` further);
    one without a name stands for itself.  Of an address or a seal, `add` is where in the frame the
    STUN message begins that it belongs to.
    """

    offset: int
    size: int
    kind: Kind
    name: str = ""
    add: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Frame:
    """What one side sent: seconds since the first frame, who, and the bytes, 0 at its places.

    `made` says that it was not recorded: a recording without an answer got this one.
    """

    at: float
    client: bool
    data: bytes
    places: tuple[Place, ...] = ()
    made: bool = False

    @property
    def tail(self) -> Place | None:
        """The drawn bytes behind which nothing is drawn any more, where they tell it from others.

        A packet of sound has them; its far half's account of what it heard stands in front.
        """
        last = max(self.places, key=lambda place: place.end, default=None)
        if last is None or last.kind is not Kind.RANDOM or last.name or last.size < MIN_TAIL:
            return None
        return last


@dataclass(frozen=True, slots=True)
class Turn:
    """Numbers of frames: what the caller sends, and what the far half answers it with."""

    client: tuple[int, ...]
    server: tuple[int, ...]


@dataclass(frozen=True)
class Recording:
    """One flow: its transport, the far half's port, the frames in order.

    From frame `media` on it is sound, both ways; None where there is none.  `key` is the key of
    MESSAGE-INTEGRITY, "" to have it derived from the secret.
    """

    transport: Transport
    port: int
    frames: tuple[Frame, ...]
    summary: str = ""
    media: int | None = None
    key: str = ""

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that tell this recording from any other."""
        told = hashlib.sha256(f"{self.transport} {self.media} {self.key}".encode())
        for frame in self.frames:
            told.update(repr((frame.client, frame.data, frame.places)).encode())
        return told.digest()

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """The set-up: who waits for what."""
        turns: list[Turn] = []
        client: list[int] = []
        server: list[int] = []
        for number, frame in enumerate(self.frames[: self.media]):
            if frame.client and server:
                turns.append(Turn(tuple(client), tuple(server)))
                client, server = [], []
            (client if frame.client else server).append(number)
        return (*turns, Turn(tuple(client), tuple(server)))

    def sound(self, *, client: bool) -> tuple[int, ...]:
        """The numbers of one side's packets of sound."""
        if self.media is None:
            return ()
        return tuple(
            number
            for number, frame in enumerate(self.frames)
            if number >= self.media and frame.client is client and frame.tail
        )

    @cached_property
    def strides(self) -> dict[str, int]:
        """By how much each counter has grown when the sound begins anew."""
        seen: dict[str, list[int]] = {}
        for frame in self.frames[self.media :] if self.media is not None else ():
            for place in frame.places:
                if place.kind is Kind.COUNTER:
                    seen.setdefault(place.name, []).append(place.add)
        return {name: _stride(adds) for name, adds in seen.items()}

    def scrambled(self) -> "Recording":
        """The same sizes and times, and nothing but drawn bytes."""
        frames = (
            replace(
                frame,
                data=bytes(len(frame.data)),
                places=(Place(0, len(frame.data), Kind.RANDOM),),
            )
            for frame in self.frames
        )
        return replace(self, frames=tuple(frames), key="")


def _stride(adds: list[int]) -> int:
    span = max(adds) - min(adds)
    return span + max(round(span / max(len(adds) - 1, 1)), 1)
