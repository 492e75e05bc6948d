"""How an application's TURN client speaks, and who it says it is: values.

It refuses to send anything.
"""

import base64
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import NamedTuple, Protocol, runtime_checkable

from circumtest import tags
from circumtest.model import Carrier
from circumtest.wire import stun, turn

TID = 12


class Channels(Enum):
    """When a peer is given a channel: before anything is sent to him, behind the first exchange
    with him (libwebrtc's way: when there is more to send than checks), or not at all."""

    FIRST = "first"
    LATER = "later"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs from client to client, and changes nothing for the server.

    `letters`: transaction ids are characters of base64, else any bytes.  `sends`: seconds after the
    first sending, 0 included, at which an unanswered request is sent over UDP.  `lifetime`: whether
    an Allocate asks for one, in seconds.  `family`: whether one over IPv6 asks for an IPv6 address,
    as RFC 8656 wants; a server may be set up to do so unasked.  `fingerprint`: whether requests
    carry one.  `channel`: when peers get one.
    """

    letters: bool
    sends: tuple[float, ...]
    lifetime: int | None = None
    family: bool = False
    fingerprint: bool = False
    channel: Channels = Channels.FIRST

    def tid(self, rng: Random, secret: str = "", purpose: str = "") -> bytes:
        """A new transaction id: 12 bytes, with a tag for `purpose` where there is a secret."""
        drawn = rng.randbytes(TID)
        if self.letters:
            return tags.mark_letters(base64.b64encode(drawn)[:TID], secret, purpose)
        return tags.mark(drawn, secret, purpose)

    def is_ours(self, data: bytes, secret: str, purpose: str) -> bool | None:
        """Whether a first packet, or a stream's beginning, is a request with that tag.

        None for a beginning that is too short to tell.
        """
        if len(data) < stun.HEADER:
            return None
        tid = data[stun.HEADER - TID : stun.HEADER]
        known = tags.has_marked_letters if self.letters else tags.is_marked
        return data[0] < 2 and known(tid, secret, purpose)

    def opening(self, version: int = 4) -> int:
        """Bytes of the first Allocate."""
        first = stun.Message(turn.ALLOCATE, bytes(TID), self.allocate(version))
        return len(stun.pack(first, fingerprint=self.fingerprint))

    def allocate(self, version: int) -> tuple[tuple[int, bytes], ...]:
        """The attributes of an Allocate over IP `version`, before those that authenticate it."""
        asked: list[tuple[int, bytes]] = [(turn.REQUESTED_TRANSPORT, turn.UDP)]
        if self.lifetime is not None:
            asked.append((turn.LIFETIME, self.lifetime.to_bytes(4)))
        if self.family and version == 6:
            asked.append((turn.REQUESTED_ADDRESS_FAMILY, turn.family(version)))
        return tuple(asked)


PLAIN = Dialect(
    letters=False,
    sends=(0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5),
    lifetime=600,
    family=True,
    fingerprint=True,
)
"""RFC 8656 and the timer of RFC 8489 6.2.1."""

LIBWEBRTC = Dialect(
    letters=True,
    sends=(0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 23.75, 31.75),
    channel=Channels.LATER,
)
"""libwebrtc's: nine sendings, no wish for a lifetime or a family, no FINGERPRINT."""


class Credentials(NamedTuple):
    """A user name and his password."""

    user: str
    word: str

    @classmethod
    def none(cls) -> "Credentials":
        """A stranger's: they are never sent, since he stops where he is asked for them."""
        return cls("", "")

    @classmethod
    def given(cls, secret: str, user: str) -> "Credentials":
        """What the signalling would bring: a password that the secret gives."""
        return cls(user, turn.password(secret, user))

    def attributes(self, realm: bytes, nonce: bytes) -> tuple[tuple[int, bytes], ...]:
        """What authenticates a request, in libwebrtc's order; MESSAGE-INTEGRITY goes behind it."""
        user = (turn.USERNAME, self.user.encode())
        return (user, (turn.REALM, realm), (turn.NONCE, nonce))

    def key(self, realm: bytes) -> bytes:
        """The key under that realm.  Raises ValueError for a realm that is no text."""
        return turn.long_term_key(self.user, realm.decode(), self.word)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, how, and by what chance.

    Over TLS the server must show the key that `secret` gives; `name` is what it is asked for by.
    Both are in the tags of transaction ids, too.
    """

    credentials: Credentials
    dialect: Dialect
    rng: Random
    carrier: Carrier = Carrier.UDP
    name: str = ""
    secret: str = ""

    def tid(self) -> bytes:
        """A new transaction id."""
        return self.dialect.tid(self.rng, self.secret, self.name)

    def pack(self, message: stun.Message, key: bytes | None) -> bytes:
        """The bytes of a request."""
        return stun.pack(message, key, fingerprint=self.dialect.fingerprint)


@runtime_checkable
class Service(Protocol):
    """What a handshake says of the server that it calls: its realm, how it is reached, the secret
    that gives passwords and its key, and the longest lifetime (seconds) that it grants."""

    @property
    def secret(self) -> str: ...
    @property
    def realm(self) -> str: ...
    @property
    def carrier(self) -> Carrier: ...
    @property
    def longest(self) -> int: ...
