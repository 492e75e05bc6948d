"""Signalling of a call by WHIP (RFC 9725), both halves: an offer for an answer, over plain HTTP.

Both descriptions are held to the secret: the offer by its password, which the secret gives, and the
answer by its entity tag, which only who knows the secret can make.  So a middlebox that answers in
the far half's place is told.  It refuses to understand more of a description than where the far
end is, by what passwords, and whose key.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from circumtest.errors import HandshakeFailed
from circumtest.ice import Credentials, ends
from circumtest.identity import Identity
from circumtest.ladders import Stream
from circumtest.model import Address, Cause, Transport
from circumtest.script import Emit, Flow, Script, now, open_tcp
from circumtest.script import close as close_channel
from circumtest.wire import sdp, whip

MAX_FLOWS = 256
"""Streams of which the beginning of a request is kept; the oldest is forgotten first."""
PROTOCOL = "UDP/TLS/RTP/SAVPF"
_GOODBYE = 1.0


@dataclass(frozen=True, slots=True)
class Far:
    """The far end by its answer: at the host that gave it, and where the call can be ended."""

    remote: Address
    credentials: Credentials
    fingerprint: bytes
    location: str


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate (PEM), as descriptions have it (RFC 8122 5)."""
    der = load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
    return ":".join(f"{octet:02X}" for octet in sha256(der).digest())


def tag(secret: str, offer: bytes, answer: bytes) -> str:
    """The entity tag of the answer to an offer."""
    both = len(offer).to_bytes(4) + offer + answer
    return hmac.digest(secret.encode(), b"whip\0" + both, "sha256").hex()


def describe(
    own: Credentials,
    identity: Identity,
    setup: str,
    number: int,
    attributes: sdp.Attributes,
    at: Address | None = None,
    formats: tuple[str, ...] = ("111",),
) -> sdp.Session:
    """One end's description: one medium, sound; `at` is its only candidate.

    Without one the peer learns from our checks where we are, as inside a tunnel he must.
    """
    version = at.version if at else 4
    nowhere = "0.0.0.0" if version == 4 else "::"  # noqa: S104  # it means nowhere
    candidate = sdp.Candidate(*at).pack() if at else ""
    ours = (
        ("rtcp", f"9 IN IP{version} {nowhere}"),
        *((("candidate", candidate), ("end-of-candidates", "")) if at else ()),
        ("ice-ufrag", own.fragment.decode()),
        ("ice-pwd", own.password.decode()),
        ("ice-options", "trickle"),
        ("fingerprint", f"sha-256 {fingerprint(identity.certificate)}"),
        ("setup", setup),
        ("mid", "0"),
        ("sendrecv", ""),
        ("rtcp-mux", ""),
        *attributes,
    )
    host, port = at or (nowhere, 9)
    sound = sdp.Media("audio", port, PROTOCOL, formats, host, ours)
    origin = "127.0.0.1" if version == 4 else "::1"  # as browsers have it: it tells nobody anything
    return sdp.Session(origin, number, 2, (sound,), attributes=(("group", "BUNDLE 0"),))


# ------------------------------------------------------------------ the caller's half


def call(at: Address, offer: bytes, secret: str, patience: float) -> Script[Far]:
    """Post an offer and read the answer, within `patience` seconds.

    Raises HandshakeFailed ERROR_REPLY for another status, WRONG_IDENTITY for an answer that was not
    made under the secret, MALFORMED for what is no HTTP or no description, and like `Stream`.
    """
    until = (yield from now()) + patience
    channel = yield from open_tcp(at, patience)
    stream = Stream(channel)
    yield from stream.send(whip.post(*at, offer))
    reply, data = None, b""
    while reply is None:
        data += yield from stream.read_some(until)
        try:
            reply = whip.reply(data)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
    yield from close_channel(channel)
    if reply.status != whip.CREATED:
        raise HandshakeFailed(Cause.ERROR_REPLY, f"{reply.status} {reply.reason}".strip())
    if not hmac.compare_digest(reply.tag.encode(), tag(secret, offer, reply.body).encode()):
        raise HandshakeFailed(Cause.WRONG_IDENTITY, "an answer that the secret did not make")
    try:
        far = _far(sdp.parse(reply.body), reply.location)
    except ValueError as error:
        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
    # Where it was asked: behind a NAT it has another address than the one it believes to have.
    return replace(far, remote=Address(at.host, far.remote.port))


def hang_up(at: Address, far: Far) -> Script[None]:
    """Tell the far half that the call is over.  Whether it hears that is nobody's failure."""
    try:
        channel = yield from open_tcp(at, _GOODBYE)
    except HandshakeFailed:
        return
    yield from Stream(channel).send(whip.delete(*at, far.location or whip.PATH))
    yield from close_channel(channel)


def _far(session: sdp.Session, location: str) -> Far:
    """Raises ValueError where something is missing."""
    media = next((one for one in session.media if one.kind == "audio" and one.port), None)
    if media is None:
        raise ValueError("an answer without sound")
    found = {name: session.get(media, name) for name in ("ice-ufrag", "ice-pwd", "fingerprint")}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise ValueError(f"an answer without {missing[0]}")
    algorithm, _, value = (found["fingerprint"] or "").partition(" ")
    shown = bytes.fromhex(value.replace(":", ""))
    if algorithm.lower() != "sha-256" or len(shown) != sha256().digest_size:
        raise ValueError("a fingerprint that is not by SHA-256")
    first = next(_candidates(media), None)
    if first is None:
        raise ValueError("an answer without a candidate")
    credentials = Credentials(
        (found["ice-ufrag"] or "").encode(), (found["ice-pwd"] or "").encode()
    )
    return Far(Address(first.host, first.port), credentials, shown, location)


def _candidates(media: sdp.Media) -> Iterator[sdp.Candidate]:
    """Those over UDP; what we do not understand (a host name, say) is nobody's error."""
    for name, value in media.attributes:
        if name == "candidate":
            with suppress(ValueError):
                candidate = sdp.parse_candidate(value)
                if candidate.transport == "udp":
                    yield candidate


# ------------------------------------------------------------------ the far half


class Desk:
    """Answers offers made under the secret; `describe` makes the description that goes back.

    What is no HTTP of ours is neither answered nor closed, so that another answerer may have it.
    """

    def __init__(self, secret: str, describe: Callable[[Flow, Credentials], sdp.Session]) -> None:
        self._secret, self._describe = secret, describe
        self._streams: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:  # noqa: ARG002
        if flow.transport is not Transport.TCP:
            return ()
        if not data:
            self._streams.pop(flow, None)
            return ()
        data = self._streams.pop(flow, b"") + data
        try:
            asked = whip.request(data)
        except ValueError:
            return ()
        if asked is None:
            if len(self._streams) >= MAX_FLOWS:
                del self._streams[next(iter(self._streams))]
            self._streams[flow] = data
            return ()
        if asked.method == "DELETE":
            return (Emit(flow, whip.plain(200, "OK"), close=True),)
        return self._answer(flow, asked.body)

    def _answer(self, flow: Flow, offer: bytes) -> Sequence[Emit]:
        try:
            session = sdp.parse(offer)
            media = session.media[0]
        except (ValueError, IndexError):
            return ()
        fragment = (session.get(media, "ice-ufrag") or "").encode()
        known = ends(self._secret, fragment)
        password = (session.get(media, "ice-pwd") or "").encode()
        if not hmac.compare_digest(password, known.caller.password):
            return ()
        answer = sdp.pack(self._describe(flow, known.callee))
        made = tag(self._secret, offer, answer)
        return (Emit(flow, whip.created(answer, f"{whip.PATH}/{made[:16]}", made), close=True),)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()
