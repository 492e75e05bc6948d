"""Whom to ask for a name, and one asking: the question, its numbers, which answers are to it.

It refuses to send anything.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from circumtest import doh
from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Transport
from circumtest.wire import dns

GRACE = 3.0
"""Seconds beyond patience in which an answer is late rather than missing."""


class Over(StrEnum):
    """How a resolver is asked."""

    UDP = "udp"
    TCP = "tcp"
    DOH = "doh"

    @property
    def transport(self) -> Transport:
        return Transport.UDP if self is Over.UDP else Transport.TCP

    @property
    def port(self) -> int:
        return doh.PORT if self is Over.DOH else dns.PORT


@dataclass(frozen=True, slots=True)
class Resolver:
    """Whom to ask: one resolver, or several in the order in which they are tried.

    `name` is what a DoH resolver is called; with `secret` it must show the key that the secret
    gives, without it a certificate for that name.  `get` asks by GET instead of POST.  The secret
    also makes the cookie by which a resolver of ours knows who asks over UDP.
    """

    over: Over
    at: tuple[Address, ...]
    name: str = ""
    secret: str = ""
    get: bool = False

    def __post_init__(self) -> None:
        if not self.at:
            raise ValueError("a resolver has an address")


class Asking:
    """One name asked for: the numbers are `rng`'s."""

    def __init__(self, resolver: Resolver, name: str, version: int, rng: Random) -> None:
        self.resolver, self._rng = resolver, rng
        self._name, self._version = name.lower().rstrip("."), version

    def draw(self) -> int:
        """A number for the next question."""
        return self._rng.getrandbits(16)

    def question(self, number: int) -> bytes:
        secret = self.resolver.secret
        cookie = dns.cookie(secret, number, self._name) if secret else b""
        return dns.query(number, self._name, self._version, cookie)

    def is_answered(self, reply: dns.Reply) -> bool:
        """Whether it is this name and kind of address that a reply is about."""
        return (reply.name, reply.version) == (self._name, self._version)

    def read(self, message: bytes, number: int) -> dns.Reply:
        """The answer in a message that came over a stream.  Raises HandshakeFailed MALFORMED."""
        try:
            reply = dns.parse_reply(message)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        if reply.id != number or not self.is_answered(reply):
            raise HandshakeFailed(Cause.MALFORMED, "an answer to another question")
        return reply


def failed(reply: dns.Reply) -> bool:
    """Whether a resolver says that it will or can not answer: then a system asks the next one."""
    return reply.code not in (dns.NOERROR, dns.NXDOMAIN)
