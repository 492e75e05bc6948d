"""An allocation: permissions, channels, refreshes, its end, and a pipe to every peer.

It refuses to outlive its call: whoever got one releases it, whatever became of the call.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from circumtest.errors import HandshakeFailed
from circumtest.media import Beat
from circumtest.model import Address, Cause
from circumtest.script import Arrival, Channel, Script, Send, close, now
from circumtest.turn.dialect import Caller
from circumtest.turn.link import connect
from circumtest.turn.session import MAX_RENEWALS, Attributes, Refused, Session, left
from circumtest.wire import stun, turn

MAX_TRIES = 3
"""Addresses of ours from which an allocation is asked for, where the server says 437."""
FAREWELL = 0.5
"""Seconds in which the end of an allocation is waited for."""
MISMATCH = 437
PERMISSION = 240.0
"""Seconds after which permissions and channels are renewed: a permission lasts 300 (RFC 8656 9),
a channel 600."""
MAX_UNANSWERED = 8
"""Renewals whose answers are waited for."""
SHORT = 120
"""Seconds of lifetime below which it is refreshed at half of it, else a minute before its end: as
libwebrtc does."""


class Allocation:
    """What the server gave: `relayed` is where peers reach us, `seen` where it sees us.

    `lifetime` is in seconds.
    """

    def __init__(self, session: Session, caller: Caller, granted: stun.Message) -> None:
        self._session, self._caller = session, caller
        try:
            self.relayed = _address(granted, stun.XOR_RELAYED_ADDRESS)
            self.seen = _address(granted, stun.XOR_MAPPED_ADDRESS)
            self.lifetime = turn.seconds(granted.get(turn.LIFETIME))
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        self._numbers = count(turn.FIRST_CHANNEL)
        self._channels: dict[Address, int] = {}
        self._permitted: list[Address] = []
        self._renewing: dict[bytes, tuple[int, Attributes, int]] = {}

    @property
    def server(self) -> Address:
        return self._session.link.server

    @property
    def loses(self) -> bool:
        """Whether what is sent to the server may be lost on the way."""
        return not self._session.link.reliable

    # -------------------------------------------------------------- requests

    def permit(self, peer: Address, patience: float) -> Script[None]:
        """Let `peer` send to us (RFC 8656 9).  Raises like `Session.ask`."""
        yield from self._session.ask(turn.CREATE_PERMISSION, _naming(peer), patience)
        self._permitted.append(peer)

    def bind(self, peer: Address, patience: float) -> Script[None]:
        """Give `peer` a channel (12): from then on its pipes use it.  Raises like `Session.ask`."""
        peer = self._session.listen(peer)
        number = next(self._numbers)
        # Named before it is granted: what comes on it may overtake the answer.
        self._session.name(number, peer)
        yield from self._session.ask(turn.CHANNEL_BIND, _binding(peer, number), patience)
        self._channels[peer] = number

    def release(self) -> Script[None]:
        """End the allocation (8): a Refresh with lifetime 0, its answer waited for but not needed.

        Never raises HandshakeFailed.
        """
        try:
            yield from self._session.ask(turn.REFRESH, _lasting(0), FAREWELL)
        except HandshakeFailed:
            return

    # -------------------------------------------------------------- during media

    @property
    def beats(self) -> tuple[Beat, ...]:
        """What keeps it, its permissions and channels; give what comes meanwhile to `answer`."""
        every = self.lifetime / 2 if self.lifetime < SHORT else self.lifetime - SHORT / 2
        return (Beat(max(every, 1.0), self._refresh), Beat(PERMISSION, self._permit_on))

    def answer(self, arrival: Arrival) -> Iterable[Send]:
        """What an arrival makes necessary: a refresh again, where the nonce was stale."""
        self._session.take(arrival)
        for tid, (method, make, renewals) in tuple(self._renewing.items()):
            reply = self._session.reply(tid)
            if reply is None:
                continue
            del self._renewing[tid]
            self._session.forget(tid)
            if reply.type == method | turn.ERROR and renewals < MAX_RENEWALS:
                self._session.learn(reply)
                yield self._renew(method, make, renewals + 1)

    def _refresh(self) -> Iterable[Send]:
        yield self._renew(turn.REFRESH, _lasting(self.lifetime), 0)

    def _permit_on(self) -> Iterable[Send]:
        """A channel's binding renews the permission of its peer, too (12)."""
        for peer, number in self._channels.items():
            yield self._renew(turn.CHANNEL_BIND, _binding(peer, number), 0)
        for peer in self._permitted:
            if peer not in self._channels:
                yield self._renew(turn.CREATE_PERMISSION, _naming(peer), 0)

    def _renew(self, method: int, make: Attributes, renewals: int) -> Send:
        while len(self._renewing) > MAX_UNANSWERED:
            old = next(iter(self._renewing))
            del self._renewing[old]
            self._session.forget(old)
        tid, item = self._session.request(method, make)
        self._renewing[tid] = method, make, renewals
        return item

    # -------------------------------------------------------------- pipes

    def to(self, peer: Address) -> "Via":
        """The way to `peer`: a channel where one is bound, else Send and Data indications."""
        return Via(self, self._session.listen(peer))

    def encode(self, peer: Address, payload: bytes) -> Send:
        """How a payload is sent to `peer`."""
        link = self._session.link
        number = self._channels.get(peer)
        if number is not None:
            return link.encode(turn.pack_channel_data(number, payload, stream=link.reliable))
        tid = self._caller.dialect.tid(self._caller.rng)
        attributes = (*_naming(peer)(tid), (turn.DATA, payload))
        message = stun.Message(turn.SEND_INDICATION, tid, attributes)
        return link.encode(self._caller.pack(message, None))

    def decode(self, peer: Address, arrival: Arrival) -> Iterable[bytes]:
        """What has come from `peer` with `arrival` and before it."""
        self._session.take(arrival)
        return self._session.heard(peer)

    def kept(self, at: float) -> Arrival:
        """An arrival of nothing: given to a pipe it brings what came while requests were made."""
        link = self._session.link
        return Arrival(link.channel, b"", link.server, at)


@dataclass(frozen=True, slots=True)
class Via:
    """A pipe through an allocation."""

    allocation: Allocation
    peer: Address

    def encode(self, data: bytes) -> Send:
        return self.allocation.encode(self.peer, data)

    def decode(self, arrival: Arrival) -> Iterable[bytes]:
        return self.allocation.decode(self.peer, arrival)


# ------------------------------------------------------------------ how to get one


def allocate(
    caller: Caller, server: Address, patience: float, shared: Channel | None = None
) -> Script[Allocation]:
    """An allocation at `server`, through the 401 round (RFC 8656 7).

    `shared` is a UDP channel to ask by.  Where the server still remembers another allocation of
    that port of ours (437) it is asked from a new one.  Raises Refused, HandshakeFailed MALFORMED,
    and what `connect` and `exchange` raise after `patience` seconds.
    """
    until = (yield from now()) + patience
    for tries in range(MAX_TRIES):
        patience = yield from left(until)
        link = yield from connect(caller, server, patience, shared if tries == 0 else None)
        session = Session(caller, link)
        patience = yield from left(until)
        try:
            granted = yield from session.ask(turn.ALLOCATE, _allocating(caller, server), patience)
        except Refused as refused:
            if refused.code != MISMATCH:
                raise
            mismatch = refused
            if tries or shared is None:
                yield from close(link.channel)
            continue
        return Allocation(session, caller, granted)
    raise mismatch


def stranger(
    caller: Caller,
    server: Address,
    patience: float,
    realm: str = "",
    shared: Channel | None = None,
) -> Script[str]:
    """The realm of `server`, as it tells who has no password: the first half of `allocate`.

    What is sent is what a client sends first; nothing is allocated.  Where a `realm` is given,
    another one is HandshakeFailed WRONG_IDENTITY.  Raises like `Session.knock` and `connect`.
    """
    until = (yield from now()) + patience
    link = yield from connect(caller, server, patience, shared)
    session = Session(caller, link)
    patience = yield from left(until)
    told = yield from session.knock(turn.ALLOCATE, _allocating(caller, server), patience)
    if realm and told != realm:
        raise HandshakeFailed(Cause.WRONG_IDENTITY, f"the realm is {told!r}")
    return told


def _allocating(caller: Caller, server: Address) -> Attributes:
    attributes = caller.dialect.allocate(server.version)
    return lambda _tid: attributes


def _binding(peer: Address, number: int) -> Attributes:
    return _naming(peer, (turn.CHANNEL_NUMBER, number.to_bytes(2) + bytes(2)))


def _naming(peer: Address, *before: tuple[int, bytes]) -> Attributes:
    return lambda tid: (*before, (turn.XOR_PEER_ADDRESS, stun.xor_address(*peer, tid)))


def _lasting(seconds: int) -> Attributes:
    return lambda _tid: ((turn.LIFETIME, seconds.to_bytes(4)),)


def _address(granted: stun.Message, kind: int) -> Address:
    return Address(*stun.parse_xor_address(granted.get(kind) or b"", granted.tid))
