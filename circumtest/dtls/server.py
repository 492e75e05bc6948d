"""The half that answers hellos: DTLS 1.3 where the hello offers it, else OpenSSL's DTLS 1.2.

A hello may come in fragments, as browsers send it: what is kept of it is one message at most, and
nothing is said before it is whole.  It takes no cookies but in a retry: who has not passed an ICE
check is not to be handed to it.
"""

from collections.abc import Sequence
from contextlib import suppress
from random import Random

from circumtest.dtls.answer13 import TAKEN_GROUPS, Answering, offers
from circumtest.dtls.endpoint import SrtpKeys
from circumtest.dtls.flight import Assembly, Sender
from circumtest.dtls.half import Half
from circumtest.dtls.openssl import OpenSsl
from circumtest.dtls.session import Session
from circumtest.identity import Identity
from circumtest.wire.dtls import (
    CLIENT_HELLO,
    HANDSHAKE,
    V12,
    ClientHello,
    Record,
    fragments,
    records,
)

FIRST_WAIT = 0.05
"""Seconds until a flight of DTLS 1.3 is sent again: libwebrtc's, which is who speaks it."""


class Thirteen(Half):
    """The half that answers in DTLS 1.3: an `endpoint.Endpoint`."""

    def __init__(
        self, own: Identity, peer: bytes | None, rng: Random, taken: Sequence[int] = TAKEN_GROUPS
    ) -> None:
        session = Session(own, peer, rng, Sender(FIRST_WAIT, _plain))
        answering = Answering(session, taken)
        super().__init__(session, answering, answering.climb(), _older)


class Server:
    """Either version, as the hello says: an `endpoint.Endpoint`."""

    def __init__(
        self, own: Identity, peer: bytes | None, rng: Random, taken: Sequence[int] = TAKEN_GROUPS
    ) -> None:
        self._own, self._peer, self._rng, self._taken = own, peer, rng, taken
        self._hello = Assembly()
        self._chosen: OpenSsl | Thirteen | None = None

    @property
    def established(self) -> bool:
        return self._chosen is not None and self._chosen.established

    @property
    def keys(self) -> SrtpKeys | None:
        return self._chosen.keys if self._chosen else None

    @property
    def closed(self) -> bool:
        """Whether the peer has ended the connection, once it was established."""
        return self._chosen is not None and self._chosen.closed

    @property
    def version(self) -> int:
        """What was agreed on, DTLS 1.2 as long as nothing is."""
        return self._chosen.version if isinstance(self._chosen, Thirteen) else V12

    def start(self, now: float) -> list[bytes]:  # noqa: ARG002  # it begins nothing
        return []

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        if self._chosen is not None:
            return self._chosen.receive(datagram, now)
        hello = self._whole(datagram)
        if hello is None:
            return []
        self._chosen = self._choose(hello)
        self._hello = Assembly()
        # Either reads it as if it had come in one record.
        return self._chosen.start(now) + self._chosen.receive(hello.pack(), now)

    def timer(self) -> float | None:
        return self._chosen.timer() if self._chosen else None

    def tick(self, now: float) -> list[bytes]:
        return self._chosen.tick(now) if self._chosen else []

    def _whole(self, datagram: bytes) -> Record | None:
        """The hello in a record of its own, once all of it has come.

        OpenSSL is shown nothing before it: a change of ciphers that came first would end it.
        """
        with suppress(ValueError):
            for record in records(datagram):
                if (record.kind, record.epoch) != (HANDSHAKE, 0):
                    continue
                for fragment in fragments(record.body):
                    if (fragment.kind, fragment.seq) == (CLIENT_HELLO, 0):
                        self._hello.put(fragment, 0)
                message = self._hello.take((0,))
                if message is not None:
                    return Record(HANDSHAKE, 0, record.seq, message.long(), record.version)
        return None

    def _choose(self, hello: Record) -> OpenSsl | Thirteen:
        """What cannot be read is OpenSSL's to refuse."""
        with suppress(ValueError):
            (message,) = fragments(hello.body)
            if offers(ClientHello.unpack(message.data)):
                return Thirteen(self._own, self._peer, self._rng, self._taken)
        return OpenSsl(self._own, self._peer, server=True)


def _plain(kind: int, seq: int, body: bytes) -> bytes:
    return Record(kind, 0, seq, body).pack()


def _older(_: Record) -> bytes:
    raise ValueError("a record of DTLS 1.2, which was not agreed on")
