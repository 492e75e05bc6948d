"""A STUN Binding as any WebRTC application begins with, and a minimal correct server.

It shows that generic STUN passes to this place and which address was seen.  It refuses to imitate
an application: no attributes, no credentials.  Source: RFC 8489.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import tags
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, doubling, exchange
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.script import (
    Answerer,
    Arrival,
    Emit,
    Flow,
    Listen,
    Script,
    Send,
    enter,
    note,
    open_udp,
)
from circumtest.wire import stun

PURPOSE = "stun-binding"
RTO = 0.5
COUNT = 7
WHOLE = 39.5
"""RFC 8489 6.2.1: seven sends from 0 to 31.5 s, and 16 times RTO of waiting after the last."""
_CREDENTIALS = frozenset({0x0006, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E})
"""Attributes that are known and mean nothing to a server that asks nobody for a password."""


@dataclass(frozen=True)
class StunBinding:
    """Ask for the mapped address; `deep` waits as long as the RFC does, 39.5 s.

    With a `secret` the transaction id shows a mirror that the caller knows it.
    """

    port: Annotated[int, Meta(ge=1, le=65535)] = 3478
    level: Level = Level.QUICK
    secret: str = field(default="", repr=False)

    stages: ClassVar[tuple[Stage, ...]] = (Stage.BINDING,)
    reached: ClassVar[tuple[Stage, ...]] = stages
    role: ClassVar[Role] = Role.CONTROL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "stun"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port)

    @property
    def opening(self) -> int:
        return stun.HEADER

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """One transaction with the first address; the same bytes at every retransmission."""
        yield from enter(Stage.BINDING)
        remote = target[0]
        channel = yield from open_udp(remote)
        request = stun.Message(stun.BINDING, tags.mark(rng.randbytes(12), self.secret, PURPOSE))

        def ask() -> Iterable[Send]:
            yield Send(channel, stun.pack(request), remote)

        def answered(arrival: Arrival) -> Address | None:
            if isinstance(arrival.data, Cause) or not _same(arrival.source, remote):
                return None
            return mapped_address(arrival.data, request.tid)

        patience = WHOLE if self.level is Level.DEEP else PACES[self.level].patience
        seen = yield from exchange(ask, answered, doubling(RTO, COUNT), patience)
        yield from note(seen)

    reach = script
    """Anybody's server answers strangers the whole of it."""

    def answerer(self) -> Answerer:
        return StunServer()

    def is_ours(self, data: bytes) -> bool:
        """Whether a first packet is a request of who knows the secret."""
        try:
            request = stun.unpack(data)
        except ValueError:
            return False
        return request.type == stun.BINDING and tags.is_marked(request.tid, self.secret, PURPOSE)


def mapped_address(data: bytes, tid: bytes) -> Address | None:
    """The address in a success response with this transaction id, None for anything else.

    Raises HandshakeFailed ERROR_REPLY for an error response with it, MALFORMED for a success
    response without XOR-MAPPED-ADDRESS (RFC 8489 6.3.3: it must have one).
    """
    try:
        reply = stun.unpack(data)
        if reply.tid != tid or reply.type not in (stun.BINDING_OK, stun.BINDING_ERROR):
            return None
    except ValueError:
        return None
    try:
        if reply.type == stun.BINDING_ERROR:
            code, reason = stun.error_code(reply.get(stun.ERROR_CODE) or b"")
            raise HandshakeFailed(Cause.ERROR_REPLY, f"{code} {reason}".strip())
        return Address(*stun.parse_xor_address(reply.get(stun.XOR_MAPPED_ADDRESS) or b"", tid))
    except ValueError as error:
        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None


def _same(left: Address, right: Address) -> bool:
    return left == right or (left.port == right.port and left.packed == right.packed)


class StunServer:
    """Answers Binding requests; 420 where one requires what it does not know (6.3.1).  No state."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:  # noqa: ARG002
        try:
            request = stun.unpack(data)
        except ValueError:
            return
        if request.type != stun.BINDING:
            return
        unknown = [k for k, _ in request.attributes if k < 0x8000 and k not in _CREDENTIALS]
        if unknown:
            refusal = ((stun.ERROR_CODE, stun.pack_error(420, "Unknown Attribute")),)
            listed = ((stun.UNKNOWN_ATTRIBUTES, b"".join(k.to_bytes(2) for k in unknown)),)
            reply = stun.Message(stun.BINDING_ERROR, request.tid, refusal + listed)
        else:
            value = stun.xor_address(*flow.remote, request.tid)
            seen = ((stun.XOR_MAPPED_ADDRESS, value),)
            reply = stun.Message(stun.BINDING_OK, request.tid, seen)
        yield Emit(flow, stun.pack(reply))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()
