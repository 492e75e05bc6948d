"""A Binding to several STUN servers at once, by one channel: where they see us.

It refuses to know ICE: these are anonymous (RFC 8489 12).
"""

from collections.abc import Iterable, Sequence
from random import Random

from circumtest.errors import HandshakeFailed
from circumtest.ladders import exchange
from circumtest.model import Address, Cause
from circumtest.script import Arrival, Channel, Script, Send
from circumtest.turn.dialect import Dialect
from circumtest.turn.link import same
from circumtest.turn.together import together
from circumtest.wire import stun


def binding(
    channel: Channel,
    servers: Sequence[Address],
    dialect: Dialect,
    rng: Random,
    patience: float,
    known: tuple[str, str] = ("", ""),
) -> Script[Address]:
    """The address that the first server to answer saw.

    `known` are the secret and the purpose that transaction ids have tags of, if any.
    Raises HandshakeFailed ERROR_REPLY or MALFORMED where one answered so and no other better, else
    like `exchange`.
    """
    asked = [_ask(channel, one, dialect, dialect.tid(rng, *known), patience) for one in servers]
    return (yield from together(asked, 0.0))[0]


def _ask(
    channel: Channel, server: Address, dialect: Dialect, tid: bytes, patience: float
) -> Script[Address]:
    request = stun.pack(stun.Message(stun.BINDING, tid), fingerprint=dialect.fingerprint)

    def ask() -> Iterable[Send]:
        yield Send(channel, request, server)

    def answered(arrival: Arrival) -> Address | None:
        if isinstance(arrival.data, Cause) or not same(arrival.source, server):
            return None
        return _seen(arrival.data, tid)

    return (yield from exchange(ask, answered, dialect.sends, patience))


def _seen(data: bytes, tid: bytes) -> Address | None:
    """The address in an answer to that transaction, None for what is none."""
    try:
        reply = stun.unpack(data)
    except ValueError:
        return None
    if reply.tid != tid or reply.type not in (stun.BINDING_OK, stun.BINDING_ERROR):
        return None
    try:
        if reply.type == stun.BINDING_ERROR:
            code, reason = stun.error_code(reply.get(stun.ERROR_CODE) or b"")
            raise HandshakeFailed(Cause.ERROR_REPLY, f"{code} {reason}".strip())
        return Address(*stun.parse_xor_address(reply.get(stun.XOR_MAPPED_ADDRESS) or b"", tid))
    except ValueError as error:
        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
