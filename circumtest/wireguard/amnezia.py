"""AmneziaWG's part of a configuration, and the packets that it makes a client begin with.

As amneziawg-go and the kernel module have it: before each initiation I1 to I5, then Jc packets of
Jmin to Jmax random octets; S1 to S4 random octets before each message of the four types, whose
type is a number out of H1 to H4.  Pure: it refuses to send anything, and to know a device.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from circumtest.errors import ConfigError
from circumtest.registry import suggest
from circumtest.wireguard.quick import Quick
from circumtest.wireguard.quick import parse as parse_quick
from circumtest.wireguard.tags import Special, special

INITIATION, RESPONSE, COOKIE, DATA = range(4)
"""The four types of message, as S1 to S4 and H1 to H4 count them."""
SIZES = (148, 92, 64, 32)
"""Octets of each message without anything before it; of data, the least (whitepaper, 5.4)."""

_MAC1 = 116
"""Where mac1 begins in an initiation: it is over everything before it (whitepaper, 5.4.4)."""
_LABEL = b"mac1----"
_MOST_JUNK, _MOST_OCTETS = 128, 1280
_NUMBERS = ("Jc", "Jmin", "Jmax", "S1", "S2", "S3", "S4")
_HEADERS = ("H1", "H2", "H3", "H4")
_SPECIALS = ("I1", "I2", "I3", "I4", "I5")
_KEYS = {key.lower(): key for key in (*_NUMBERS, *_HEADERS, *_SPECIALS)}
_OLD = re.compile(r"j[1-3]|itime")
_PEERS = "advancedsecurity"


class Header(NamedTuple):
    """The numbers that a message's type may be, both ends included."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}-{self.most}"


@dataclass(frozen=True)
class Amnezia:
    """All of it; what the file does not say is as in plain WireGuard."""

    junk: int = 0
    sizes: tuple[int, int] = (0, 0)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    headers: tuple[Header, ...] = tuple(Header(number, number) for number in range(1, 5))
    specials: tuple[Special | None, ...] = (None,) * 5
    given: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """The keys as the file has them, in the order in which the daemons know them."""

    def opening(
        self, initiation: bytes, chance: Random, now: float, peer: bytes = b""
    ) -> tuple[bytes, ...]:
        """Everything that is sent before an answer can come, given a plain initiation.

        `now` is in Unix seconds; with the peer's public key mac1 is made anew, as it is over the
        type too.
        """
        made = [one.make(chance, now, number) for number, one in enumerate(self._told())]
        made += [chance.randbytes(chance.randint(*self.sizes)) for _ in range(self.junk)]
        return (*made, self.disguised(INITIATION, initiation, chance, peer))

    def disguised(self, kind: int, message: bytes, chance: Random, peer: bytes = b"") -> bytes:
        """A message with its padding and its type."""
        number = chance.randint(*self.headers[kind])
        message = number.to_bytes(4, "little") + message[4:]
        if peer and kind == INITIATION:
            key = hashlib.blake2s(_LABEL + peer).digest()
            mac = hashlib.blake2s(message[:_MAC1], digest_size=16, key=key).digest()
            message = message[:_MAC1] + mac + message[_MAC1 + 16 :]
        return chance.randbytes(self.padding[kind]) + message

    def plain(self, kind: int, packet: bytes) -> bytes | None:
        """The message in a packet, with its plain type; None when it can be none of that kind."""
        message = packet[self.padding[kind] :]
        least, most = self.headers[kind]
        number = int.from_bytes(message[:4], "little")
        if len(message) < SIZES[kind] or (kind != DATA and len(message) > SIZES[kind]):
            return None
        return (kind + 1).to_bytes(4, "little") + message[4:] if least <= number <= most else None

    def words(self) -> str:
        """What it begins with, for people."""
        said = [f"I{n} ({one.size} octets)" for n, one in enumerate(self.specials, 1) if one]
        if self.junk:
            said.append(f"{self.junk} packets of {self.sizes[0]} to {self.sizes[1]} random octets")
        size = SIZES[INITIATION] + self.padding[INITIATION]
        return ", ".join([*said, f"an initiation of {size} octets and type {self.headers[0]}"])

    def _told(self) -> Iterator[Special]:
        return filter(None, iter(self.specials))


def parse(text: str, where: str) -> tuple[Quick, Amnezia, tuple[str, ...]]:
    """A wg-quick file with AmneziaWG's keys: WireGuard's part, theirs, and notes of both.

    `where` is the file's name for messages.  Raises ConfigError naming line and key.
    """
    rest, taken, notes = [], {}, []
    section = ""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        plain = line.partition("#")[0].strip()
        key, _, value = (part.strip() for part in plain.partition("="))
        if plain.startswith("["):
            section = plain.strip("[] \t").lower()
        place = f"line {number}, [{section.title()}], key `{key}`"
        if key.lower() in _KEYS:
            if section != "interface":
                remedy = f"{_KEYS[key.lower()]} belongs under [Interface]"
                raise ConfigError(where, place, "is unknown there", remedy)
            if key.lower() in taken:
                raise ConfigError(where, place, "is given twice")
            taken[key.lower()] = (place, value)
        elif section == "interface" and _OLD.fullmatch(key.lower()):
            remedy = suggest(key, _KEYS.values())
            raise ConfigError(where, place, "was withdrawn by AmneziaWG's authors", remedy)
        elif section == "peer" and key.lower() == _PEERS:
            notes.append("AdvancedSecurity is not honoured: every peer is spoken to as AmneziaWG's")
        else:
            rest.append(line)
            continue
        rest.append("")  # so that lines keep their numbers
    quick = parse_quick("\n".join(rest), where)
    amnezia = _amnezia(taken, where)
    if amnezia.specials[0] is None and any(amnezia.specials):
        notes.append("without I1 some versions of AmneziaWG do not send I2 to I5")
    return quick, amnezia, (*quick.notes, *dict.fromkeys(notes))


def _amnezia(taken: dict[str, tuple[str, str]], where: str) -> Amnezia:
    numbers = {key: _number(key, taken, where) for key in _NUMBERS}
    headers = tuple(_header(n, key, taken, where) for n, key in enumerate(_HEADERS, 1))
    specials = tuple(_special(key, taken, where) for key in _SPECIALS)
    _check(numbers, headers, where)
    given = tuple((key, taken[key.lower()][1]) for key in _KEYS.values() if key.lower() in taken)
    s1, s2, s3, s4 = (numbers[key] for key in ("S1", "S2", "S3", "S4"))
    sizes = numbers["Jmin"], numbers["Jmax"]
    return Amnezia(numbers["Jc"], sizes, (s1, s2, s3, s4), headers, specials, given)


def _number(key: str, taken: dict[str, tuple[str, str]], where: str) -> int:
    place, value = taken.get(key.lower(), ("", "0"))
    most = _MOST_JUNK if key == "Jc" else _MOST_OCTETS
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) > most:
        raise ConfigError(where, place, f"{value!r} is not a number from 0 to {most}")
    return int(value)


def _header(number: int, key: str, taken: dict[str, tuple[str, str]], where: str) -> Header:
    place, value = taken.get(key.lower(), ("", str(number)))
    found = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", value)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not least <= most < 1 << 32:
        problem = f"{value!r} is no number below 2^32, and no range of such numbers"
        raise ConfigError(where, place, problem, "like 1020325451 or 100000-200000")
    return Header(least, most)


def _special(key: str, taken: dict[str, tuple[str, str]], where: str) -> Special | None:
    place, value = taken.get(key.lower(), ("", ""))
    try:
        return special(value) if value else None
    except ValueError as error:
        raise ConfigError(where, place, str(error), "tags like <b 0xc300><r 16><t>") from None


def _check(numbers: dict[str, int], headers: tuple[Header, ...], where: str) -> None:
    """What only all of them together show: a packet must have one meaning."""
    spot = "[Interface]"
    if numbers["Jmin"] > numbers["Jmax"]:
        raise ConfigError(where, spot, f"Jmin {numbers['Jmin']} is more than Jmax", "Jmin < Jmax")
    if numbers["Jc"] and not numbers["Jmax"]:
        raise ConfigError(where, spot, "Jc without Jmax: packets of no size", "Jmin and Jmax")
    if numbers["S1"] + SIZES[INITIATION] == numbers["S2"] + SIZES[RESPONSE]:
        problem = "S1 + 56 is S2: initiations and responses would have the same length"
        raise ConfigError(where, spot, problem, "change one of them, at both ends")
    for n, one in enumerate(headers):
        for m, other in enumerate(headers[:n]):
            if one.least <= other.most and other.least <= one.most:
                problem = f"H{m + 1} ({other}) and H{n + 1} ({one}) have a number in common"
                raise ConfigError(where, spot, problem, "each type needs numbers of its own")
