"""What both ends of DTLS look like to who uses them, and what they agree on: keys for sound.

It refuses application data: calls agree on keys by DTLS and speak SRTP (RFC 5764).
"""

from dataclasses import dataclass
from typing import Protocol

EXPORTER = b"EXTRACTOR-dtls_srtp"
"""The label that SRTP's keys are exported under (RFC 5764 4.2)."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """A protection profile's number, and both halves' master key and salt."""

    profile: int
    client_key: bytes
    client_salt: bytes
    server_key: bytes
    server_salt: bytes


SRTP_SIZES: dict[int, tuple[int, int]] = {
    0x0001: (16, 14),  # SRTP_AES128_CM_SHA1_80
    0x0002: (16, 14),  # SRTP_AES128_CM_SHA1_32
    0x0007: (16, 12),  # SRTP_AEAD_AES_128_GCM
    0x0008: (32, 12),  # SRTP_AEAD_AES_256_GCM
}
"""Bytes of master key and salt of each profile (RFC 5764 4.1.2, RFC 7714 12)."""


def srtp_size(profile: int) -> int:
    """Bytes to export for a profile.  Raises ValueError for one that is not known here."""
    if profile not in SRTP_SIZES:
        raise ValueError(f"SRTP profile {profile:#06x} is not known here")
    return 2 * sum(SRTP_SIZES[profile])


def srtp_keys(profile: int, exported: bytes) -> SrtpKeys:
    """The keys in exported material: both keys, then both salts (RFC 5764 4.2)."""
    key, salt = SRTP_SIZES[profile]
    salts = exported[2 * key :]
    return SrtpKeys(
        profile, exported[:key], salts[:salt], exported[key : 2 * key], salts[salt : 2 * salt]
    )


class Endpoint(Protocol):
    """One half of a handshake: datagrams in, datagrams out, no I/O and no clock.

    Hand over datagrams of DTLS from the peer only: their first byte is 20 to 63 (RFC 7983 7).
    """

    @property
    def established(self) -> bool:
        """Whether both halves have the keys, as far as this one can know."""
        ...

    @property
    def keys(self) -> SrtpKeys | None:
        """SRTP's keys, once established; None where no profile was agreed on."""
        ...

    def start(self, now: float) -> list[bytes]:
        """The datagrams that begin the handshake: none of a server."""
        ...

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        """What a datagram is answered by.

        Raises HandshakeFailed: ERROR_REPLY for an alert, WRONG_IDENTITY for somebody else,
        MALFORMED for a message that is none.  A record that is none, or that was not sealed with
        the keys, is as if it had not come (RFC 6347 4.1.2.7).
        """
        ...

    def timer(self) -> float | None:
        """When `tick` is wanted, None for never."""
        ...

    def tick(self, now: float) -> list[bytes]:
        """What is sent once more, if the time has come."""
        ...
