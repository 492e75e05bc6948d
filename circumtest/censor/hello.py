"""The ClientHello that a flow begins with: of TLS in a stream, of DTLS or QUIC in datagrams.

It refuses to fail: what is no hello, or is malformed, is None, as it is to a censor.
"""

from collections.abc import Callable, Iterable, Sequence

from circumtest.censor.policy import Hello
from circumtest.model import Transport
from circumtest.wire import dtls, quic, tls
from circumtest.wire.ja4 import ja4

_QUIC_LONG = 0xC0
"""Form and fixed bit of a long header (RFC 9000 17.2)."""


def hello_of(transport: Transport, pieces: Sequence[bytes]) -> Hello | None:
    """What a client's first bytes show to everybody, None while no hello is whole.

    `pieces` are a stream's first bytes, or its datagrams in the order in which they came; datagrams
    that are something else are passed over.  Never raises.
    """
    if transport is Transport.TCP:
        return _shown(lambda: tls.client_hello(b"".join(pieces)))
    carried = [piece for piece in pieces if carries(piece)]
    if not carried:
        return None
    if carried[0][0] == dtls.HANDSHAKE:
        return _shown(lambda: _dtls(carried))
    return _shown(lambda: quic.client_hello(carried), in_quic=True)


def carries(datagram: bytes) -> bool:
    """Whether a datagram from a client may hold a piece of a ClientHello, by its first bytes."""
    if datagram[:1] == bytes((dtls.HANDSHAKE,)):
        return int.from_bytes(datagram[1:3]) in (dtls.V10, dtls.V12)
    version = int.from_bytes(datagram[1:5])
    return datagram[:1] >= bytes((_QUIC_LONG,)) and version in (quic.V1, quic.V2)


def _shown(find: Callable[[], dtls.ClientHello | None], *, in_quic: bool = False) -> Hello | None:
    try:
        hello = find()
        if hello is None:
            return None
        return Hello(tls.server_name(hello), ja4(hello, quic=in_quic), tls.encrypted(hello))
    except ValueError:
        return None


def _dtls(datagrams: Iterable[bytes]) -> dtls.ClientHello | None:
    """The first ClientHello whose fragments (RFC 6347 4.2.3) are all there.  Raises ValueError."""
    bodies: dict[int, dict[int, bytes]] = {}
    for fragment in _fragments(datagrams):
        pieces = bodies.setdefault(fragment.seq, {})
        pieces[fragment.offset] = fragment.data
        body = quic.joined(pieces)
        if len(body) == fragment.length:
            return dtls.ClientHello.unpack(body)
    return None


def _fragments(datagrams: Iterable[bytes]) -> Iterable[dtls.Fragment]:
    """The fragments of ClientHellos in clear text."""
    for datagram in datagrams:
        for record in dtls.records(datagram):
            if record.kind == dtls.HANDSHAKE and not record.epoch:
                for fragment in dtls.fragments(record.body):
                    if fragment.kind == dtls.CLIENT_HELLO:
                        yield fragment
