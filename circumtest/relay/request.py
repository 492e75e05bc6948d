"""A request to a relay whose maker is known, and what of it any method looks at.

It refuses to know allocations.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from circumtest.model import Address
from circumtest.relay.guard import Refusal
from circumtest.script import Flow
from circumtest.wire import stun, turn

Attributes = tuple[tuple[int, bytes], ...]

_KNOWN = frozenset(
    {
        turn.USERNAME,
        turn.REALM,
        turn.NONCE,
        turn.CHANNEL_NUMBER,
        turn.LIFETIME,
        turn.XOR_PEER_ADDRESS,
        turn.DATA,
        turn.REQUESTED_ADDRESS_FAMILY,
        turn.EVEN_PORT,
        turn.REQUESTED_TRANSPORT,
        turn.DONT_FRAGMENT,
        # ICE's, which come in Binding requests (RFC 8445 16.1).
        0x0024,
        0x0025,
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose maker is known."""

    flow: Flow
    message: stun.Message
    user: str
    key: bytes
    now: float


def peer_of(value: bytes, request: Request) -> Address:
    """The peer that is named.  Raises Refusal 400, 443 (8656 9.2), 403 where nobody may be."""
    try:
        peer = Address(*stun.parse_xor_address(value, request.message.tid))
    except ValueError:
        raise Refusal(400, "Bad Request", request.key) from None
    if peer.version != request.flow.local.version:
        raise Refusal(443, "Peer Address Family Mismatch", request.key)
    place = ip_address(peer.host)
    if place.is_loopback or place.is_multicast or place.is_unspecified:
        raise Refusal(403, "Forbidden IP", request.key)
    return peer


def check_known(message: stun.Message, key: bytes) -> None:
    """Raises Refusal 420 where an attribute must be understood and is not (RFC 8489 6.3.1)."""
    if unknown := unknown_of(message):
        raise Refusal(420, "Unknown Attribute", key, (unknown,))


def unknown_of(message: stun.Message) -> tuple[int, bytes] | None:
    """UNKNOWN-ATTRIBUTES, where there are any that must be understood."""
    kinds = [kind for kind, _ in message.attributes if kind < 0x8000 and kind not in _KNOWN]
    return (
        (stun.UNKNOWN_ATTRIBUTES, b"".join(kind.to_bytes(2) for kind in kinds)) if kinds else None
    )
