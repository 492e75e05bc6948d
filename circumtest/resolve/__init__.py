"""A name to addresses, as a system or a browser asks for them: over UDP, TCP or HTTPS.

Everything goes by the script's own channels, so through the same path as the call.  What counts is
an answer from whom was asked, with the number and the question that were sent.  It refuses to be a
recursive resolver, to cache, and to check DNSSEC: it tells what whoever asks there is told.
"""

from ipaddress import ip_address
from random import Random

from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.resolve.datagrams import by_datagrams
from circumtest.resolve.question import GRACE, Asking, Over, Resolver
from circumtest.resolve.streams import by_streams
from circumtest.resolve.told import is_bogon, is_right, judge
from circumtest.script import Script, now

__all__ = ["GRACE", "Over", "Resolver", "is_bogon", "judge", "resolve"]


def resolve(
    resolver: Resolver,
    name: str,
    version: int,
    rng: Random,
    *,
    patience: float,
    right: frozenset[str] = frozenset(),
) -> Script[tuple[str, ...]]:
    """The IPv4 or IPv6 addresses (`version`) of `name`, within `patience` seconds.

    `right` are the addresses that it is known to have, empty where nobody knows.  Raises
    HandshakeFailed with a cause of DNS (`judge`), DNS_LATE for an answer in the GRACE behind
    patience, MALFORMED for one that is ours and cannot be read, and like `exchange` and TLS.
    """
    until = (yield from now()) + patience
    right = frozenset(str(ip_address(one)) for one in right)
    asking = Asking(resolver, name, version, rng)
    if resolver.over is Over.UDP:
        first, then = yield from by_datagrams(asking, patience, lambda one: is_right(one, right))
        if then is not None:
            both = f"two answers to one question: {first.words}; then {then.words}"
            raise HandshakeFailed(Cause.DNS_POISONED, both)
        if first.truncated:
            first = yield from by_streams(asking, until)
    else:
        first = yield from by_streams(asking, until)
    judge(first, right)
    return first.addresses
