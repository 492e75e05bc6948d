"""A TURN server as an answerer (RFC 8656), with the callee behind it: the far half in virtual time.

Whoever does not know the secret gets a Binding answer or a 401, as from any server; allocations and
what goes through them are for users whose password the secret gives.  Every peer that it is asked
to reach is the callee that it holds, but for other allocations of its own.  It refuses to be a
server for the Internet: there a real program stands.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from circumtest.model import Address, Transport
from circumtest.relay.allocations import Allocation, Book
from circumtest.relay.guard import Guard, Refusal
from circumtest.relay.request import Attributes, Request, check_known, peer_of, unknown_of
from circumtest.script import Answerer, Emit, Flow
from circumtest.wire import stun, turn

MAX_STREAMS = 512
"""Streams whose beginnings are kept; the oldest is forgotten first."""
LONGEST = 3600
"""Seconds of lifetime that may be asked for (RFC 8656 7.2)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a service is set up: lifetimes in seconds, allocations a user, what it says it is.

    `longest` is the lifetime beyond which none is granted; `fingerprint`: on what it sends.
    `nonce`, `stale` and `no` are as a Guard has them.
    """

    lifetime: int = 600
    longest: int = LONGEST
    quota: int = 0
    software: str = "None"
    fingerprint: bool = True
    nonce: int = 16
    stale: float = 600.0
    no: str = "Unauthorized"


class Relay:
    """One instance is all servers of a service: each address it is reached at relays by itself."""

    def __init__(
        self, secret: str, realm: str, callee: Answerer, terms: Terms | None = None
    ) -> None:
        self._terms = terms = terms or Terms()
        self._guard = Guard(secret, realm, terms.nonce, terms.stale, terms.no)
        self._callee = callee
        self._book = Book(self._terms.quota)
        self._framers: dict[Flow, turn.Framer] = {}
        self._methods: dict[int, Callable[[Request], Attributes]] = {
            turn.ALLOCATE: self._allocate,
            turn.REFRESH: self._refresh,
            turn.CREATE_PERMISSION: self._permit,
            turn.CHANNEL_BIND: self._bind,
        }

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            return self._message(flow, data, now)
        if not data:
            self._framers.pop(flow, None)
            self._book.drop(flow)
            return ()
        return self._stream(flow, data, now)

    def timer(self) -> float | None:
        return self._callee.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._back(self._callee.tick(now), now)

    def _stream(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        framer = self._framers.get(flow)
        if framer is None:
            if len(self._framers) >= MAX_STREAMS:
                del self._framers[next(iter(self._framers))]
            framer = self._framers[flow] = turn.Framer()
        try:
            messages = framer.feed(data)
        except ValueError:
            # Foreign, and it will not become ours: what follows is looked at afresh.
            del self._framers[flow]
            return
        for message in messages:
            yield from self._message(flow, message, now)

    def _message(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        try:
            if turn.is_channel_data(data):
                return self._channelled(flow, data, now)
            message = stun.unpack(data)
            if message.type == turn.SEND_INDICATION:
                return self._indicated(flow, message, now)
        except ValueError:
            return ()
        if message.type == stun.BINDING:
            return (self._binding(flow, message),)
        if message.type in self._methods:
            return (self._request(flow, message, data, now),)
        return ()

    # -------------------------------------------------------------- requests

    def _request(self, flow: Flow, message: stun.Message, data: bytes, now: float) -> Emit:
        try:
            user, key = self._guard.admit(flow, message, data, now)
            check_known(message, key)
            request = Request(flow, message, user, key, now)
            attributes = self._methods[message.type](request)
        except Refusal as refusal:
            code = (stun.ERROR_CODE, stun.pack_error(refusal.code, refusal.reason))
            kind = message.type | turn.ERROR
            return self._reply(flow, kind, message.tid, (code, *refusal.more), refusal.key)
        return self._reply(flow, message.type | turn.OK, message.tid, attributes, key)

    def _reply(
        self, flow: Flow, kind: int, tid: bytes, attributes: Attributes, key: bytes | None
    ) -> Emit:
        if self._terms.software:
            attributes += ((turn.SOFTWARE, self._terms.software.encode()),)
        reply = stun.Message(kind, tid, attributes)
        return Emit(flow, stun.pack(reply, key, fingerprint=self._terms.fingerprint))

    def _binding(self, flow: Flow, message: stun.Message) -> Emit:
        """For anybody: at most three times what he sent, and no SOFTWARE."""
        if unknown := unknown_of(message):
            code = (stun.ERROR_CODE, stun.pack_error(420, "Unknown Attribute"))
            reply = stun.Message(stun.BINDING_ERROR, message.tid, (code, unknown))
        else:
            mapped = (stun.XOR_MAPPED_ADDRESS, stun.xor_address(*flow.remote, message.tid))
            reply = stun.Message(stun.BINDING_OK, message.tid, (mapped,))
        return Emit(flow, stun.pack(reply, fingerprint=self._terms.fingerprint))

    def _allocate(self, request: Request) -> Attributes:
        message, flow, key = request.message, request.flow, request.key
        held = self._book.get(flow, request.now)
        if held is not None and (held.tid, held.user) != (message.tid, request.user):
            raise Refusal(437, "Allocation Mismatch", key)
        if (wanted := message.get(turn.REQUESTED_TRANSPORT)) is None or len(wanted) != 4:
            raise Refusal(400, "Bad Request", key)
        if wanted[0] != turn.UDP[0]:
            raise Refusal(442, "Unsupported Transport Protocol", key)
        family = message.get(turn.REQUESTED_ADDRESS_FAMILY)
        if family is not None and family != turn.family(flow.local.version):
            raise Refusal(440, "Address Family not Supported", key)
        if (even := message.get(turn.EVEN_PORT)) is not None and even != b"\0":
            raise Refusal(508, "Insufficient Capacity", key)  # no port is kept for later
        seconds = self._lifetime(message, key)
        if held is None:
            until = request.now + seconds
            held = self._book.add(flow, request.user, key, message.tid, until, request.now)
        return (
            (stun.XOR_RELAYED_ADDRESS, stun.xor_address(*held.relayed, message.tid)),
            (stun.XOR_MAPPED_ADDRESS, stun.xor_address(*flow.remote, message.tid)),
            (turn.LIFETIME, seconds.to_bytes(4)),
        )

    def _refresh(self, request: Request) -> Attributes:
        held = self._held(request)
        wanted = request.message.get(turn.LIFETIME)
        if wanted == bytes(4):
            self._book.drop(request.flow)
            return ((turn.LIFETIME, bytes(4)),)
        seconds = self._lifetime(request.message, request.key)
        held.until = request.now + seconds
        return ((turn.LIFETIME, seconds.to_bytes(4)),)

    def _permit(self, request: Request) -> Attributes:
        held = self._held(request)
        peers = [kind for kind, _ in request.message.attributes if kind == turn.XOR_PEER_ADDRESS]
        if not peers:
            raise Refusal(400, "Bad Request", request.key)
        for kind, value in request.message.attributes:
            if kind == turn.XOR_PEER_ADDRESS:
                held.permit(peer_of(value, request).host, request.now)
        return ()

    def _bind(self, request: Request) -> Attributes:
        held = self._held(request)
        value = request.message.get(turn.XOR_PEER_ADDRESS) or b""
        try:
            number = turn.channel_number(request.message.get(turn.CHANNEL_NUMBER))
        except ValueError:
            raise Refusal(400, "Bad Request", request.key) from None
        held.bind(number, peer_of(value, request), request.now)
        return ()

    def _held(self, request: Request) -> Allocation:
        held = self._book.get(request.flow, request.now)
        if held is None:
            raise Refusal(437, "Allocation Mismatch", request.key)
        if held.user != request.user:
            raise Refusal(441, "Wrong Credentials", request.key)
        return held

    def _lifetime(self, message: stun.Message, key: bytes) -> int:
        """What is granted: what was asked for, but no less than the service's usual."""
        value = message.get(turn.LIFETIME)
        try:
            wanted = self._terms.lifetime if value is None else turn.seconds(value)
        except ValueError:
            raise Refusal(400, "Bad Request", key) from None
        return min(max(wanted, self._terms.lifetime), self._terms.longest)

    # -------------------------------------------------------------- there and back

    def _channelled(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        number, payload = turn.parse_channel_data(data)
        held = self._book.get(flow, now)
        peer = held.channels.get(number) if held is not None else None
        return self._there(held, peer, payload, now) if held and peer else ()

    def _indicated(self, flow: Flow, message: stun.Message, now: float) -> Iterable[Emit]:
        value = message.get(turn.XOR_PEER_ADDRESS) or b""
        peer = Address(*stun.parse_xor_address(value, message.tid))
        held, payload = self._book.get(flow, now), message.get(turn.DATA)
        return self._there(held, peer, payload, now) if held and payload is not None else ()

    def _there(self, held: Allocation, peer: Address, payload: bytes, now: float) -> Iterable[Emit]:
        """To another allocation of ours, or to the callee, who is at every other address."""
        if not held.permits(peer.host, now):
            return ()
        if (other := self._book.at(peer, now)) is not None:
            return self._deliver(other, held.relayed, payload, now)
        flow = Flow(Transport.UDP, peer, held.relayed)
        return self._back(self._callee.receive(flow, payload, now), now)

    def _back(self, emits: Iterable[Emit], now: float) -> Iterable[Emit]:
        for emit in emits:
            held = self._book.at(emit.flow.remote, now)
            if held is not None:
                yield from self._deliver(held, emit.flow.local, emit.data, now)

    def _deliver(
        self, held: Allocation, peer: Address, payload: bytes, now: float
    ) -> Iterable[Emit]:
        if not held.permits(peer.host, now):
            return
        stream = held.flow.transport is Transport.TCP
        number = held.number(peer)
        if number is not None:
            yield Emit(held.flow, turn.pack_channel_data(number, payload, stream=stream))
            return
        tid = (int(now * 1000) & (1 << 96) - 1).to_bytes(12)
        attributes = (
            (turn.XOR_PEER_ADDRESS, stun.xor_address(*peer, tid)),
            (turn.DATA, payload),
        )
        message = stun.Message(turn.DATA_INDICATION, tid, attributes)
        yield Emit(held.flow, stun.pack(message, fingerprint=self._terms.fingerprint))
