"""Sound as SRTP (RFC 3711, RFC 7714) by libsrtp, and the rung on which DTLS agrees on its keys.

The packets are an application's by their headers and sizes; inside is a `Frame`, padded to 20 ms of
G.711, so that reports of the far end come with its sound.  What libsrtp does not open (another key,
a forgery, a replay) never came.  It refuses to send RTCP, and reads over what others send of it.
"""

import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol

import pylibsrtp

from circumtest.dtls.endpoint import Endpoint, SrtpKeys, srtp_keys, srtp_size
from circumtest.errors import HandshakeFailed
from circumtest.media import Heard
from circumtest.model import Cause
from circumtest.pipe import Pipe
from circumtest.script import Arrival, Script, Send, now, post, recv
from circumtest.talker import said
from circumtest.wire import rtp
from circumtest.wire.rtp import Frame

AES_128_SHA1_80 = 1
"""The one profile that everybody has (RFC 5764 4.1.2)."""
_PROFILES: dict[int, int] = {
    AES_128_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    2: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    7: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    8: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def signalled(secret: str, name: bytes) -> SrtpKeys:
    """Keys that signalling brought instead of DTLS: those of the call `name` under the secret."""
    made = hmac.digest(secret.encode(), b"srtp\0" + name, "sha512")
    return srtp_keys(AES_128_SHA1_80, made[: srtp_size(AES_128_SHA1_80)])


@dataclass(frozen=True, slots=True)
class Sound:
    """How packets of sound look: payload type, clock ticks in 20 ms, bytes of payload.

    `extended`: with the two header extensions that libwebrtc puts on every packet.
    """

    payload_type: int
    step: int
    size: int = 160
    extended: bool = True


OPUS = Sound(111, 960)
PCMU = Sound(0, 160, extended=False)


class Sealer:
    """One direction out: frames become packets."""

    def __init__(self, key: bytes, profile: int, sound: Sound, rng: Random) -> None:
        policy = pylibsrtp.Policy(
            key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=_PROFILES[profile]
        )
        self._session, self._sound = pylibsrtp.Session(policy), sound
        # In the lower half, as everybody draws it: a number that wraps too early confuses ciphers.
        self._first, self._stamp = rng.getrandbits(15), rng.getrandbits(31)
        self._ssrc = rng.getrandbits(32)

    def pack(self, frame: Frame) -> bytes:
        """The packet that a frame travels in."""
        sound, number = self._sound, frame.seq
        extension = b""
        if sound.extended:
            # abs-send-time (6.18 bits of seconds) and the transport-wide number.
            sent = int(frame.sent_at * 2**18) % 2**24
            extension = struct.pack(">IBHx", 2 << 28 | 2 << 24 | sent, 0x31, number % 2**16)
        head = struct.pack(
            "!BBHII",
            0x90 if sound.extended else 0x80,
            sound.payload_type,
            (self._first + number) & 0xFFFF,
            (self._stamp + sound.step * number) & 0xFFFFFFFF,
            self._ssrc,
        )
        if sound.extended:
            head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
        sealed: bytes = self._session.protect(head + frame.pack(sound.size))
        return sealed


class Opener:
    """One direction in: packets become what was heard."""

    def __init__(self, key: bytes, profile: int) -> None:
        policy = pylibsrtp.Policy(
            key, pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=_PROFILES[profile]
        )
        self._session = pylibsrtp.Session(policy)

    def unpack(self, packet: bytes) -> Heard:
        """What a packet says.  Raises ValueError for what is no authentic packet of sound."""
        rtp.body(packet)
        try:
            opened = self._session.unprotect(packet)
        except pylibsrtp.Error as error:
            raise ValueError(str(error)) from None
        return said(Frame.unpack(rtp.body(opened)))


class Leg:
    """The caller's end of the sound: a `media.Leg` over any pipe.  He is the client of DTLS."""

    def __init__(self, pipe: Pipe, keys: SrtpKeys, rng: Random, sound: Sound = OPUS) -> None:
        self._pipe = pipe
        self._sealer = Sealer(keys.client_key + keys.client_salt, keys.profile, sound, rng)
        self._opener = Opener(keys.server_key + keys.server_salt, keys.profile)

    def encode(self, seq: int, at: float) -> Send:
        return self._pipe.encode(self._sealer.pack(Frame.silent(seq, at)))

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        for payload in self._pipe.decode(arrival):
            try:
                heard = self._opener.unpack(payload)
            except ValueError:
                continue
            yield heard


# ------------------------------------------------------------------ agreeing on keys


class Way(Pipe, Protocol):
    """A pipe that has business of its own meanwhile, as ICE has: `circumtest.ice.Session`."""

    @property
    def due(self) -> float: ...
    def tick(self, at: float) -> Iterable[Send]: ...
    def answer(self, arrival: Arrival) -> Iterable[Send]: ...
    def early(self) -> list[Arrival]: ...
    def keep(self, arrival: Arrival, payloads: list[bytes]) -> None: ...


def is_dtls(payload: bytes) -> bool:
    """By the first byte (RFC 7983 7)."""
    return b"\x14" <= payload[:1] <= b"\x3f"


def agree(endpoint: Endpoint, way: Way, patience: float) -> Script[SrtpKeys]:
    """Shake hands over `way` and give the keys; sound that comes meanwhile is kept.

    Raises HandshakeFailed like `endpoint`, and after `patience` seconds with what an ICMP error
    said, else TIMEOUT; ERROR_REPLY where the far end wants no SRTP.
    """
    start = at = yield from now()
    cause, detail = Cause.TIMEOUT, f"no handshake in {patience:g} s"
    pending = endpoint.start(start)
    for arrival in way.early():
        pending += _handed(endpoint, way, arrival, start)
    while True:
        yield from _say([*map(way.encode, pending), *way.tick(at)])
        if endpoint.established:
            break
        timer = endpoint.timer() or start + patience
        came = yield from recv(min(way.due, start + patience, timer))
        at = yield from now()
        if at >= start + patience:
            raise HandshakeFailed(cause, detail)
        pending = endpoint.tick(at) if timer <= at else []
        if came is not None and isinstance(came.data, Cause):
            cause, detail = came.data, str(came.source)
        elif came is not None:
            yield from _say(way.answer(came))
            pending += _handed(endpoint, way, came, at)
    if endpoint.keys is None:
        raise HandshakeFailed(Cause.ERROR_REPLY, "the far end agreed on no SRTP")
    return endpoint.keys


def _say(items: Iterable[Send]) -> Script[None]:
    for item in items:
        yield from post(item)


def _handed(endpoint: Endpoint, way: Way, arrival: Arrival, at: float) -> list[bytes]:
    """What DTLS says to an arrival; what else was in it is kept."""
    answers: list[bytes] = []
    rest = []
    for payload in way.decode(arrival):
        if is_dtls(payload):
            answers += endpoint.receive(payload, at)
        else:
            rest.append(payload)
    way.keep(arrival, rest)
    return answers
