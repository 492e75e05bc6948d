"""What a caller writes: requests of his own, of his call, and what makes them his.

Until a far end has said where it sees him he has a name that nobody can look up, as RFC 7118 has it
for those who do not know their own address.  It refuses to send anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from circumtest import tags
from circumtest.model import Address, Carrier
from circumtest.wire import digest, sdp, sip
from circumtest.wire.sip import Request, Response

EXPIRES = 120
"""Seconds for which the caller registers."""
AGENT = "baresip v1.0.0 (x86_64/linux)"
ALLOW = "INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,SUBSCRIBE,INFO,MESSAGE,REFER"
"""A telephone in use is imitated: what named this program would be easy to treat otherwise."""


_CALL, _PURPOSE = 16, "sip"


def knows(message: bytes, secret: str) -> bool | None:
    """Whether a message has a Call-ID of who knows the secret; None while it has none yet."""
    _, found, rest = message.partition(b"\r\nCall-ID: ")
    value, end, _ = rest.partition(b"\r\n")
    if not found or not end:
        return None
    try:
        drawn = bytes.fromhex(value.decode("ascii"))
    except ValueError:
        return False
    return len(drawn) == _CALL and tags.is_marked(drawn, secret, _PURPOSE)


@dataclass(frozen=True, slots=True)
class Account:
    """Who calls whom, at which domain (a name or an address); Call-IDs have tags of a `secret`."""

    user: str
    password: str
    callee: str
    domain: str
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Dialog:
    """A call that was answered (RFC 3261 12.1.2): the far end's tag, contact and proxies."""

    invite: Request
    to: str
    remote: str
    routes: tuple[str, ...]


class Words:
    """One caller's; `seen` is where the far end last said that it saw him."""

    def __init__(self, account: Account, carrier: Carrier, rng: Random) -> None:
        self._account, self._carrier, self._rng = account, carrier, rng
        self._host = f"{rng.randbytes(6).hex()}.invalid"
        self.seen: Address | None = None
        self.call_id = self._named()
        self.tag = rng.randbytes(6).hex()
        self._number = rng.randrange(1000, 9000)

    def options(self) -> Request:
        return self._request("OPTIONS", self._callee, (("Accept", sdp.TYPE), ("Allow", ALLOW)))

    def register(self) -> Request:
        of = self._account
        more = (("Expires", str(EXPIRES)), ("Allow", ALLOW))
        return self._request("REGISTER", f"sip:{of.domain}", more, to=f"sip:{of.user}@{of.domain}")

    def invite(self, offer: sdp.Session) -> Request:
        more = (("Allow", ALLOW), ("Content-Type", sdp.TYPE))
        return self._request("INVITE", self._callee, more, body=sdp.pack(offer))

    def again(self, request: Request, challenge: digest.Challenge, name: str) -> Request:
        """A request anew: another branch, the next number, and the password's proof (22.2)."""
        of, cnonce = self._account, self._rng.randbytes(8).hex()
        proof = digest.answer(challenge, of.user, of.password, request.method, request.uri, cnonce)
        self._number += 1
        new = {"Via": self._via(), "CSeq": f"{self._number} {request.method}"}
        if request.method == "REGISTER":
            new["Contact"] = self._contact()  # we know now where we are
        fields = tuple((key, new.get(key, value)) for key, value in request.fields)
        return replace(request, fields=(*fields, (name, proof)))

    def within(self, dialog: Dialog, method: str) -> Request:
        """A request of the dialog (12.2.1.1); an ACK has the INVITE's number."""
        if method == "ACK":
            number = dialog.invite.cseq[0]
        else:
            self._number += 1
            number = self._number
        fields = (
            ("Via", self._via()),
            *(("Route", route) for route in dialog.routes),
            ("Max-Forwards", "70"),
            ("From", dialog.invite.get("From")),
            ("To", dialog.to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            ("User-Agent", AGENT),
        )
        return Request(fields, b"", method, dialog.remote)

    def _request(
        self,
        method: str,
        uri: str,
        more: Iterable[tuple[str, str]],
        *,
        to: str = "",
        body: bytes = b"",
    ) -> Request:
        self._number += 1
        of = self._account
        # 10.2, 11.1: what is not of the call has a Call-ID and a tag of its own.
        own = method == "INVITE"
        call = self.call_id if own else self._named()
        tag = self.tag if own else self._rng.randbytes(6).hex()
        fields = (
            ("Via", self._via()),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{of.user}@{of.domain}>;tag={tag}"),
            ("To", f"<{to or uri}>"),
            ("Call-ID", call),
            ("CSeq", f"{self._number} {method}"),
            ("Contact", self._contact()),
            ("User-Agent", AGENT),
            *more,
        )
        return Request(fields, body, method, uri)

    def _named(self) -> str:
        """A new Call-ID."""
        return tags.mark(self._rng.randbytes(_CALL), self._account.secret, _PURPOSE).hex()

    def _via(self) -> str:
        """The carrier, where we are as far as we know, a new branch, and the wish for rport."""
        branch = f"z9hG4bK{self._rng.randbytes(8).hex()}"
        return f"SIP/2.0/{self._carrier.upper()} {self._place()};rport;branch={branch}"

    def _contact(self) -> str:
        more = "" if self._carrier is Carrier.UDP else f";transport={self._carrier}"
        return f"<sip:{self._account.user}@{self._place()}{more}>"

    def _place(self) -> str:
        if self.seen is None:
            return self._host
        port = f":{self.seen.port}" if self.seen.port else ""
        return sip.host_of(self.seen.host) + port

    @property
    def _callee(self) -> str:
        return f"sip:{self._account.callee}@{self._account.domain}"


# ------------------------------------------------------------------ what belongs to a request


def cancel(invite: Request) -> Request:
    """What stops an INVITE (9.1): its branch and number."""
    fields = [one for one in invite.fields if one[0] in ("Via", "From", "To", "Call-ID")]
    more = [("Max-Forwards", "70"), ("CSeq", f"{invite.cseq[0]} CANCEL")]
    return Request((*fields, *more), b"", "CANCEL", invite.uri)


def refused(invite: Request, reply: Response) -> Request:
    """The ACK of a refusal, which is of the INVITE's own transaction (17.1.1.3)."""
    kept = ("Via", "From", "Call-ID", "Max-Forwards")
    fields = [one for one in invite.fields if one[0] in kept]
    fields += [("To", reply.get("To")), ("CSeq", f"{invite.cseq[0]} ACK")]
    return Request(tuple(fields), b"", "ACK", invite.uri)


def answer(request: Request, code: int, reason: str) -> Response:
    """The answer to a request of the far end (8.2.6)."""
    kept = ("via", "from", "to", "call-id", "cseq")
    fields = tuple(one for one in request.fields if sip.canonical(one[0]) in kept)
    return Response(fields, b"", code, reason)
