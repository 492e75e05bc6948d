"""AmneziaWG's custom packets: I1 to I5, written as tags.

    <b 0xc3ff>  these octets          <t>     the time, Unix seconds, 4 octets, big endian
    <r 16>      random octets         <c>     a counter of packets, 4 octets, big endian
    <rc 16>     random letters        <rd 16> random digits

As amneziawg-go (device/obf.go) and the kernel module (junk.c) read them; text between tags, which
both skip in silence, is refused: it is a slip.
"""

import re
import string
from dataclasses import dataclass
from random import Random
from typing import Literal

from circumtest.registry import suggest

MOST = 65507
"""Octets that a datagram can have."""

_TAG = re.compile(r"\s*<\s*([a-z]+)(?:\s+([^\s<>]+))?\s*>\s*")
_LETTERS = string.ascii_lowercase + string.ascii_uppercase
_COUNTED, _FIXED = ("r", "rc", "rd"), ("t", "c")
_EXACT = "b"
Kind = Literal["b", "r", "rc", "rd", "t", "c"]


@dataclass(frozen=True)
class Tag:
    """One of them: `octets` of `b`, `size` of all."""

    kind: Kind
    size: int
    octets: bytes = b""

    def make(self, chance: Random, now: float, count: int) -> bytes:
        match self.kind:
            case "b":
                return self.octets
            case "r":
                return chance.randbytes(self.size)
            case "rc":
                return "".join(chance.choices(_LETTERS, k=self.size)).encode()
            case "rd":
                return "".join(chance.choices(string.digits, k=self.size)).encode()
            case "t":
                return (int(now) % (1 << 32)).to_bytes(4, "big")
            case "c":
                return (count % (1 << 32)).to_bytes(4, "big")


@dataclass(frozen=True)
class Special:
    """A custom packet."""

    tags: tuple[Tag, ...]

    @property
    def size(self) -> int:
        """Its length in octets."""
        return sum(tag.size for tag in self.tags)

    def make(self, chance: Random, now: float, count: int) -> bytes:
        """The packet; `now` is in Unix seconds, `count` how many packets went before."""
        return b"".join(tag.make(chance, now, count) for tag in self.tags)


def special(text: str) -> Special:
    """The packet that `text` describes.  Raises ValueError for what is none."""
    tags, at = [], 0
    while at < len(text):
        found = _TAG.match(text, at)
        if found is None:
            raise ValueError(f"is not made of tags from character {at + 1} on")
        tags.append(_tag(found[1], found[2]))
        at = found.end()
    made = Special(tuple(tags))
    if not 0 < made.size <= MOST:
        raise ValueError(f"is a packet of {made.size} octets")
    return made


def _tag(kind: str, value: str | None) -> Tag:
    if kind == _EXACT:
        if not re.fullmatch(r"0x(?:[0-9A-Fa-f]{2})+", value or ""):
            raise ValueError("<b> wants 0x and an even number of hexadecimal digits")
        octets = bytes.fromhex((value or "")[2:])
        return Tag("b", len(octets), octets)
    if kind in _COUNTED:
        if not re.fullmatch(r"[0-9]{1,5}", value or ""):
            raise ValueError(f"<{kind}> wants a number of octets")
        return Tag(kind, int(value or ""))  # type: ignore[arg-type]  # one of the three
    if kind in _FIXED:
        if value is not None:
            raise ValueError(f"<{kind}> wants nothing behind it")
        return Tag(kind, 4)  # type: ignore[arg-type]  # one of the two
    raise ValueError(f"has the unknown tag <{kind}>; {suggest(kind, (_EXACT, *_COUNTED, *_FIXED))}")
