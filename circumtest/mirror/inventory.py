"""What a mirror offers, as it tells who asks: values, and their bytes.

It refuses to be longer than a packet that every path takes.
"""

import zlib
from typing import Any

import msgspec

from circumtest.model import Address, Transport

VERSION = 1
"""Of what is said on the wire; a mirror of another version is told apart."""
MAX_SIZE = 1 << 16
"""Bytes of an inventory once it is unpacked."""
SHADES = ("plain", "inverted", "random")
NEUTRAL = {Transport.UDP: (443, 8443), Transport.TCP: (8080, 8443)}
"""Ports that a mirror has besides and no call is known by: a list of calls' ports spares them."""


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """One far half: its kind, and what carries it."""

    kind: str
    transport: Transport


class Inventory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there is: every offer of a transport is played at each of its ports, on every address.

    `version` is the wire's, `program` that of circumtest there; `seen` is the address that the
    mirror saw the asker at.  `shades` are the ways in which each port takes everything.
    """

    version: int
    program: str
    offers: tuple[Offer, ...]
    udp: tuple[int, ...]
    tcp: tuple[int, ...]
    addresses: tuple[str, ...]
    shades: tuple[str, ...] = SHADES
    seen: tuple[str, int] = ("", 0)

    def ports(self, transport: Transport) -> tuple[int, ...]:
        """The ports where everything of that transport is played."""
        return self.udp if transport is Transport.UDP else self.tcp

    def plays(self, kind: str, transport: Transport, port: int) -> bool:
        """Whether that handshake has its far half there."""
        return Offer(kind, transport) in self.offers and port in self.ports(transport)

    @property
    def exit(self) -> Address:
        """Where the asker was seen."""
        return Address(*self.seen)

    def pack(self) -> bytes:
        """As it travels."""
        return zlib.compress(msgspec.json.encode(self), 9)


def parse(data: bytes) -> Inventory:
    """The inventory in bytes that may have zeros behind.  Raises ValueError."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_SIZE)
    except zlib.error:
        raise ValueError("not an inventory") from None
    if not unpacker.eof:
        raise ValueError("an inventory that is too long or cut off")
    try:
        found: Any = msgspec.json.decode(text, type=Inventory)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not an inventory: {error}") from None
    assert isinstance(found, Inventory)
    return found
