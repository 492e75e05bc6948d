"""Client transactions of RFC 3261 17.1: sent again by the timers, answered by what is ours.

An answer is ours when it has our branch, Call-ID, From tag and CSeq; whatever else comes is handed
aside.  It refuses to know dialogs.
"""

from collections.abc import Callable, Iterable

from circumtest.errors import HandshakeFailed
from circumtest.model import Cause, Transport
from circumtest.script import Arrival, Script, Send, now, recv, send
from circumtest.sip.line import Line
from circumtest.wire import sip
from circumtest.wire.sip import Message, Request, Response

T1 = 0.5
"""Seconds until an unanswered request is sent again (17.1.1.1); the waits double."""
T2 = 4.0
"""The longest wait of what is not an INVITE, and its wait once a provisional answer came."""

Aside = Callable[[Message], Iterable[Send]]
"""What to send because of a message that is not the transaction's."""


def is_answer(message: Message, request: Request) -> bool:
    """Whether a message answers `request`."""
    return (
        isinstance(message, Response)
        and sip.branch(message) == sip.branch(request)
        and message.get("Call-ID") == request.get("Call-ID")
        and sip.tag(message.get("From")) == sip.tag(request.get("From"))
        and message.cseq == request.cseq
    )


def transact(
    line: Line,
    request: Request,
    patience: float,
    aside: Aside,
    overhear: Callable[[Arrival], object],
) -> Script[Response]:
    """Send `request` until its final answer is there, and return that, whatever it says.

    `overhear` gets every arrival.  Raises HandshakeFailed after `patience` seconds: with what an
    ICMP error said if there was one, else TIMEOUT; at once when a stream ends or breaks.
    """
    timer = _Timer(request.method, reliable=line.reliable)
    until = (yield from now()) + patience
    failure: HandshakeFailed | None = None
    while (at := (yield from now())) < until:
        if timer.due(at):
            yield from _say([line.encode(request)])
        arrival = yield from recv(min(until, timer.next or until))
        if arrival is None:
            continue
        overhear(arrival)
        if isinstance(arrival.data, Cause):
            failure = HandshakeFailed(arrival.data, str(arrival.source))
            if arrival.channel.transport is Transport.TCP:
                break
        for message in line.decode(arrival):
            if not (isinstance(message, Response) and is_answer(message, request)):
                yield from _say(aside(message))
            elif message.code >= 200:
                return message
            else:
                timer.provisional(message, at)
    raise failure or timer.failure(patience)


class Unfinished(HandshakeFailed):
    """Only provisional answers came: a request of which one may be told to stop (9.1)."""


def _say(items: Iterable[Send]) -> Script[None]:
    for item in items:
        yield from send(item.channel, item.data, item.remote)


class _Timer:
    """Timers A and E: when a request is sent next; `next` is None for never again."""

    def __init__(self, method: str, *, reliable: bool) -> None:
        self._invite, self._reliable = method == "INVITE", reliable
        self._wait = T1
        self._heard = ""
        self.next: float | None = 0.0

    def due(self, at: float) -> bool:
        """Whether to send now; the next time is set."""
        if self.next is None or at < self.next:
            return False
        if self._reliable:
            self.next = None
            return True
        # By the schedule, not by when we got round to it.
        self.next = (self.next or at) + self._wait
        self._wait = self._wait * 2 if self._invite else min(self._wait * 2, T2)
        return True

    def provisional(self, answer: Response, at: float) -> None:
        """The far end is at it: an INVITE is not sent again, anything else every T2."""
        self._heard = f"{answer.code} {answer.reason}".strip()
        if self._invite or self._reliable:
            self.next = None
        else:
            self._wait = T2
            self.next = at + T2

    def failure(self, patience: float) -> HandshakeFailed:
        """What it is when the patience is over."""
        seconds = f"{round(patience, 1):g} s"
        if self._heard:
            return Unfinished(Cause.TIMEOUT, f"{self._heard} came, and no more in {seconds}")
        return HandshakeFailed(Cause.TIMEOUT, f"no answer in {seconds}")
