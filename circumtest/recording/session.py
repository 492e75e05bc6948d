"""One play of a recording: every byte of both halves, known to both and to nobody else.

What the caller draws travels in the first frame, where the recorded call had random bytes as well,
and behind it what only the secret makes of it; everything else in either direction is derived from
the two.  So each half knows what the other will say, and what differs is as if it had never come.
It refuses to wait and to judge.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from zlib import crc32

from circumtest.model import Address, Transport
from circumtest.recording import DRAWN, Frame, Kind, Place, Recording
from circumtest.wire import stun

ROOM = 8
"""Drawn bytes that the first frame must have for its half to be a proof."""
PROOF = 8
"""Bytes of proof at most."""
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_INVERTED = bytes(range(255, -1, -1))
_ELSEWHERE = {8: ("192.0.2.1", 3478), 20: ("2001:db8::1", 3478)}
"""The address put where it is of the other IP version, and for those of third parties."""


class Variant(StrEnum):
    """The recording, or one of the two controls made from it."""

    AS_RECORDED = "as-recorded"
    RANDOM = "random"
    INVERTED = "inverted"


@dataclass(frozen=True, slots=True)
class Seen:
    """The addresses that a frame tells: whom the far half saw, and where it was reached."""

    mapped: Address | None = None
    relayed: Address | None = None


NOWHERE = Seen()


class Score:
    """A recording made ready for a secret and a variant: what all plays of it share."""

    def __init__(self, recording: Recording, secret: str, variant: Variant) -> None:
        self.recording = recording.scrambled() if variant == Variant.RANDOM else recording
        self.inverted = variant == Variant.INVERTED
        self._root = hmac.digest(
            secret.encode(), b"recorded " + Variant(variant).encode() + recording.digest, "sha256"
        )
        self._pool = tuple(self._places())
        self.room = sum(place.size for _, place in self._pool)
        self.opening = sum(len(self.recording.frames[number].data) for number in self._first())
        """Bytes in which the draw stands: of the first datagram, or of what a stream opens with."""

    @property
    def fresh(self) -> bool:
        """Whether plays differ: a first frame without room makes all of them alike."""
        return self.room >= ROOM

    def draw(self, rng: Random) -> "Session":
        """A play with fresh bytes: the caller's."""
        proof = self._proof()
        nonce = self._spelled(rng.randbytes(self.room - proof), 0)
        return Session(self, nonce + self._seal(nonce, proof))

    def hear(self, opening: bytes) -> "Session | None":
        """The play that begins with these bytes; None for what was not made with our secret.

        `opening` is the first datagram, or the first `opening` bytes of a stream.
        """
        if len(opening) != self.opening:
            return None
        plain = self.turned(opening)
        drawn = b"".join(plain[at + p.offset : at + p.end] for at, p in self._pool_at())
        proof = self._proof()
        nonce = drawn[: self.room - proof]
        if not hmac.compare_digest(drawn[self.room - proof :], self._seal(nonce, proof)):
            return None
        session, at = Session(self, drawn), 0
        for number in self._first():
            size = len(self.recording.frames[number].data)
            if session.read(number, opening[at : at + size]) is None:
                return None
            at += size
        return session

    def turned(self, data: bytes) -> bytes:
        """As it travels, or back: with inverted bits where that is the variant."""
        return data.translate(_INVERTED) if self.inverted else data

    def pool(self, drawn: bytes) -> dict[tuple[int, int], bytes]:
        """What stands in each place of the opening, by frame and offset."""
        found, at = {}, 0
        for number, place in self._pool:
            found[number, place.offset] = drawn[at : at + place.size]
            at += place.size
        return found

    def names(self, drawn: bytes) -> dict[str, bytes]:
        """The drawn bytes of the opening that have a name."""
        pool = self.pool(drawn)
        return {p.name: pool[number, p.offset] for number, p in self._pool if p.name}

    def derive(self, drawn: bytes, label: str, size: int) -> bytes:
        """Bytes that both halves know."""
        text = b"\0".join((self._root, drawn, label.encode()))
        return hashlib.shake_128(text).digest(size)

    # -------------------------------------------------------------- the opening

    def _first(self) -> tuple[int, ...]:
        numbers = self.recording.turns[0].client
        return numbers if self.recording.transport is Transport.TCP else numbers[:1]

    def _places(self) -> list[tuple[int, Place]]:
        found, named = [], set()
        for number in self._first():
            for place in sorted(self.recording.frames[number].places, key=lambda p: p.offset):
                if place.kind in DRAWN and place.name not in named:
                    found.append((number, place))
                    named |= {place.name} - {""}
        return found

    def _pool_at(self) -> list[tuple[int, Place]]:
        """The pool, each with where in the opening its frame begins."""
        begins, at = {}, 0
        for number in self._first():
            begins[number] = at
            at += len(self.recording.frames[number].data)
        return [(begins[number], place) for number, place in self._pool]

    def _proof(self) -> int:
        """Bytes of proof.  Where there is no room for a draw beside it, nothing is drawn."""
        return min(PROOF, self.room // 2) if self.room >= ROOM else self.room

    def _seal(self, nonce: bytes, size: int) -> bytes:
        mac = hmac.digest(self._root, nonce, "sha256")[:size]
        return self._spelled(mac, self.room - size)

    def _spelled(self, data: bytes, at: int) -> bytes:
        """The bytes as they may stand in the pool from `at` on."""
        kinds = [place.kind for _, place in self._pool for _ in range(place.size)]
        return bytes(_letter(byte, kind) for byte, kind in zip(data, kinds[at:], strict=False))


class Session:
    """One play: renders frames, and reads those of the other half."""

    def __init__(self, score: Score, drawn: bytes) -> None:
        self.score = score
        self.drawn = drawn
        self._pool = score.pool(drawn)
        self._names = score.names(drawn)
        self._strides = score.recording.strides
        self._key = score.recording.key.encode() or score.derive(drawn, "integrity", 20)

    def frame(self, number: int) -> Frame:
        return self.score.recording.frames[number]

    def render(
        self, number: int, seen: Seen = NOWHERE, *, loop: int = 0, front: bytes = b""
    ) -> bytes:
        """The bytes of a frame as they travel.

        `loop` is how often the sound began anew before; `front` is laid over the beginning of the
        tail, hidden by what is drawn there.
        """
        frame = self.frame(number)
        data = bytearray(frame.data)
        seals = []
        late = []
        for place in frame.places:
            if place.kind is Kind.INTEGRITY or place.kind is Kind.FINGERPRINT:
                seals.append(place)
            elif place.kind in DRAWN or place.kind is Kind.COUNTER:
                data[place.offset : place.end] = self._fresh(number, place, loop)
            else:
                late.append(place)
        for place in late:  # they are hidden by the transaction id
            data[place.offset : place.end] = _address(place, seen, data)
        if front and (tail := frame.tail):
            at = slice(tail.offset, tail.offset + len(front))
            data[at] = bytes(a ^ b for a, b in zip(data[at], front, strict=True))
        # What is inside of another message is sealed before it.
        for place in sorted(seals, key=lambda p: (-p.add, p.kind is Kind.FINGERPRINT)):
            data[place.offset : place.end] = _seal(place, data, self._key)
        return self.score.turned(bytes(data))

    def read(
        self, number: int, data: bytes, *, loop: int = 0, front: int = 0
    ) -> tuple[Seen, bytes] | None:
        """The addresses in a frame of the other half, and the `front` bytes laid over its tail.

        None where it is not this frame of this play.
        """
        frame = self.frame(number)
        if len(data) != len(frame.data):
            return None
        plain = self.score.turned(data)
        told: dict[Kind, Address] = {}
        for place in frame.places:
            if place.kind is Kind.MAPPED or place.kind is Kind.RELAYED:
                value, tid = plain[place.offset : place.end], plain[place.add + 8 : place.add + 20]
                try:
                    told.setdefault(place.kind, Address(*stun.parse_xor_address(value, tid)))
                except ValueError:
                    return None
        seen = Seen(told.get(Kind.MAPPED), told.get(Kind.RELAYED))
        over = b""
        if front and (tail := frame.tail):
            bare = self._fresh(number, tail, loop)
            over = bytes(a ^ b for a, b in zip(plain[tail.offset :], bare[:front], strict=False))
        expected = self.render(number, seen, loop=loop, front=over)
        return (seen, over) if hmac.compare_digest(expected, data) else None

    def tail(self, number: int, loop: int, size: int) -> bytes:
        """The last `size` bytes of a frame's tail, as they travel."""
        place = self.frame(number).tail
        assert place is not None
        return self.score.turned(self._fresh(number, place, loop)[-size:])

    def _fresh(self, number: int, place: Place, loop: int) -> bytes:
        if place.kind is Kind.COUNTER:
            bits = place.size * 8
            first = int.from_bytes(self._named(place.name, place)) >> 1
            value = first + place.add + loop * self._strides.get(place.name, 0)
            return (value % (1 << bits)).to_bytes(place.size)
        if not loop and (drawn := self._pool.get((number, place.offset))) is not None:
            return drawn
        if place.name:
            return self._named(place.name, place)
        return self._derive(f"{number}/{loop}/{place.offset}", place)

    def _named(self, name: str, place: Place) -> bytes:
        if name not in self._names:
            self._names[name] = self._derive(f"name {name}", place)
        return self._names[name]

    def _derive(self, label: str, place: Place) -> bytes:
        data = self.score.derive(self.drawn, label, place.size)
        if place.kind in (Kind.BASE64, Kind.PLAIN):
            return bytes(_letter(byte, place.kind) for byte in data)
        return data


def _letter(byte: int, kind: Kind) -> int:
    """A byte that may stand in a place of that kind."""
    if kind is Kind.BASE64:
        return _BASE64[byte % 64]
    return byte % 255 if kind is Kind.PLAIN else byte


def _address(place: Place, seen: Seen, data: bytearray) -> bytes:
    tid = bytes(data[place.add + 8 : place.add + 20])
    told = {Kind.MAPPED: seen.mapped, Kind.RELAYED: seen.relayed}.get(place.kind)
    value = stun.xor_address(*told, tid) if told else b""
    return value if len(value) == place.size else stun.xor_address(*_ELSEWHERE[place.size], tid)


def _seal(place: Place, data: bytearray, key: bytes) -> bytes:
    """The value of a seal over the message that begins at `place.add`, up to its attribute."""
    covered = data[place.add : place.offset - 4]
    if place.kind is Kind.FINGERPRINT:
        return (crc32(covered) ^ 0x5354554E).to_bytes(4)
    covered[2:4] = (len(covered) - stun.HEADER + 4 + place.size).to_bytes(2)  # RFC 8489 14.5
    return hmac.digest(key, covered, "sha1")
