"""What a ClientHello looks like, by the program that it is like: order and content to the byte.

Sources: `docs/dtls.md`.  It refuses to choose what is agreed on: that is the server's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from circumtest.dtls.groups import P256, P384, X25519, X25519MLKEM768, Share, share
from circumtest.wire.dtls import (
    EXTENDED_MASTER_SECRET,
    GROUPS,
    KEY_SHARE,
    RANDOM,
    SIGNATURES,
    SUPPORTED_VERSIONS,
    USE_SRTP,
    V10,
    V12,
    V13,
    ClientHello,
    numbers,
    vector,
)


class Shape(StrEnum):
    """Whose ClientHello it is like."""

    OPENSSL = "openssl"
    """OpenSSL's own: its library makes it, and the rest of the handshake."""
    LIBWEBRTC = "libwebrtc"
    """libwebrtc's of DTLS 1.2: tgcalls (2022 to 2026); extensions in a random order."""
    CHROMIUM = "chromium"
    """libwebrtc's of 2026, as Chromium sends it: DTLS 1.3 or 1.2, X25519MLKEM768."""
    PION = "pion"
    """pion/webrtc's with pion/dtls 3.0."""
    RANDOM = "random"
    """No program's: suites, groups, schemes and extensions in an order of their own each time."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """A ClientHello, our halves of the agreements that it offers, and how it is sent.

    `version` is what its first record says; `wait` the seconds until it is sent again.
    """

    hello: ClientHello
    shares: dict[int, Share]
    version: int = V10
    wait: float = 1.0


_POINT_FORMATS, _TICKET, _PSK_MODES, _RENEGOTIATION = 0x000B, 0x0023, 0x002D, 0xFF01

_LIBWEBRTC = (
    0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0x009C, 0x002F, 0x0035,
)  # fmt: skip
_THIRTEEN = (0x1301, 0x1302, 0x1303)
_PION = (0xC02B, 0xC02F, 0xC00A, 0xC014, 0xC02C, 0xC030)
_BORINGSSL_SCHEMES = (
    0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201,
)  # fmt: skip
_PION_SCHEMES = (0x0403, 0x0503, 0x0603, 0x0401, 0x0501, 0x0601, 0x0807)
_WAIT_LIBWEBRTC = 0.05


def shaped(shape: Shape, rng: Random) -> Shaped:
    """A fresh hello of a shape that is made here (any but OPENSSL)."""
    return _MAKERS[shape](rng)


# ------------------------------------------------------------------ one by one


def _libwebrtc(rng: Random) -> Shaped:
    extensions = {
        GROUPS: numbers((X25519, P256, P384)),
        **_both(),
        USE_SRTP: _srtp(0x0001, 0x0008, 0x0007),
    }
    hello = ClientHello(rng.randbytes(RANDOM), _LIBWEBRTC, _shuffled(extensions, rng))
    return Shaped(hello, {}, wait=_WAIT_LIBWEBRTC)


def _chromium(rng: Random) -> Shaped:
    random = rng.randbytes(RANDOM)
    shares = [share(group, rng) for group in (X25519MLKEM768, X25519)]
    extensions = {
        GROUPS: numbers((X25519MLKEM768, X25519, P256, P384)),
        **_both(),
        USE_SRTP: _srtp(0x0001, 0x0008, 0x0007),
        SUPPORTED_VERSIONS: numbers((V13, V12), 1),
        _PSK_MODES: vector(b"\1", 1),
        KEY_SHARE: key_shares(shares),
    }
    hello = ClientHello(random, _THIRTEEN + _LIBWEBRTC, _shuffled(extensions, rng))
    return Shaped(hello, {one.group: one for one in shares}, wait=_WAIT_LIBWEBRTC)


def _both() -> dict[int, bytes]:
    """What BoringSSL offers in either version."""
    return {
        SIGNATURES: numbers(_BORINGSSL_SCHEMES),
        EXTENDED_MASTER_SECRET: b"",
        _RENEGOTIATION: b"\0",
        _POINT_FORMATS: b"\1\0",
    }


def _pion(rng: Random) -> Shaped:
    extensions = (
        (SIGNATURES, numbers(_PION_SCHEMES)),
        (_RENEGOTIATION, b"\0"),
        (GROUPS, numbers((X25519, P256, P384))),
        (_POINT_FORMATS, b"\1\0"),
        (USE_SRTP, _srtp(0x0008, 0x0007, 0x0001)),
        (EXTENDED_MASTER_SECRET, b""),
    )
    return Shaped(ClientHello(rng.randbytes(RANDOM), _PION, extensions), {}, version=V12)


def _random(rng: Random) -> Shaped:
    """Any subset in any order that a WebRTC peer with an ECDSA certificate can take."""
    some = _some(tuple(value for value in _LIBWEBRTC + _PION[4:] if value >= 0xC000), rng)
    groups = _some((X25519, P256, P384), rng)
    schemes = _some((*_BORINGSSL_SCHEMES, 0x0603, 0x0807), rng)
    profiles = rng.sample((0x0001, 0x0008, 0x0007), 3)
    extensions = {
        GROUPS: numbers(_with(groups, (X25519, P256), rng)),
        SIGNATURES: numbers(_with(schemes, (0x0403,), rng)),
        USE_SRTP: _srtp(*profiles),
        EXTENDED_MASTER_SECRET: b"",
        _POINT_FORMATS: b"\1\0",
        _RENEGOTIATION: b"\0",
    }
    if rng.random() < 0.5:
        extensions[_TICKET] = b""
    ciphers = _with(some, (0xC02B,), rng)
    return Shaped(ClientHello(rng.randbytes(RANDOM), ciphers, _shuffled(extensions, rng)), {})


_MAKERS: dict[Shape, Callable[[Random], Shaped]] = {
    Shape.LIBWEBRTC: _libwebrtc,
    Shape.CHROMIUM: _chromium,
    Shape.PION: _pion,
    Shape.RANDOM: _random,
}


# ------------------------------------------------------------------ pieces


def key_shares(shares: list[Share]) -> bytes:
    """The body of a client's key_share (RFC 8446 4.2.8)."""
    return vector(b"".join(one.group.to_bytes(2) + vector(one.public, 2) for one in shares), 2)


def _srtp(*profiles: int) -> bytes:
    """The body of a use_srtp without a master key identifier (RFC 5764 4.1.1)."""
    return numbers(profiles) + b"\0"


def _shuffled(extensions: dict[int, bytes], rng: Random) -> tuple[tuple[int, bytes], ...]:
    return tuple(rng.sample(tuple(extensions.items()), len(extensions)))


def _some(values: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    return tuple(rng.sample(values, rng.randint(1, len(values))))


def _with(values: tuple[int, ...], needed: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    """`values`, and what is missing of `needed`, in an order of their own."""
    every = (*values, *(value for value in needed if value not in values))
    return tuple(rng.sample(every, len(every)))
