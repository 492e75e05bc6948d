"""JA4 held to FoxIO's own example; `tests/lab/test_outsiders_dtls.py` holds it to nDPI."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire.dtls import ALPN, SERVER_NAME, ClientHello, numbers, vector
from circumtest.wire.ja4 import ja4

# The example of FoxIO's technical details: Chrome, with GREASE put in as it does.
CIPHERS = (
    0x1A1A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014,
    0x009C, 0x009D, 0x002F, 0x0035,
)  # fmt: skip
SCHEMES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
PLAIN = (0x0005, 0x000A, 0x000B, 0x0012, 0x0015, 0x0017, 0x001B, 0x0023, 0x002D, 0x0033)
EXTENSIONS = (
    (0x2A2A, b""),
    *((kind, b"") for kind in reversed(PLAIN)),
    (SERVER_NAME, b"\0\x0b\0\0\x08some.one"),
    (ALPN, vector(vector(b"h2", 1) + vector(b"http/1.1", 1), 2)),
    (0x002B, numbers((0x3A3A, 0x0304, 0x0303), 1)),
    (0x000D, numbers(SCHEMES)),
    (0x4469, b""),
    (0xFF01, b"\0"),
)
CHROME = ClientHello(bytes(32), CIPHERS, EXTENSIONS, version=0x0303)


def hello(
    *extensions: tuple[int, bytes], version: int = 0xFEFD, ciphers: tuple[int, ...] = (0xC02B,)
) -> ClientHello:
    """A small one."""
    return ClientHello(bytes(32), ciphers, extensions, version=version)


def test_the_example_of_its_makers() -> None:
    """Sorted, without GREASE, server name and protocols; signature schemes in their order."""
    assert ja4(CHROME) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_dtls_counts_its_versions_downwards() -> None:
    """The newest that is offered is the smallest number."""
    assert ja4(hello()).startswith("dd2i0100")
    assert ja4(hello((0x002B, numbers((0xFEFC, 0xFEFD), 1)))).startswith("dd3i0101")
    assert ja4(hello((0x002B, numbers((0xFEFD, 0x5A5A), 1)))).startswith("dd2i0101")
    assert ja4(hello(version=0xFEFF)).startswith("dd1i")
    assert ja4(hello(version=0x0303)).startswith("t12i")


def test_what_carries_the_hello_is_its_first_letter() -> None:
    """The same hello in QUIC differs by nothing else."""
    assert ja4(CHROME, quic=True) == "q" + ja4(CHROME)[1:]


@pytest.mark.parametrize(
    ("name", "ends"), [(b"h2", "h2"), (b"webrtc", "wc"), (b"c", "cc"), (b"\xab\x12", "a2")]
)
def test_the_first_protocols_ends_are_told(name: bytes, ends: str) -> None:
    """Those of its hexadecimal form where they are no letters or digits."""
    assert ja4(hello((ALPN, vector(vector(name, 1), 2))))[8:10] == ends


def test_what_is_not_there_is_zeros() -> None:
    """No protocols, no suites, no extensions."""
    assert ja4(hello(ciphers=())) == "dd2i000000_000000000000_000000000000"


def test_the_order_of_suites_and_extensions_does_not_count() -> None:
    """That of signature schemes does."""
    turned = ClientHello(bytes(32), CIPHERS[::-1], EXTENSIONS[::-1], version=0x0303)
    other = dict(EXTENSIONS) | {0x000D: numbers(SCHEMES[::-1])}
    changed = ClientHello(bytes(32), CIPHERS, tuple(other.items()), version=0x0303)

    assert ja4(turned) == ja4(CHROME)
    assert ja4(changed) != ja4(CHROME)


@given(st.lists(st.tuples(st.sampled_from((0, 13, 16, 43)), st.binary(max_size=9)), max_size=4))
def test_garbage_in_an_extension_is_a_value_error(extensions: list[tuple[int, bytes]]) -> None:
    """And nothing else."""
    try:
        assert len(ja4(hello(*extensions))) == 36
    except ValueError:
        return
