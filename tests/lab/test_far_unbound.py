"""Resolved by a real resolver: Debian's unbound over UDP, TCP and HTTPS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from random import Random

import pytest

from circumtest import identity
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import Lab, lab
from circumtest.listening import listening
from circumtest.model import Address, Cause, Failure, Level, Outcome, Stage, Success
from circumtest.named import Named
from circumtest.path import Path
from circumtest.play import play
from circumtest.process import daemon, private_dir
from circumtest.resolve import Over, Resolver
from circumtest.script import Handshake
from circumtest.tunnels.wireguard import Wireguard

SECRET = "circumtest lab"
NAME = "unbound.test"
_CONFIG = """
server:
    username: ""
    chroot: ""
    directory: "{place}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    interface: {host}@53
    interface: {host}@443
    https-port: 443
    tls-service-key: "{place}/key.pem"
    tls-service-pem: "{place}/certificate.pem"
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    module-config: "iterator"
    do-not-query-address: 0.0.0.0/0
    do-not-query-address: ::/0
    max-udp-size: {datagram}
    local-zone: "call.test." static
    local-zone: "refused.test." refuse
    local-zone: "zone.test." transparent
    local-data: "empty.call.test. TXT nothing"
{data}
auth-zone:
    name: "zone.test."
    zonefile: "{place}/zone"
    for-upstream: no
remote-control:
    control-enable: no
"""
_ZONE = """$ORIGIN zone.test.
@ 60 SOA ns hostmaster 1 3600 600 86400 60
@ 60 NS ns
alias 60 CNAME further
further 60 CNAME call
"""


@asynccontextmanager
async def unbound(
    town: Lab, addresses: tuple[Address, ...], version: int, datagram: int = 1232
) -> AsyncIterator[str]:
    """Its address; `call.call.test` and `alias.zone.test` have these addresses.

    `datagram` is how many bytes it may answer over UDP.
    """
    (at,) = await town.addresses(1, Over.UDP.port, version)
    kind = {4: "A", 6: "AAAA"}[version]
    data = [f'    local-data: "call.call.test. {kind} {host}"' for host, _ in addresses]
    with private_dir() as place:
        made = identity.certificate(SECRET, NAME)
        (place / "certificate.pem").write_bytes(made.certificate)
        (place / "key.pem").write_bytes(made.key)
        config = _CONFIG.format(place=place, host=at.host, data="\n".join(data), datagram=datagram)
        records = [f"call 60 {kind} {host}" for host, _ in addresses]
        (place / "zone").write_text(_ZONE + "\n".join(records) + "\n")
        (place / "unbound.conf").write_text(config)
        argv = ["unbound", "-d", "-p", "-c", str(File(place) / "unbound.conf")]
        async with daemon(town.services, argv) as process:
            for over in (Over.TCP, Over.DOH):
                await listening(town.services, Address(at.host, over.port), process)
            yield at.host


def outcome(
    name: str,
    over: Over,
    version: int = 4,
    *,
    get: bool = False,
    hosts: int = 1,
    datagram: int = 1232,
) -> Outcome:
    """A call by that name, resolved by unbound; a failure without its words."""
    handshake: Handshake = Echo()
    if hosts > 1:
        handshake = TelegramCallUdp(reflectors=hosts, level=Level.QUICK)

    async def through(town: Lab, path: Path) -> Outcome:
        target = await town.serve(handshake, "far", version)
        async with unbound(town, target, version, datagram) as host:
            resolver = Resolver(over, (Address(host, over.port),), NAME, SECRET, get)
            script = Named(handshake, name, resolver).script(target, Random(3))
            ended = (await play(script, path)).outcome
        return Failure(ended.stage, ended.cause) if isinstance(ended, Failure) else ended

    async def scene() -> Outcome:
        async with asyncio.timeout(40), lab() as town:
            return await through(town, town.outside)

    return asyncio.run(scene())


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize("name", ["call.call.test", "alias.zone.test"])
def test_a_name_is_resolved_and_called(name: str, over: Over, version: int) -> None:
    """Also one whose alias has an alias."""
    assert outcome(name, over, version) == Success()


def test_https_may_be_asked_by_get() -> None:
    """As RFC 8484 lets caches have it."""
    assert outcome("call.call.test", Over.DOH, get=True) == Success()


@pytest.mark.parametrize("over", Over)
def test_a_name_may_have_several_addresses(over: Over) -> None:
    """All of them are called, in whichever order unbound gives them."""
    assert outcome("call.call.test", over, hosts=5) == Success()


def test_what_a_datagram_cannot_hold_is_asked_for_over_tcp() -> None:
    """Forty addresses, and at most 512 bytes over UDP."""
    assert outcome("call.call.test", Over.UDP, hosts=40, datagram=512) == Success()


@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("none.call.test", Cause.DNS_NXDOMAIN),
        ("empty.call.test", Cause.DNS_EMPTY),
        ("some.refused.test", Cause.DNS_REFUSED),
        ("www.example.com", Cause.DNS_SERVFAIL),
    ],
)
def test_what_it_does_not_know_is_told_as_it_tells_it(name: str, cause: Cause, over: Over) -> None:
    """Nothing of the Internet can be reached from there: SERVFAIL."""
    assert outcome(name, over) == Failure(Stage.RESOLVE, cause)


@pytest.mark.parametrize("over", Over)
def test_it_is_asked_through_a_tunnel(over: Over) -> None:
    """Its answer comes back the same way."""

    async def scene() -> Outcome:
        async with (
            asyncio.timeout(40),
            lab() as town,
            WireguardGo().serve(town) as fields,
            Wireguard(**fields).up(town.client) as path,
        ):
            target = await town.serve(Echo(), "far")
            async with unbound(town, target, 4) as host:
                resolver = Resolver(over, (Address(host, over.port),), NAME, SECRET)
                named = Named(Echo(), "call.call.test", resolver)
                return (await play(named.script(target, Random(3)), path)).outcome

    assert asyncio.run(scene()) == Success()
