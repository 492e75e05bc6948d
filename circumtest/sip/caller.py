"""The caller: OPTIONS, REGISTER, INVITE to ACK, BYE, on one line, and the far end's own requests.

Where the far end sees us (`received` and `rport`, RFC 3581) is what our messages say of ourselves
from the first answer on.  It refuses to fork, to re-INVITE and to be called.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause
from circumtest.script import Arrival, Script, Send, now, send
from circumtest.sip import words
from circumtest.sip.line import Line
from circumtest.sip.transactions import Unfinished, is_answer, transact
from circumtest.sip.words import Account, Dialog, Words
from circumtest.wire import digest, sdp, sip
from circumtest.wire.sip import Message, Request, Response

HANG_UP = 2.0
"""Seconds for which the end of a call waits for its answer."""
_CHALLENGES = {401: ("WWW-Authenticate", "Authorization")}
_CHALLENGES[407] = ("Proxy-Authenticate", "Proxy-Authorization")
_KNOWN = frozenset({"BYE", "OPTIONS", "INFO"})
_TRIES = 3
"""Times that one request is made: without an answer to a challenge, with one, with a fresh one."""
_REASON = 80
"""Characters of the far end's own words that are kept."""


class Caller:
    """One caller and his one call.

    `overhear` gets every arrival.
    """

    def __init__(
        self,
        line: Line,
        account: Account,
        rng: Random,
        overhear: Callable[[Arrival], object] = bool,
    ) -> None:
        self._line, self.overhear = line, overhear
        self._words = Words(account, line.carrier, rng)
        self._invite: Request | None = None
        self._dialog: Dialog | None = None
        self._acknowledgement: Request | None = None
        self._ended = False

    @property
    def seen(self) -> Address | None:
        """Where the far end last said that it saw him."""
        return self._words.seen

    @property
    def call_id(self) -> str:
        return self._words.call_id

    # -------------------------------------------------------------- requests

    def options(self, patience: float) -> Script[Response]:
        """Ask what is there; whatever it answers, it is there, unless it says that it fails.

        Raises HandshakeFailed ERROR_REPLY for a 5xx or 6xx (but 501), TIMEOUT, or what the network
        said.
        """
        reply = yield from self._transact(self._words.options(), patience)
        if reply.code >= 500 and reply.code != 501:
            raise _refusal(reply)
        return reply

    def register(self, patience: float) -> Script[None]:
        """Say where we are, with a password where one is wanted.

        Raises HandshakeFailed ERROR_REPLY for a refusal, MALFORMED for a challenge that is none.
        """
        yield from self._ask(self._words.register(), patience)

    def invite(
        self,
        offer: sdp.Session,
        before: Callable[[sdp.Session], Iterable[Send]],
        patience: float,
    ) -> Script[None]:
        """Call.  `before` is what to send ahead of the ACK, by what the far end described.

        A call that only rings is cancelled.  Raises HandshakeFailed ERROR_REPLY for a refusal,
        MALFORMED for an answer without a contact, or of which `before` cannot make anything
        (ValueError).
        """
        try:
            reply = yield from self._ask(self._words.invite(offer), patience)
        except Unfinished:
            yield from self._cancel()
            raise
        failure: HandshakeFailed | None = None
        try:
            yield from _say(before(sdp.parse(reply.body)))
        except ValueError as error:
            failure = HandshakeFailed(Cause.MALFORMED, str(error))
        yield from _say(self._answered(reply))
        if failure is not None:
            raise failure

    def hang_up(self) -> Script[None]:
        """BYE, for HANG_UP seconds at most; nothing where there is no call any more."""
        if self._dialog is None or self._ended:
            return
        self._ended = True
        with suppress(HandshakeFailed):
            yield from self._transact(self._words.within(self._dialog, "BYE"), HANG_UP)

    def hear(self, arrival: Arrival) -> Iterable[Send]:
        """What to send because of an arrival when no request is under way."""
        for message in self._line.decode(arrival):
            yield from self._aside(message)

    # -------------------------------------------------------------- transactions

    def _ask(self, request: Request, patience: float) -> Script[Response]:
        """`request` until it is accepted, with the password once it is asked for."""
        until = (yield from now()) + patience
        asked = request
        for _ in range(_TRIES):
            reply = yield from self._transact(asked, until - (yield from now()))
            if reply.code < 300:
                return reply
            if reply.code not in _CHALLENGES:
                raise _refusal(reply)
            challenge = self._challenge(reply)
            if asked is not request and not challenge.stale:
                break
            asked = self._words.again(request, challenge, _CHALLENGES[reply.code][1])
        raise _refusal(reply)

    def _transact(self, request: Request, patience: float) -> Script[Response]:
        if request.method == "INVITE":
            self._invite = request
        reply = yield from transact(self._line, request, patience, self._aside, self.overhear)
        self._look(reply)
        if request.method == "INVITE" and reply.code >= 300:
            yield from _say([self._line.encode(words.refused(request, reply))])
        return reply

    def _cancel(self) -> Script[None]:
        """Stop the INVITE that only rang; its last answer is acknowledged (9.1, 17.1.1.3)."""
        assert self._invite is not None
        with suppress(HandshakeFailed):
            yield from self._transact(words.cancel(self._invite), HANG_UP)
        yield from self.hang_up()  # answered after all

    def _challenge(self, reply: Response) -> digest.Challenge:
        found = reply.all(_CHALLENGES[reply.code][0])
        for value in found:
            with suppress(ValueError):
                return digest.parse_challenge(value)
        raise HandshakeFailed(Cause.MALFORMED, f"{reply.code} without a challenge that is known")

    def _look(self, reply: Response) -> None:
        """Remember where the far end saw us."""
        with suppress(ValueError):
            self._words.seen = Address(*sip.seen_at(reply))

    # -------------------------------------------------------------- what comes beside it

    def _aside(self, message: Message) -> Iterable[Send]:
        """A late or repeated answer to the INVITE, or the far end's own request."""
        if isinstance(message, Request):
            yield from self._asked(message)
        elif self._invite is not None and is_answer(message, self._invite):
            if message.code >= 300:
                yield self._line.encode(words.refused(self._invite, message))
            elif message.code >= 200:
                with suppress(HandshakeFailed):
                    yield from self._answered(message)

    def _asked(self, request: Request) -> Iterable[Send]:
        """The far end's own request of our call; a stranger's is as if it had not come."""
        call = self._dialog
        if (
            call is None
            or request.method == "ACK"
            or request.get("Call-ID") != self.call_id
            or sip.tag(request.get("From")) != sip.tag(call.to)
            or sip.tag(request.get("To")) != self._words.tag
        ):
            return
        self._ended = self._ended or request.method == "BYE"
        known = request.method in _KNOWN
        reply = words.answer(request, *((200, "OK") if known else (501, "Not Implemented")))
        yield self._line.encode(reply)

    def _answered(self, reply: Response) -> Iterable[Send]:
        """ACK a 2xx: a transaction of its own (13.2.2.4), the same again for a repetition."""
        assert self._invite is not None
        remote = sip.uri_in(sip.split(reply.get("Contact"))[0])
        if not remote:
            raise HandshakeFailed(Cause.MALFORMED, f"{reply.code} without a contact")
        routes = [one for value in reply.all("Record-Route") for one in sip.split(value)]
        if self._dialog is None:
            self._dialog = Dialog(self._invite, reply.get("To"), remote, tuple(reversed(routes)))
            self._acknowledgement = self._words.within(self._dialog, "ACK")
        assert self._acknowledgement is not None
        yield self._line.encode(self._acknowledgement)


def _say(items: Iterable[Send]) -> Script[None]:
    for item in items:
        yield from send(item.channel, item.data, item.remote)


def _refusal(reply: Response) -> HandshakeFailed:
    return HandshakeFailed(Cause.ERROR_REPLY, f"{reply.code} {reply.reason}".strip()[:_REASON])
