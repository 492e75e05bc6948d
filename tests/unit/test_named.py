"""A handshake by name is a handshake; what names there are, and what resolvers may say at all."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import doh
from circumtest.handshakes.echo import Echo
from circumtest.model import Address, Failure, Stage, Transport
from circumtest.named import Named, host_name
from circumtest.resolve import Over, Resolver
from circumtest.script import Emit, Flow, Handshake
from circumtest.secure import TlsAnswerer
from circumtest.simulate import far_end, simulate
from circumtest.wire import dns

AT = {over: Address("203.0.113.200", over.port) for over in Over}


class Babble:
    """Answers with given bytes, behind the beginning of what an answer would be."""

    def __init__(self, prefix: int, tail: bytes) -> None:
        self._prefix, self._tail = prefix, tail

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        try:
            plain = data[2:] if flow.transport is Transport.TCP else data
            answer = dns.parse_query(plain).reply(addresses=["192.0.2.9"])
        except ValueError:
            answer = b""
        if flow.transport is Transport.TCP:
            answer = dns.frame(answer)
        if data:
            yield Emit(flow, answer[: self._prefix] + self._tail)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def test_it_is_a_handshake_whose_first_stage_is_resolve() -> None:
    """The checker agrees."""
    named: Handshake = Named(Echo(), "a.test", Resolver(Over.UDP, (AT[Over.UDP],)))

    assert named.stages == (Stage.RESOLVE, Stage.CONNECTIVITY)


@pytest.mark.parametrize(
    ("handshake", "version", "name"),
    [("whatsapp-call", 4, "whatsapp-call.4.call.test"), ("My.Call_2", 6, "my.call_2.6.call.test")],
)
def test_a_service_is_called_by_its_handshake(handshake: str, version: int, name: str) -> None:
    """Under a domain that is nobody's."""
    assert host_name(handshake, version) == name


@pytest.mark.parametrize("handshake", ["x" * 64, "a..b", "a."])
def test_a_handshake_may_have_a_name_that_no_host_can_have(handshake: str) -> None:
    """A plan then gives it another one."""
    with pytest.raises(ValueError, match="no host name"):
        host_name(handshake, 4)


def test_a_resolver_has_an_address() -> None:
    """Otherwise there is nobody to ask."""
    with pytest.raises(ValueError, match="address"):
        Resolver(Over.UDP, ())


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(Over), st.integers(0, 70), st.binary(max_size=60))
def test_whatever_a_resolver_says_is_an_outcome(over: Over, prefix: int, tail: bytes) -> None:
    """Never an exception, and never an address that the service does not have."""
    target, services = far_end(Echo())
    babble = Babble(prefix, tail)
    there = TlsAnswerer(babble, "s", "r.test", alpn=(doh.ALPN,)) if over is Over.DOH else babble
    services[over.transport, AT[over]] = there
    services.setdefault((Transport.TCP, AT[Over.TCP]), babble)
    named = Named(Echo(), "a.test", Resolver(over, (AT[over],), "r.test", "s"))
    ended = simulate(named.script(target, Random(1)), services).outcome

    assert isinstance(ended, Failure)
    assert ended.stage is Stage.RESOLVE
