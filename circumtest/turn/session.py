"""Requests to a TURN server and their answers, under long-term credentials (RFC 8489 9.2).

An answer counts when it is of our transaction, and authentic where it can be.  What else comes
through the allocation meanwhile is kept for the pipes.  It refuses to know what requests ask for.
"""

from collections import deque
from collections.abc import Callable
from ipaddress import ip_address

from circumtest.errors import HandshakeFailed
from circumtest.ladders import exchange
from circumtest.model import Address, Cause
from circumtest.script import Arrival, Script, Send, now
from circumtest.turn.dialect import Caller
from circumtest.turn.link import Link
from circumtest.wire import stun, turn

UNAUTHORIZED = 401
MAX_RENEWALS = 3
"""New nonces that one request is made with again."""
MAX_KEPT = 1024
"""Payloads of one peer that are kept until they are asked for, and arrivals that are remembered."""
UNSIGNED = frozenset({400, 401, 437, 438})
"""Error codes that a server may give without a signature (RFC 8489 9.2.5).  437 is not of them, but
coturn looks for an allocation of the port before it looks who asks."""

Attributes = Callable[[bytes], tuple[tuple[int, bytes], ...]]


class Refused(HandshakeFailed):
    """The server said no: its code and its words."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(Cause.ERROR_REPLY, f"{code} {reason}".strip())
        self.code = code


class Session:
    """What is between one caller and one server: realm, nonce, key, and what came in."""

    def __init__(self, caller: Caller, link: Link) -> None:
        self.link = link
        self._caller = caller
        self._realm = self._nonce = b""
        self._key: bytes | None = None
        self._asked: dict[bytes, tuple[int, bool]] = {}
        self._replies: dict[bytes, stun.Message] = {}
        self._taken: dict[int, Arrival] = {}
        self._heard: dict[Address, deque[bytes]] = {}
        self._peers: dict[int, Address] = {}

    # -------------------------------------------------------------- requests

    def ask(self, method: int, make: Attributes, patience: float) -> Script[stun.Message]:
        """The success of a request, through the 401 round and new nonces.

        `make` gives its attributes for a transaction id, before those that sign it.  Raises Refused
        for other errors, HandshakeFailed MALFORMED for a reply that does not say what it must, and
        like `exchange` when none comes in `patience` seconds.
        """
        until = (yield from now()) + patience
        for _ in range(MAX_RENEWALS + 2):
            signed = self._key is not None
            reply = yield from self._transaction(method, make, (yield from left(until)))
            if reply.type == method | turn.OK:
                return reply
            refusal = _refusal(reply)
            if not (refusal.code == 438 and signed) and not (
                refusal.code == UNAUTHORIZED and not signed
            ):
                raise refusal
            self.learn(reply)
        raise HandshakeFailed(Cause.ERROR_REPLY, "438 with every new nonce")

    def knock(self, method: int, make: Attributes, patience: float) -> Script[str]:
        """The realm in which the server asks a stranger for a password: its 401.

        Raises Refused for any other error, HandshakeFailed MALFORMED for a 401 without realm or
        nonce, and like `exchange` when nothing comes in `patience` seconds.
        """
        refusal = _refusal(reply := (yield from self._transaction(method, make, patience)))
        if refusal.code != UNAUTHORIZED:
            raise refusal
        self.learn(reply)
        return self._realm.decode()

    def _transaction(self, method: int, make: Attributes, patience: float) -> Script[stun.Message]:
        tid, item = self.request(method, make)
        offsets = (0.0,) if self.link.reliable else self._caller.dialect.sends

        def answered(arrival: Arrival) -> stun.Message | None:
            self.take(arrival)
            return self.reply(tid)

        try:
            return (yield from exchange(lambda: [item], answered, offsets, patience))
        finally:
            self._asked.pop(tid, None)

    def request(self, method: int, make: Attributes) -> tuple[bytes, Send]:
        """A new request, signed once the server has named its realm: its id, and how to send it."""
        tid = self._caller.tid()
        attributes = make(tid)
        if self._key is not None:
            attributes += self._caller.credentials.attributes(self._realm, self._nonce)
        self._asked[tid] = (method, self._key is not None)
        message = stun.Message(method, tid, attributes)
        return tid, self.link.encode(self._caller.pack(message, self._key))

    def reply(self, tid: bytes) -> stun.Message | None:
        """What has come in answer to a request, told once."""
        return self._replies.pop(tid, None)

    def forget(self, tid: bytes) -> None:
        """Wait no longer for an answer."""
        self._asked.pop(tid, None)

    def learn(self, reply: stun.Message) -> None:
        """Take realm and nonce from a 401 or a 438.  Raises HandshakeFailed MALFORMED."""
        nonce = reply.get(turn.NONCE)
        realm = reply.get(turn.REALM) or self._realm
        if not nonce or not realm or max(len(nonce), len(realm)) > turn.MAX_NONCE:
            raise HandshakeFailed(Cause.MALFORMED, "no realm or no nonce to sign with")
        try:
            key = self._caller.credentials.key(realm)
        except ValueError:
            raise HandshakeFailed(Cause.MALFORMED, "the realm is no text") from None
        self._realm, self._nonce, self._key = realm, nonce, key

    # -------------------------------------------------------------- what comes in

    def take(self, arrival: Arrival) -> None:
        """Sort what arrived into replies and payloads; the same arrival again changes nothing.

        Several pipes are shown it, and what was set aside once is shown to all of them again.
        """
        if id(arrival) in self._taken:
            return
        self._taken[id(arrival)] = arrival
        if len(self._taken) > MAX_KEPT:
            del self._taken[next(iter(self._taken))]
        for message in self.link.decode(arrival):
            try:
                self._sort(message)
            except ValueError:
                continue

    def _sort(self, data: bytes) -> None:
        if turn.is_channel_data(data):
            number, payload = turn.parse_channel_data(data)
            if (peer := self._peers.get(number)) is not None:
                self._keep(peer, payload)
            return
        message = stun.unpack(data)
        if message.type == turn.DATA_INDICATION:
            value = message.get(turn.XOR_PEER_ADDRESS) or b""
            peer = Address(*stun.parse_xor_address(value, message.tid))
            self._keep(peer, message.get(turn.DATA) or b"")
        elif message.tid in self._asked and self._counts(message, data):
            self._replies[message.tid] = message

    def _counts(self, message: stun.Message, data: bytes) -> bool:
        """Whether it answers our request of that id, and the server made it as far as can be told.

        An unsigned request may only be refused: none of ours is granted to a stranger.
        """
        method, signed = self._asked[message.tid]
        if message.type == method | turn.ERROR and (not signed or _code(message) in UNSIGNED):
            return True
        known = message.type in (method | turn.OK, method | turn.ERROR)
        return known and self._key is not None and signed and stun.authentic(data, self._key)

    def _keep(self, peer: Address, payload: bytes) -> None:
        kept = self._heard.get(peer)
        if kept is not None:
            kept.append(payload)

    def listen(self, peer: Address) -> Address:
        """Keep what comes from `peer` from now on; how his address is spelled here."""
        peer = Address(str(ip_address(peer.host)), peer.port)
        self._heard.setdefault(peer, deque(maxlen=MAX_KEPT))
        return peer

    def name(self, number: int, peer: Address) -> None:
        """`number` means `peer` from now on."""
        self._peers[number] = peer

    def heard(self, peer: Address) -> list[bytes]:
        """What came from `peer`, told once."""
        kept = self._heard.get(peer, deque())
        payloads = list(kept)
        kept.clear()
        return payloads


def left(until: float) -> Script[float]:
    """Seconds until then, 0 when it has passed."""
    return max(until - (yield from now()), 0.0)


def _code(reply: stun.Message) -> int:
    """The code of an error response, 400 where it has none: that is malformed, and told so."""
    try:
        return stun.error_code(reply.get(stun.ERROR_CODE) or b"")[0]
    except ValueError:
        return 400


def _refusal(reply: stun.Message) -> Refused:
    try:
        return Refused(*stun.error_code(reply.get(stun.ERROR_CODE) or b""))
    except ValueError as error:
        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
