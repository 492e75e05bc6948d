"""MTProto's first exchange as values: unencrypted messages, req_pq_multi and resPQ.

It stops where the key exchange starts (req_DH_params), knows no transport (`mtproto_transport`) and
refuses to judge: whether a nonce is ours or a fingerprint known is the handshake's question.
Source: core.telegram.org/mtproto/auth_key and /mtproto/description#unencrypted-messages.
"""

import struct
from dataclasses import dataclass

REQ_PQ_MULTI = 0xBE7E8EF1
RES_PQ = 0x05162463
REQ_DH_PARAMS = 0xD712E4BE
_VECTOR = 0x1CB5C415
NONCE = 16
MAX_FINGERPRINTS = 64
"""More keys than any server has ever offered; a longer vector is malformed."""

FINGERPRINTS = frozenset(
    {
        0x0BC35F3509F7B7A5,
        0x15AE5FA8B5529542,
        0xAEAE98E13CD7F94F,
        0x5A181B2235057D98,
        0xC3B42B026CE86B21,
        0x9A996A1DB11C729B,
        0xB05B2A6F70CDEA78,
        0x71E025B6C76033E3,
        0xD09D1D85DE64FD85,
    }
)
"""RSA key fingerprints that published clients pin (2026): eight of Telethon's and the one that the
official clients pin for production."""


@dataclass(frozen=True, slots=True)
class Message:
    """An unencrypted message: 64-bit id and body; auth_key_id is 0 by definition."""

    id: int
    body: bytes

    def pack(self) -> bytes:
        """20 bytes of header and the body."""
        return struct.pack("<QQI", 0, self.id, len(self.body)) + self.body


@dataclass(frozen=True, slots=True)
class ResPq:
    """resPQ: the nonce given back, the server's own, the product to factorise, its keys."""

    nonce: bytes
    server_nonce: bytes
    pq: bytes
    fingerprints: tuple[int, ...]

    def pack(self) -> bytes:
        """The body of a message: 56 bytes and 8 a fingerprint for the usual 8-byte `pq`."""
        count = len(self.fingerprints)
        return b"".join(
            (
                struct.pack("<I", RES_PQ),
                self.nonce,
                self.server_nonce,
                _pack_string(self.pq),
                struct.pack(f"<II{count}Q", _VECTOR, count, *self.fingerprints),
            )
        )


def message_id(now: float, *, server: bool = False) -> int:
    """The id of a message sent at `now` (Unix seconds): 2^-32 s, low bits 00 client, 01 server."""
    return int(now * 2**32) & ~3 | (1 if server else 0)


def parse_message(data: bytes) -> Message:
    """An unencrypted message; up to 15 bytes of padding after it are ignored.

    Raises ValueError for anything else, encrypted messages included.
    """
    if len(data) < 20:
        raise ValueError("shorter than a message header")
    auth_key, number, length = struct.unpack_from("<QQI", data)
    if auth_key != 0:
        raise ValueError("not an unencrypted message")
    if not 0 < length <= len(data) - 20 < length + 16:
        raise ValueError("message length does not fit")
    return Message(number, data[20 : 20 + length])


def transport_error(data: bytes) -> int | None:
    """The code of a transport error (-404, -429, -444): a payload of one negative int32 (LE)."""
    if len(data) != 4:
        return None
    code: int = struct.unpack("<i", data)[0]
    return code if code < 0 else None


def pack_req_pq_multi(nonce: bytes) -> bytes:
    """The body that asks for resPQ.  `nonce` is 16 random bytes."""
    if len(nonce) != NONCE:
        raise ValueError("a nonce is 16 bytes")
    return struct.pack("<I", REQ_PQ_MULTI) + nonce


def parse_req_pq_multi(body: bytes) -> bytes:
    """The nonce in it.  Raises ValueError."""
    if len(body) != 4 + NONCE or constructor(body) != REQ_PQ_MULTI:
        raise ValueError("not req_pq_multi")
    return body[4:]


def parse_res_pq(body: bytes) -> ResPq:
    """Raises ValueError for anything that is not exactly one resPQ."""
    if constructor(body) != RES_PQ:
        raise ValueError("not resPQ")
    if len(body) < 4 + 2 * NONCE + 4:
        raise ValueError("resPQ too short")
    pq, at = _parse_string(body, 36)
    if len(body) < at + 8:
        raise ValueError("resPQ without fingerprints")
    vector, count = struct.unpack_from("<II", body, at)
    if vector != _VECTOR or count > MAX_FINGERPRINTS or len(body) != at + 8 + 8 * count:
        raise ValueError("malformed fingerprints")
    return ResPq(body[4:20], body[20:36], pq, struct.unpack_from(f"<{count}Q", body, at + 8))


def constructor(body: bytes) -> int:
    """The TL constructor number that a body begins with.  Raises ValueError if it is too short."""
    if len(body) < 4:
        raise ValueError("shorter than a constructor number")
    number: int = struct.unpack_from("<I", body)[0]
    return number


def _pack_string(value: bytes) -> bytes:
    """A TL string of less than 254 bytes: length, bytes, zeros to a multiple of 4."""
    if len(value) >= 254:
        raise ValueError("long strings do not occur here")
    return bytes([len(value)]) + value + bytes(-(1 + len(value)) % 4)


def _parse_string(body: bytes, at: int) -> tuple[bytes, int]:
    length = body[at]
    end = at + 1 + length
    after = end + -(1 + length) % 4
    if length >= 254 or after > len(body) or any(body[end:after]):
        raise ValueError("malformed string")
    return body[at + 1 : end], after
