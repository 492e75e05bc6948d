"""SRTP packets under AEAD_AES_128_GCM (RFC 7714): a clear RTP header, the rest sealed.

It refuses to derive keys: where no DTLS was played there is no master key to derive them from.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEAL = 16
"""Bytes that sealing adds."""


@dataclass(slots=True)
class Srtp:
    """One stream in one direction: 16-byte key, 12-byte salt.

    A packet's index is its 16-bit sequence number with the roll-over counter above it; the
    receiver guesses the counter from `highest`, the highest index so far (RFC 3711 3.3.1).
    """

    key: bytes
    salt: bytes
    highest: int
    _cipher: AESGCM = field(init=False)

    def __post_init__(self) -> None:
        self._cipher = AESGCM(self.key)

    def seal(self, index: int, header: bytes, payload: bytes) -> bytes:
        """The packet; `header` must carry the low 16 bits of `index`."""
        return header + self._cipher.encrypt(self._nonce(index, header), payload, header)

    def unseal(self, packet: bytes, header: int) -> tuple[int, bytes]:
        """(index, payload) of a packet whose header has that many bytes.  Raises ValueError."""
        if header < 12 or len(packet) < header + SEAL:
            raise ValueError("too short for SRTP")
        head, sealed = packet[:header], packet[header:]
        number = int.from_bytes(head[2:4], "big")
        index = self.highest + (number - self.highest + 0x8000) % 0x10000 - 0x8000
        if index < 0:
            raise ValueError("before the first packet")
        try:
            payload = self._cipher.decrypt(self._nonce(index, head), sealed, head)
        except InvalidTag:
            raise ValueError("not authentic") from None
        self.highest = max(self.highest, index)
        return index, payload

    def _nonce(self, index: int, header: bytes) -> bytes:
        """RFC 7714 8.1: zeros, SSRC, roll-over counter, sequence number, all over the salt."""
        plain = bytes(2) + header[8:12] + index.to_bytes(6, "big")
        return bytes(a ^ b for a, b in zip(plain, self.salt, strict=True))
