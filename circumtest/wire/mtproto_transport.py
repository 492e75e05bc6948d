"""MTProto's TCP transports: abridged, intermediate, padded intermediate, full, and obfuscated2.

Bytes of a stream to payloads and back, incrementally and within bounds, for both ends.  It refuses
to know what the payloads say (`mtproto`) and to draw random numbers: the caller hands them in.
Source: core.telegram.org/mtproto/mtproto-transports.
"""

import struct
from enum import StrEnum
from zlib import crc32

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

MAX_PAYLOAD = 1 << 14
"""Longer payloads are malformed here: what precedes a key exchange is far below 1 KiB."""
INIT = 64
"""Bytes of the obfuscated2 header."""
_FORBIDDEN = (b"HEAD", b"POST", b"GET ", b"OPTI", b"\x16\x03\x01\x02", b"\xee" * 4, b"\xdd" * 4)


class Framing(StrEnum):
    """How payloads are told apart in the stream."""

    ABRIDGED = "abridged"
    INTERMEDIATE = "intermediate"
    PADDED = "padded"
    FULL = "full"


PREAMBLES = {
    Framing.ABRIDGED: b"\xef",
    Framing.INTERMEDIATE: b"\xee" * 4,
    Framing.PADDED: b"\xdd" * 4,
    Framing.FULL: b"",
}
"""What a client sends first to name its framing, outside obfuscated2."""
TAGS = {
    Framing.ABRIDGED: b"\xef" * 4,
    Framing.INTERMEDIATE: b"\xee" * 4,
    Framing.PADDED: b"\xdd" * 4,
}
"""The same inside the obfuscated2 header, bytes 56 to 59."""


class Framer:
    """One end of a framed stream: `pack` payloads going out, `feed` what came and get payloads."""

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self._buffer = bytearray()
        self._sent = 0
        self._seen = 0

    def pack(self, payload: bytes, padding: bytes = b"") -> bytes:
        """The payload as it goes out; `padding` (0 to 15 random bytes) for PADDED only."""
        match self.framing:
            case Framing.ABRIDGED:
                return _pack_abridged(payload)
            case Framing.FULL:
                head = struct.pack("<II", len(payload) + 12, self._sent)
                self._sent += 1
                return head + payload + struct.pack("<I", crc32(head + payload))
            case _:
                data = payload + padding
                return struct.pack("<I", len(data)) + data

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are whole now.  PADDED payloads keep their padding.

        Raises ValueError for what cannot be a frame; the framer is of no use after that.
        """
        self._buffer += data
        payloads = []
        while (extent := self._extent()) is not None:
            start, length, end = extent
            if not 0 < length <= MAX_PAYLOAD:
                raise ValueError(f"a payload of {length} bytes")
            if len(self._buffer) < end:
                break
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            if self.framing is Framing.FULL:
                self._check(frame)
            payloads.append(frame[start : start + length])
        return payloads

    def _extent(self) -> tuple[int, int, int] | None:
        """Where the payload at the head of the buffer starts, its length, where its frame ends."""
        buffer = self._buffer
        if self.framing is Framing.ABRIDGED:
            if not buffer:
                return None
            # The top bit asks for a quick acknowledgement, which nobody is obliged to give.
            short = buffer[0] & 0x7F
            if short < 0x7F:
                return 1, 4 * short, 1 + 4 * short
            if len(buffer) < 4:
                return None
            length = 4 * int.from_bytes(buffer[1:4], "little")
            return 4, length, 4 + length
        if len(buffer) < 4:
            return None
        length = int.from_bytes(buffer[:4], "little")
        if self.framing is Framing.FULL:
            return 8, length - 12, length
        return 4, length, 4 + length

    def _check(self, frame: bytes) -> None:
        number, checksum = struct.unpack_from("<I", frame, 4)[0], frame[-4:]
        if number != self._seen or struct.pack("<I", crc32(frame[:-4])) != checksum:
            raise ValueError("wrong sequence number or checksum")
        self._seen += 1


def _pack_abridged(payload: bytes) -> bytes:
    words, odd = divmod(len(payload), 4)
    if odd:
        raise ValueError("abridged payloads are whole words")
    head = bytes([words]) if words < 0x7F else b"\x7f" + words.to_bytes(3, "little")
    return head + payload


# ------------------------------------------------------------------ obfuscated2


def usable(init: bytes) -> bool:
    """Whether 64 random bytes may open an obfuscated2 stream: they resemble nothing else."""
    return (
        len(init) == INIT
        and init[0] != 0xEF
        and init[:4] not in _FORBIDDEN
        and init[4:8] != bytes(4)
    )


class Obfuscation:
    """The two keystreams of one obfuscated2 stream, AES-256-CTR, running on from the header."""

    def __init__(self, out: CipherContext, into: CipherContext) -> None:
        self._out, self._in = out, into

    def encrypt(self, data: bytes) -> bytes:
        """What goes out next."""
        return self._out.update(data)

    def decrypt(self, data: bytes) -> bytes:
        """What came in next."""
        return self._in.update(data)


def obfuscate(init: bytes, framing: Framing, dc: int) -> tuple[bytes, Obfuscation]:
    """A client's header from 64 random bytes, and its keystreams.

    `dc` is the data centre's number, negative for media ones.  Raises ValueError unless `usable`.
    """
    if not usable(init):
        raise ValueError("these bytes resemble another protocol")
    plain = init[:56] + TAGS[framing] + struct.pack("<h", dc) + init[62:]
    up, down = _streams(plain)
    return plain[:56] + up.update(plain)[56:], Obfuscation(up, down)


def deobfuscate(header: bytes) -> tuple[Framing, int, Obfuscation]:
    """A server's view of 64 header bytes: the framing, the data centre, its keystreams.

    Raises ValueError when the header names no framing: it is something else.
    """
    if not usable(header):
        raise ValueError("not an obfuscated2 header")
    up, down = _streams(header)
    plain = up.update(header)
    for framing, tag in TAGS.items():
        if plain[56:60] == tag:
            dc: int = struct.unpack_from("<h", plain, 60)[0]
            return framing, dc, Obfuscation(down, up)
    raise ValueError("no known framing inside")


def _streams(init: bytes) -> tuple[CipherContext, CipherContext]:
    """The client-to-server and the server-to-client keystream of a header (bytes 8 to 55)."""
    there, back = init[8:56], init[8:56][::-1]
    up, down = (
        Cipher(algorithms.AES(key[:32]), modes.CTR(key[32:])).encryptor() for key in (there, back)
    )
    return up, down


# ------------------------------------------------------------------ the server's end


class Acceptor:
    """A server's end of one stream: finds out the transport, then speaks it."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._framer: Framer | None = None
        self._cipher: Obfuscation | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The client's payloads that are whole now.  Raises ValueError on what is not MTProto."""
        if self._framer is None:
            self._head += data
            recognised = self._recognise(bytes(self._head))
            if recognised is None:
                return []
            framing, used = recognised
            self._framer, data = Framer(framing), bytes(self._head[used:])
            self._head.clear()
        return self._framer.feed(self._cipher.decrypt(data) if self._cipher else data)

    def pack(self, payload: bytes, padding: bytes = b"") -> bytes:
        """A payload for the client.  Only after its first one has come."""
        if self._framer is None:
            raise ValueError("the client has not said how it frames")
        frame = self._framer.pack(payload, padding)
        return self._cipher.encrypt(frame) if self._cipher else frame

    def _recognise(self, head: bytes) -> tuple[Framing, int] | None:
        """The framing and the length of what announced it, once enough has come."""
        for framing in (Framing.ABRIDGED, Framing.INTERMEDIATE, Framing.PADDED):
            if head.startswith(PREAMBLES[framing]):
                return framing, len(PREAMBLES[framing])
        if len(head) >= 8 and head[4:8] == bytes(4):
            return Framing.FULL, 0
        if len(head) < INIT:
            return None
        framing, _, self._cipher = deobfuscate(head[:INIT])
        return framing, INIT
