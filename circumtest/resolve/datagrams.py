"""A name asked for over UDP, as systems do: again after a while, and to the next resolver.

Anybody on the way can forge an answer here, and who sits close is first: so it listens on behind
an answer that may be forged.  It refuses to take the second answer for the system's: a system takes
the first.
"""

from collections.abc import Callable, Iterable

from circumtest.errors import HandshakeFailed
from circumtest.ladders import exchange
from circumtest.model import Address, Cause
from circumtest.resolve.question import GRACE, Asking, failed
from circumtest.resolve.told import judge
from circumtest.script import Arrival, Channel, Script, Send, close, open_udp
from circumtest.wire import dns

SENDS = (0.0, 1.0, 3.0, 7.0)
"""When a question is sent again, in seconds, as long as patience lasts."""
AFTERWARDS = 0.3
"""Seconds for which one listens on: a true answer is about a round trip behind an injector's."""

_Heard = tuple[Address, dns.Reply]


def by_datagrams(
    asking: Asking, patience: float, sure: Callable[[dns.Reply], bool]
) -> Script[tuple[dns.Reply, dns.Reply | None]]:
    """The first answer; and unless one is `sure` of it, another to the same question that differs.

    Raises HandshakeFailed DNS_LATE, MALFORMED, what the resolvers that failed said where the others
    are silent, and like `exchange`.
    """
    channel = yield from open_udp(asking.resolver.at[0])
    questions = _Questions(asking, channel)
    try:
        at, first = yield from exchange(questions.ask, questions.answered, SENDS, patience)
    except HandshakeFailed as error:
        if error.cause is not Cause.TIMEOUT:
            raise
        questions.despair()
        yield from _listen_for_late(questions)
        raise
    then = None
    if not (first.truncated or sure(first)):
        then = yield from _listen_on(questions, at, first)
    yield from close(channel)
    return first, then


class _Questions:
    """What was asked, of whom, and what came that is no answer yet."""

    def __init__(self, asking: Asking, channel: Channel) -> None:
        self._asking, self._channel = asking, channel
        self._sent: list[tuple[Address, int]] = []
        self._failed: dict[Address, dns.Reply] = {}
        self._garbled = ""

    def ask(self) -> Iterable[Send]:
        """One question to the next resolver in turn, under a number of its own.

        So each question has one true answer, and a second that differs is somebody else's.
        """
        places = self._asking.resolver.at
        at, number = places[len(self._sent) % len(places)], self._asking.draw()
        self._sent.append((at, number))
        yield Send(self._channel, self._asking.question(number), at)

    def heard(self, arrival: Arrival) -> _Heard | None:
        """Who answered one of our questions, and what.  An unreadable answer is remembered."""
        data = arrival.data
        if isinstance(data, Cause) or (arrival.source, int.from_bytes(data[:2])) not in self._sent:
            return None
        try:
            reply = dns.parse_reply(data)
        except ValueError as error:
            self._garbled = str(error)
            return None
        return (arrival.source, reply) if self._asking.is_answered(reply) else None

    def answered(self, arrival: Arrival) -> _Heard | None:
        """The same, but a resolver that failed counts only when the others have failed as well."""
        found = self.heard(arrival)
        if found is None or not failed(found[1]):
            return found
        self._failed[found[0]] = found[1]
        return found if len(self._failed) == len(set(self._asking.resolver.at)) else None

    def despair(self) -> None:
        """Raise HandshakeFailed for what came, if anything did, when no more is waited for."""
        for reply in self._failed.values():
            judge(reply, frozenset())
        if self._garbled:
            raise HandshakeFailed(Cause.MALFORMED, self._garbled)


def _listen_on(questions: _Questions, at: Address, first: dns.Reply) -> Script[dns.Reply | None]:
    def differs(arrival: Arrival) -> dns.Reply | None:
        found = questions.heard(arrival)
        if found is None or (found[0], found[1].id) != (at, first.id):
            return None
        return found[1] if _content(found[1]) != _content(first) else None

    try:
        return (yield from exchange(tuple, differs, (), AFTERWARDS))
    except HandshakeFailed:  # nothing more came
        return None


def _content(reply: dns.Reply) -> tuple[int, frozenset[str], bool]:
    return reply.code, frozenset(reply.addresses), reply.truncated


def _listen_for_late(questions: _Questions) -> Script[None]:
    """Raise DNS_LATE when an answer comes after all."""
    try:
        _, late = yield from exchange(tuple, questions.heard, (), GRACE)
    except HandshakeFailed:
        return
    raise HandshakeFailed(Cause.DNS_LATE, late.words)
