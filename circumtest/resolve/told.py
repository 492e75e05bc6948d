"""What an answer means: who can call by it, and why nobody can.

It refuses to wait for a better one.
"""

from ipaddress import ip_address

from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire import dns

_CODES = {
    dns.NXDOMAIN: Cause.DNS_NXDOMAIN,
    dns.REFUSED: Cause.DNS_REFUSED,
    dns.SERVFAIL: Cause.DNS_SERVFAIL,
}


def judge(reply: dns.Reply, right: frozenset[str]) -> None:
    """Raise HandshakeFailed for an answer that nobody can call by, with why.

    DNS_NXDOMAIN, DNS_REFUSED, DNS_SERVFAIL, DNS_MISBEHAVING (any other code), DNS_EMPTY.  An
    address is wrong that is not among those known to be `right`; where none are known, one that
    nobody public has.  DNS_BOGON for the latter kind, else DNS_POISONED.
    """
    if reply.code != dns.NOERROR:
        raise HandshakeFailed(_CODES.get(reply.code, Cause.DNS_MISBEHAVING), reply.words)
    if not reply.addresses:
        raise HandshakeFailed(Cause.DNS_EMPTY, reply.words)
    wrong = [one for one in reply.addresses if (one not in right if right else is_bogon(one))]
    if wrong:
        bogon = any(is_bogon(one) for one in wrong)
        raise HandshakeFailed(Cause.DNS_BOGON if bogon else Cause.DNS_POISONED, reply.words)


def is_right(reply: dns.Reply, right: frozenset[str]) -> bool:
    """Whether all that it says is known to be so."""
    return bool(reply.addresses) and right.issuperset(reply.addresses)


def is_bogon(address: str) -> bool:
    """Whether an address is of a special purpose (RFC 6890), so that nobody public has it."""
    it = ip_address(address)
    return not it.is_global or it.is_multicast
