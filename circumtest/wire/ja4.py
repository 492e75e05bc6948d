"""JA4 of a ClientHello: FoxIO's fingerprint of a TLS, QUIC or DTLS client, to compare shapes by.

`t`, `q` or `d`, version, `d` or `i` for a server name or none, how many ciphers and extensions, the
first protocol's first and last character; then two hashes.  GREASE values (RFC 8701) do not count.
It refuses to find the hello: that is `circumtest.wire.tls`'s, `quic`'s and `dtls`'s.
"""

from collections.abc import Iterable
from hashlib import sha256

from circumtest.wire.dtls import (
    ALPN,
    SERVER_NAME,
    SIGNATURES,
    SUPPORTED_VERSIONS,
    V10,
    V12,
    V13,
    ClientHello,
    Reader,
)

_NAMES = {
    0x0300: "s3",
    0x0301: "10",
    0x0302: "11",
    0x0303: "12",
    0x0304: "13",
    V10: "d1",
    V12: "d2",
    V13: "d3",
}
_MOST = 99
"""Counts have two digits."""


def ja4(hello: ClientHello, *, quic: bool = False) -> str:
    """The fingerprint, such as `dd2i110600_f44d4b9ad54e_...`; `quic` where that carries the hello.

    Raises ValueError where a list in an extension that it needs is none.
    """
    ciphers = [value for value in hello.ciphers if not _grease(value)]
    extensions = [kind for kind, _ in hello.extensions if not _grease(kind)]
    version = _version(hello)
    first = "".join(
        (
            "q" if quic else "d" if version.startswith("d") else "t",
            version,
            "i" if hello.get(SERVER_NAME) is None else "d",
            f"{min(len(ciphers), _MOST):02}{min(len(extensions), _MOST):02}",
            _protocol(hello),
        )
    )
    rest = ",".join(_hex(kind for kind in extensions if kind not in (SERVER_NAME, ALPN)))
    if signatures := _list(hello.get(SIGNATURES), 2):
        rest += "_" + ",".join(f"{value:04x}" for value in signatures)
    return f"{first}_{_digest(','.join(_hex(ciphers)))}_{_digest(rest)}"


def _version(hello: ClientHello) -> str:
    """The newest that is offered.  DTLS counts downwards, so that 1.2 is less than 1.0."""
    offered = [value for value in _list(hello.get(SUPPORTED_VERSIONS), 1) if not _grease(value)]
    datagrams = hello.version > 0x8000
    known = [value for value in offered if value in _NAMES and (value > 0x8000) == datagrams]
    newest = (min if datagrams else max)(known, default=hello.version)
    return _NAMES.get(newest, "00")


def _protocol(hello: ClientHello) -> str:
    body = hello.get(ALPN)
    if body is None:
        return "00"
    names = Reader(Reader(body).vector(2))
    name = names.vector(1) if names.more else b""
    if not name:
        return "00"
    ends = name[:1] + name[-1:]
    if ends.isalnum():
        return ends.decode("ascii")
    return f"{name.hex()[0]}{name.hex()[-1]}"


def _list(body: bytes | None, size: int) -> tuple[int, ...]:
    return () if body is None else Reader(body).numbers(size)


def _hex(values: Iterable[int]) -> list[str]:
    return sorted(f"{value:04x}" for value in values)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def _grease(value: int) -> bool:
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF
