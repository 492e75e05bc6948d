"""DNS messages as values (RFC 1035, EDNS by RFC 6891): a question for addresses, and its answer.

The bytes are dnspython's, and whatever it objects to is a ValueError here and nowhere else.  It
refuses to know carriers, and every question but that for the IPv4 or IPv6 addresses of a name.
"""

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

PORT = 53
MAX_SIZE = 65535
PAYLOAD = 1232
"""Bytes of a datagram that an answer may have: what DNS software agreed on in 2020."""
TTL = 60
ADDRESSES = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}
_COOKIE = 8

# What dnspython raises for wire bytes that cannot be right, beside its own.
OBJECTIONS = (dns.exception.DNSException, ValueError, struct.error, IndexError, OverflowError)


class Reply(NamedTuple):
    """An answer: which question it says it answers, the RCODE, addresses in the order given.

    `name` is in lower case without the last dot; `version` is 4, 6, or 0 for another question.
    """

    id: int
    name: str
    version: int
    code: int
    addresses: tuple[str, ...]
    truncated: bool

    @property
    def words(self) -> str:
        """What it says, for people: the addresses, or the RCODE's name, or `no address`."""
        if self.code != NOERROR:
            return code_name(self.code)
        return ", ".join(self.addresses) or "no address"


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks; `version` as in `Reply`, `cookie` his client cookie or b""."""

    id: int
    name: str
    version: int
    cookie: bytes
    _message: dns.message.Message

    def reply(
        self,
        code: int = dns.rcode.NOERROR,
        addresses: Sequence[str] = (),
        *,
        truncated: bool = False,
    ) -> bytes:
        """The answer: its RCODE and addresses, or a truncated one that says to ask over TCP."""
        message = dns.message.make_response(self._message)
        message.set_rcode(dns.rcode.Rcode(code))
        message.flags |= dns.flags.RA
        if truncated:
            message.flags |= dns.flags.TC
        elif addresses:
            asked = message.question[0]
            found = dns.rrset.from_text(asked.name, TTL, asked.rdclass, asked.rdtype, *addresses)
            message.answer.append(found)
        return message.to_wire(max_size=MAX_SIZE, want_shuffle=False)


NOERROR = int(dns.rcode.NOERROR)
SERVFAIL = int(dns.rcode.SERVFAIL)
NXDOMAIN = int(dns.rcode.NXDOMAIN)
REFUSED = int(dns.rcode.REFUSED)


def query(number: int, name: str, version: int, cookie: bytes = b"") -> bytes:
    """The question for the addresses of `name`, recursion desired, with EDNS.

    `cookie` is a client cookie of 8 bytes (RFC 7873), or none.  Raises ValueError for what is no
    host name.
    """
    options: list[dns.edns.Option] = []
    if cookie:
        options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie))
    try:
        message = dns.message.make_query(
            _absolute(name),
            ADDRESSES[version],
            use_edns=0,
            payload=PAYLOAD,
            options=options,
            id=number,
        )
        return message.to_wire()
    except dns.exception.DNSException as error:
        raise ValueError(f"no host name: {error}") from None


def parse_reply(data: bytes) -> Reply:
    """The answer in a datagram or frame, CNAMEs followed.  Raises ValueError for what is none."""
    message = _message(data)
    if not message.flags & dns.flags.QR:
        raise ValueError("not an answer")
    name, version = _asked(message)
    truncated = bool(message.flags & dns.flags.TC)
    code = int(message.rcode())
    addresses: tuple[str, ...] = ()
    if code == NOERROR and not truncated and version:
        addresses = _addresses(message)
    return Reply(message.id, name, version, code, addresses, truncated)


def parse_query(data: bytes) -> Question:
    """The question in a datagram or frame.  Raises ValueError for what is none."""
    message = _message(data)
    if message.flags & dns.flags.QR:
        raise ValueError("not a question")
    name, version = _asked(message)
    cookies = [one for one in message.options if one.otype == dns.edns.OptionType.COOKIE]
    cookie = (cookies[0].to_wire() or b"")[:_COOKIE] if cookies else b""
    return Question(message.id, name, version, cookie, message)


def cookie(secret: str, number: int, name: str) -> bytes:
    """The client cookie that shows a resolver of ours who asks: 8 bytes that look like any."""
    text = number.to_bytes(2) + name.lower().encode()
    return hmac.digest(secret.encode(), b"dns cookie\0" + text, "sha512")[:_COOKIE]


def code_name(code: int) -> str:
    """An RCODE as the registry spells it."""
    return dns.rcode.to_text(dns.rcode.Rcode.make(code))


# ------------------------------------------------------------------ streams


def frame(message: bytes) -> bytes:
    """A message as it goes over TCP (RFC 7766 8): its length first."""
    return len(message).to_bytes(2) + message


# ------------------------------------------------------------------ what dnspython makes of it


def _message(data: bytes) -> dns.message.Message:
    try:
        message = dns.message.from_wire(data)
    except OBJECTIONS as error:
        raise ValueError(f"no DNS message: {error or type(error).__name__}") from None
    if message.opcode() != dns.opcode.QUERY or len(message.question) != 1:
        raise ValueError("no DNS message with one question")
    return message


def _asked(message: dns.message.Message) -> tuple[str, int]:
    asked = message.question[0]
    versions = {kind: version for version, kind in ADDRESSES.items()}
    internet = asked.rdclass == dns.rdataclass.IN
    name = asked.name.to_text(omit_final_dot=True).lower()
    return name, versions.get(asked.rdtype, 0) if internet else 0


def _addresses(message: dns.message.Message) -> tuple[str, ...]:
    assert isinstance(message, dns.message.QueryMessage)
    try:
        found = message.resolve_chaining().answer
    except OBJECTIONS as error:
        raise ValueError(f"no DNS answer: {error or type(error).__name__}") from None
    return tuple(str(ip_address(record.address)) for record in found or ())


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name, dns.name.root)
