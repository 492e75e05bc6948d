"""Names resolved in virtual time: every mood of a resolver, over everything that carries DNS."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random

import pytest
from msgspec import structs

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.model import Address, Cause, Failure, Level, Outcome, Stage, Success, Transport
from circumtest.named import Named
from circumtest.names import Mood, Names, Zone, https
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.resolve import Over, Resolver, resolve
from circumtest.resolve.datagrams import SENDS
from circumtest.script import Answerer, Emit, Flow, Handshake, Script, enter
from circumtest.simulate import START, far_end, simulate
from circumtest.wire import dns

NAME = "call.4.call.test"
SECRET = "circumtest lab"
RESOLVERS = {4: "203.0.113.200", 6: "2001:db8:113::200"}
SERVICES = Mapping[tuple[Transport, Address], Answerer]

CAUSES = {
    Mood.EMPTY: Cause.DNS_EMPTY,
    Mood.REFUSE: Cause.DNS_REFUSED,
    Mood.NXDOMAIN: Cause.DNS_NXDOMAIN,
    Mood.SERVFAIL: Cause.DNS_SERVFAIL,
    Mood.POISON: Cause.DNS_POISONED,
    Mood.BOGON: Cause.DNS_BOGON,
    Mood.INJECT: Cause.DNS_POISONED,
    Mood.LATE: Cause.DNS_LATE,
    Mood.SILENT: Cause.TIMEOUT,
    Mood.GARBAGE: Cause.MALFORMED,
}
"""What each mood is told as.  The others are answered well."""


class Watch:
    """Keeps the datagrams to port 53 and when they left, and drops the first ones."""

    def __init__(self, drop: int = 0) -> None:
        self.seen: list[tuple[float, bytes]] = []
        self._drop = drop

    def judge(self, packet: Packet, now: float) -> Verdict:
        if packet.transport is Transport.UDP and packet.destination.port == dns.PORT:
            self.seen.append((round(now - START, 3), packet.payload))
            if len(self.seen) <= self._drop:
                return Verdict.DROP
        return Verdict.PASS


class Each:
    """Answers each datagram with whatever a function makes of it."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = answers

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        question = dns.parse_query(data)
        for answer in self._answers:
            yield Emit(flow, question.reply(addresses=["192.0.2.7"]) if answer is None else answer)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def served(zone: Zone, version: int = 4, secret: str = SECRET) -> SERVICES:
    """A resolver of that zone."""
    host = RESOLVERS[version]
    plain = Names(zone, secret)
    return {
        (Transport.UDP, Address(host, dns.PORT)): plain,
        (Transport.TCP, Address(host, dns.PORT)): plain,
        (Transport.TCP, Address(host, Over.DOH.port)): https(zone, secret, "resolver.test"),
    }


def asked(over: Over, version: int = 4, *, get: bool = False) -> Resolver:
    """That resolver, asked one way."""
    at = (Address(RESOLVERS[version], over.port),)
    return Resolver(over, at, "resolver.test", SECRET, get)


def outcome(
    handshake: Handshake,
    over: Over,
    mood: Mood,
    version: int = 4,
    judge: Judge | None = None,
    *,
    get: bool = False,
) -> Outcome:
    """The outcome of a call by name, without its words."""
    target, services = far_end(handshake, version)
    hosts = tuple(address.host for address in target)
    zone = Zone({NAME: hosts}, mood)
    named = Named(handshake, NAME, asked(over, version, get=get))
    script = named.script(target, Random(7))
    ended = simulate(script, {**services, **served(zone, version)}, judge).outcome
    return Failure(ended.stage, ended.cause) if isinstance(ended, Failure) else ended


def found(
    resolver: Resolver,
    services: SERVICES,
    judge: Judge | None = None,
    right: frozenset[str] = frozenset(),
    patience: float = 3.0,
) -> tuple[Outcome, tuple[str, ...], float]:
    """What asking alone ends with: outcome, addresses, seconds."""
    got: list[str] = []

    def script() -> Script[None]:
        yield from enter(Stage.RESOLVE)
        rng = Random(3)
        got.extend((yield from resolve(resolver, NAME, 4, rng, patience=patience, right=right)))

    record = simulate(script(), services, judge)
    return record.outcome, tuple(got), record.seconds


def cause(outcome: Outcome) -> Cause:
    """Why asking failed."""
    assert isinstance(outcome, Failure)
    return outcome.cause


# ------------------------------------------------------------------ a call by name


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize("handshake", [Echo(), TelegramCallUdp(level=Level.QUICK)])
def test_a_name_is_resolved_and_called(handshake: Handshake, over: Over, version: int) -> None:
    """Also one with several addresses, over IPv4 and IPv6."""
    assert outcome(handshake, over, Mood.HONEST, version) == Success()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", kinds(HANDSHAKES))
def test_every_handshake_can_be_called_by_name(kind: str, version: int) -> None:
    """Whatever it calls, and whomever behind it."""
    root = {"root": TEST_ROOT} if kind == "whatsapp-message" else {}
    handshake: Handshake = load(HANDSHAKES, kind, "test", "")(**root, level=Level.QUICK)
    target, services = far_end(handshake, version)
    hosts = tuple(address.host for address in target[: handshake.listen.hosts])
    named = Named(handshake, NAME, asked(Over.UDP, version))
    services = {**services, **served(Zone({NAME: hosts}), version)}

    assert simulate(named.script(target, Random(1)), services).outcome == Success()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize("mood", CAUSES)
def test_every_mood_is_told_apart(mood: Mood, over: Over, version: int) -> None:
    """At the stage `resolve`; but nobody injects into a stream."""
    honest = mood is Mood.INJECT and over is not Over.UDP
    expected = Success() if honest else Failure(Stage.RESOLVE, CAUSES[mood])

    assert outcome(Echo(), over, mood, version) == expected


def test_https_may_be_asked_by_get() -> None:
    """With the question in the path (RFC 8484 4.1)."""
    assert outcome(Echo(), Over.DOH, Mood.HONEST, get=True) == Success()
    expected = Failure(Stage.RESOLVE, Cause.DNS_NXDOMAIN)
    assert outcome(Echo(), Over.DOH, Mood.NXDOMAIN, get=True) == expected


@pytest.mark.parametrize("version", [4, 6])
def test_what_does_not_fit_into_a_datagram_is_asked_for_over_tcp(version: int) -> None:
    """The truncated answer has no addresses of its own."""
    assert outcome(Echo(), Over.UDP, Mood.TRUNCATE, version) == Success()


def test_the_stages_of_a_call_by_name_begin_with_resolve() -> None:
    """All else is the handshake's own."""
    echo = Echo(port=7)
    named = Named(echo, NAME, asked(Over.UDP))

    assert named.stages == (Stage.RESOLVE, *echo.stages)
    assert (named.listen, named.also, named.opening) == (echo.listen, echo.also, echo.opening)
    assert (named.role, named.app, named.far) == (echo.role, echo.app, echo.far)
    assert named.messaging == echo.messaging


def test_the_call_goes_where_the_name_points_with_the_handshakes_port() -> None:
    """Nobody at another address answers."""
    target, services = far_end(Echo(port=7777))
    zone = Zone({NAME: (target[0].host,)})
    script = Named(Echo(port=7777), NAME, asked(Over.UDP)).script(target, Random(1))
    record = simulate(script, {**services, **served(zone)})

    assert record.outcome == Success()
    assert [one.stage for one in record.stages] == [Stage.RESOLVE, Stage.CONNECTIVITY]


def test_a_name_with_too_few_addresses_is_as_good_as_empty() -> None:
    """Three reflectors are called, two are named."""
    handshake = TelegramCallUdp(level=Level.QUICK)
    target, services = far_end(handshake)
    zone = Zone({NAME: tuple(address.host for address in target[:2])})
    script = Named(handshake, NAME, asked(Over.UDP)).script(target, Random(1))

    ended = simulate(script, {**services, **served(zone)}).outcome
    assert ended == Failure(Stage.RESOLVE, Cause.DNS_EMPTY, "2 of 3 addresses")


# ------------------------------------------------------------------ over UDP


def test_a_question_is_sent_again_like_a_system_does_with_a_number_of_its_own() -> None:
    """At 0, 1, 3 and 7 s of ten."""
    watch = Watch(drop=99)
    ended, _, seconds = found(asked(Over.UDP), served(Zone({})), watch, patience=10.0)

    assert cause(ended) is Cause.TIMEOUT
    assert [at for at, _ in watch.seen] == list(SENDS)
    assert len({data[:2] for _, data in watch.seen}) == len(SENDS)
    assert seconds == pytest.approx(13.0)


def test_a_lost_question_is_no_failure() -> None:
    """The second one is answered."""
    ended, addresses, _ = found(asked(Over.UDP), served(Zone({NAME: ("8.8.8.8",)})), Watch(drop=1))
    assert (ended, addresses) == (Success(), ("8.8.8.8",))


def test_where_nobody_knows_what_is_right_two_answers_give_the_injector_away() -> None:
    """And an address of a special purpose is wrong in any case."""
    for mood, expected in ((Mood.INJECT, Cause.DNS_POISONED), (Mood.BOGON, Cause.DNS_BOGON)):
        ended, _, _ = found(asked(Over.UDP), served(Zone({NAME: ("8.8.8.8",)}, mood)))
        assert cause(ended) is expected
    ended, addresses, _ = found(asked(Over.UDP), served(Zone({NAME: ("8.8.8.8",)}, Mood.POISON)))
    assert (ended, len(addresses)) == (Success(), 1)  # nobody can tell


def test_a_right_answer_that_is_first_is_taken_whatever_comes_behind_it() -> None:
    """A system takes the first one, too."""
    services = {(Transport.UDP, Address(RESOLVERS[4], dns.PORT)): Each(None, b"\0\0garbage", None)}
    right = frozenset({"192.0.2.7"})
    ended, addresses, seconds = found(asked(Over.UDP), services, right=right)

    assert (ended, addresses) == (Success(), ("192.0.2.7",))
    assert seconds < 0.1


def test_an_injected_failure_in_front_of_the_truth_is_poison() -> None:
    """NXDOMAIN, then the addresses: no resolver says both."""

    class Liar(Each):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            question = dns.parse_query(data)
            yield Emit(flow, question.reply(dns.NXDOMAIN))
            yield from super().receive(flow, data, now)

    services = {(Transport.UDP, Address(RESOLVERS[4], dns.PORT)): Liar(None)}
    ended, _, _ = found(asked(Over.UDP), services)

    assert isinstance(ended, Failure)
    assert (ended.cause, ended.detail) == (
        Cause.DNS_POISONED,
        "two answers to one question: NXDOMAIN; then 192.0.2.7",
    )


def test_answers_with_another_number_name_or_sender_are_as_if_they_had_not_come() -> None:
    """Forgers have to guess, and what is for others is none."""

    class Forger:
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            question = dns.parse_query(data)
            other = dns.parse_query(dns.query(question.id, "other.test", 4))
            sixth = dns.parse_query(dns.query(question.id, NAME, 6))
            number = dns.parse_query(dns.query(question.id ^ 1, NAME, 4))
            stranger = structs.replace(flow, local=Address("203.0.113.9", dns.PORT))
            yield Emit(flow, other.reply(addresses=["8.8.8.8"]))
            yield Emit(flow, sixth.reply(addresses=["2606:4700::1"]))
            yield Emit(flow, number.reply(addresses=["8.8.8.8"]))
            yield Emit(stranger, question.reply(addresses=["8.8.8.8"]))
            yield Emit(flow, data)  # our own question
            yield Emit(flow, b"")

        def timer(self) -> float | None:
            return None

        def tick(self, now: float) -> Iterable[Emit]:
            return ()

    services = {(Transport.UDP, Address(RESOLVERS[4], dns.PORT)): Forger()}
    ended, _, _ = found(asked(Over.UDP), services)

    # The question itself has our number and is no answer.
    assert cause(ended) is Cause.MALFORMED


def test_garbage_in_front_of_the_truth_is_passed_over() -> None:
    """It has our number, but a system goes on waiting."""

    class Noise:
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            yield Emit(flow, data[:2] + b"\xff" * 30)
            yield Emit(flow, dns.parse_query(data).reply(addresses=["8.8.8.8"]))

        def timer(self) -> float | None:
            return None

        def tick(self, now: float) -> Iterable[Emit]:
            return ()

    services = {(Transport.UDP, Address(RESOLVERS[4], dns.PORT)): Noise()}
    assert found(asked(Over.UDP), services)[1] == ("8.8.8.8",)


# ------------------------------------------------------------------ several resolvers, streams, TLS


@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize("mood", [Mood.SILENT, Mood.REFUSE, Mood.SERVFAIL, Mood.GARBAGE])
def test_a_resolver_that_fails_leaves_it_to_the_next(over: Over, mood: Mood) -> None:
    """Silent or refusing, the second one is asked within the same patience."""
    names = {NAME: ("8.8.8.8",)}
    second = Address(RESOLVERS[6], over.port)
    resolver = asked(over)
    resolver = replace(resolver, at=(*resolver.at, second))
    services = {**served(Zone(names, mood)), **served(Zone(names), 6)}

    ended, addresses, _ = found(resolver, services)
    assert (ended, addresses) == (Success(), ("8.8.8.8",))


@pytest.mark.parametrize("over", Over)
def test_when_all_resolvers_refuse_the_name_is_refused(over: Over) -> None:
    """Whatever the last of them says."""
    resolver = asked(over)
    resolver = replace(resolver, at=(*resolver.at, Address(RESOLVERS[6], over.port)))
    refuse = Zone({}, Mood.REFUSE)

    ended, _, _ = found(resolver, {**served(refuse), **served(refuse, 6)})
    assert cause(ended) is Cause.DNS_REFUSED


def test_where_nobody_listens_the_connection_is_refused() -> None:
    """That is not the resolver's refusal."""
    for over in (Over.TCP, Over.DOH):
        assert cause(found(asked(over), {})[0]) is Cause.REFUSED


def test_another_resolver_than_the_one_that_was_meant_is_not_believed() -> None:
    """Who sits on the way has another key."""
    services = served(Zone({NAME: ("8.8.8.8",)}), secret="another")
    assert cause(found(asked(Over.DOH), services)[0]) is Cause.WRONG_IDENTITY


def test_over_udp_a_stranger_gets_no_more_than_he_sent() -> None:
    """He is told to ask over TCP, where he gets the whole answer."""
    services = served(Zone({NAME: ("8.8.8.8",)}))
    resolver = replace(asked(Over.UDP), secret="")
    watch = Watch()

    assert found(resolver, services, watch)[:2] == (Success(), ("8.8.8.8",))
    assert len(watch.seen) == 1


def test_an_address_is_the_same_however_it_is_written() -> None:
    """What is known to be right may have capitals and zeros."""
    at = Address(RESOLVERS[6], dns.PORT)
    services = served(Zone({NAME: ("2001:db8::1",)}), 6)
    got: list[tuple[str, ...]] = []

    def script() -> Script[None]:
        yield from enter(Stage.RESOLVE)
        right = frozenset({"2001:0DB8:0::1"})
        resolver = Resolver(Over.UDP, (at,), secret=SECRET)
        got.append((yield from resolve(resolver, NAME, 6, Random(1), patience=3.0, right=right)))

    assert simulate(script(), services).outcome == Success()
    assert got == [("2001:db8::1",)]


def test_any_other_code_is_a_resolver_that_misbehaves() -> None:
    """NOTIMP, to a question as plain as this."""

    class Simple:
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            yield Emit(flow, dns.parse_query(data).reply(4))

        def timer(self) -> float | None:
            return None

        def tick(self, now: float) -> Iterable[Emit]:
            return ()

    services = {(Transport.UDP, Address(RESOLVERS[4], dns.PORT)): Simple()}
    assert cause(found(asked(Over.UDP), services)[0]) is Cause.DNS_MISBEHAVING
