"""Names to addresses: what needs no network.  The rest is in tests/lab/test_targets.py."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from circumtest.errors import TunnelDown
from circumtest.live.locate import Located, resolved
from circumtest.live.service import Endpoint
from circumtest.model import (
    Address,
    Cause,
    Failure,
    Invalid,
    Stage,
    Transport,
    TunnelFault,
    Unsupported,
)
from circumtest.path import Conn, Sink
from tests.unit.live.test_service import endpoint


class Dead:
    """A way that carries nothing; it counts what was tried."""

    name = "dead"
    exits: frozenset[str] = frozenset()
    mtu = None
    dns = ()
    silence = TunnelFault.NO_DATA
    words = ""

    def __init__(self, error: Exception, *, udp: bool = True) -> None:
        self.tried: list[tuple[Transport, Address]] = []
        self.transports = frozenset(Transport) if udp else frozenset({Transport.TCP})
        self._error = error

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        self.tried.append((transport, remote))
        raise self._error

    def fault(self) -> TunnelDown | None:
        return None


def located(
    path: Dead, *asked: Endpoint, resolvers: tuple[str, ...] = ("192.0.2.53",)
) -> list[Located]:
    """What became of some endpoints."""
    return list(asyncio.run(resolved(asked, path, resolvers)))


def test_addresses_are_asked_nobody_for() -> None:
    """They are what they are; one of an IP version that the path has not cannot be tried."""
    path = Dead(OSError())
    four, six = located(path, endpoint("192.0.2.1"), endpoint("2001:db8::1"))

    assert four.addresses == (Address("192.0.2.1", 3478),)
    assert four.trouble is None
    assert six.addresses == ()
    assert isinstance(six.trouble, Unsupported)
    assert path.tried == []


def test_without_a_resolver_nothing_is_said_of_the_network() -> None:
    """Nobody could be asked."""
    path = Dead(OSError())
    (one,) = located(path, endpoint("a.example.org"), resolvers=())

    assert isinstance(one.trouble, Invalid)
    assert one.trouble.reason == "network-down"
    assert path.tried == []
    with pytest.raises(ValueError, match="no address"):
        one.address(Random(1))


def test_a_name_is_asked_for_once_though_many_endpoints_have_it() -> None:
    """Two ports of one host; and what the network said is kept."""
    path = Dead(ConnectionRefusedError(111, "refused"), udp=False)
    first, second = located(path, endpoint("a.example.org"), endpoint("a.example.org", 443))

    assert path.tried == [(Transport.TCP, Address("192.0.2.53", 53))]
    assert first.trouble == second.trouble
    assert isinstance(first.trouble, Failure)
    assert (first.trouble.stage, first.trouble.cause) == (Stage.RESOLVE, Cause.REFUSED)


def test_a_name_that_has_no_address_of_the_paths_version_cannot_be_tried() -> None:
    """By what its file says; nobody is asked."""
    path = Dead(OSError())
    six = replace(endpoint("a.example.org"), right=("2001:db8::1",))
    (one,) = located(path, six)

    assert isinstance(one.trouble, Unsupported)
    assert path.tried == []


def test_where_nobody_answers_the_other_version_is_not_asked_for() -> None:
    """It would take as long again; where somebody does, both are."""
    silent = Dead(TimeoutError())
    (one,) = asyncio.run(
        resolved([endpoint("a.example.org")], silent, ["192.0.2.53"], versions=(4, 6))
    )

    assert len(silent.tried) == 1
    assert isinstance(one.trouble, Failure)
    assert one.trouble.cause is Cause.TIMEOUT


def test_a_tunnel_at_fault_is_no_failure_of_a_name() -> None:
    """It says nothing about the service."""
    (one,) = located(Dead(TunnelDown(TunnelFault.NO_DATA, "gone")), endpoint("a.example.org"))

    assert isinstance(one.trouble, Invalid)
    assert one.trouble.reason == "tunnel-down"
