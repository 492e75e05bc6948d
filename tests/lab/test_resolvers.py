"""Names resolved on real sockets: over all that carries DNS, through tunnels, and lied to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path as File
from random import Random

import pytest

from circumtest import store
from circumtest.compare import compare
from circumtest.handshakes.echo import Echo
from circumtest.lab import resolvers
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.servers.tinyproxy import Tinyproxy
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import RESOLVER, Lab, lab
from circumtest.model import (
    Cause,
    Failure,
    Invalid,
    Outcome,
    Stage,
    Success,
    Transport,
    TunnelFault,
)
from circumtest.named import Named, host_name
from circumtest.names import Mood, Zone
from circumtest.path import Path
from circumtest.plan import Plan, parse
from circumtest.play import play
from circumtest.resolve import Over, Resolver
from circumtest.run import carry_out
from circumtest.tunnels.http_connect import HttpConnect
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard

BLOCKS = 5
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
TUNNELS = ("none", "wireguard", "socks", "http-connect")


@asynccontextmanager
async def path_of(town: Lab, tunnel: str) -> AsyncIterator[Path]:
    """The client's way out by a tunnel."""
    async with AsyncExitStack() as stack:
        if tunnel == "none":
            yield town.outside
        elif tunnel == "wireguard":
            fields = await stack.enter_async_context(WireguardGo().serve(town))
            yield await stack.enter_async_context(Wireguard(**fields).up(town.client))
        elif tunnel.startswith("socks"):
            server = Dante() if tunnel == "socks" else Microsocks()
            fields = await stack.enter_async_context(server.serve(town))
            yield await stack.enter_async_context(Socks(**fields).up(town.client))
        else:
            fields = await stack.enter_async_context(Tinyproxy().serve(town))
            yield await stack.enter_async_context(HttpConnect(**fields).up(town.client))


async def call(
    town: Lab, path: Path, over: Over, mood: Mood, version: int
) -> tuple[Outcome, Resolver]:
    """An exchange over TCP with a name, where the provider's resolver has that mood."""
    echo = Echo(Transport.TCP)
    name = f"{over}-{mood}"
    target = await town.serve(echo, name, version)
    hosts = tuple(address.host for address in target)
    zone = Zone({host_name(name, version): hosts}, mood)
    provider = await resolvers.serve(town, zone, version)
    resolver = resolvers.asked(path, over, provider, version)
    script = Named(echo, host_name(name, version), resolver).script(target, Random(5))
    return (await play(script, path)).outcome, resolver


def outcome(tunnel: str, over: Over, mood: Mood, version: int = 4) -> tuple[Outcome, Resolver]:
    """The same in a lab of its own, without words."""

    async def scene() -> tuple[Outcome, Resolver]:
        async with asyncio.timeout(40), lab() as town, path_of(town, tunnel) as path:
            ended, resolver = await call(town, path, over, mood, version)
            if isinstance(ended, Failure):
                return Failure(ended.stage, ended.cause), resolver
            return ended, resolver

    return asyncio.run(scene())


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize("tunnel", TUNNELS)
def test_a_name_is_resolved_through_the_path_of_the_call(
    tunnel: str, over: Over, version: int
) -> None:
    """Whom a tunnel names is asked; where it carries no UDP, over TCP."""
    ended, resolver = outcome(tunnel, over, Mood.HONEST, version)

    assert ended == Success()
    assert (resolver.at[0].host == RESOLVER[version]) == (
        tunnel == "wireguard" and over is not Over.DOH
    )
    fell_back = tunnel == "http-connect" and over is Over.UDP
    assert resolver.over == (Over.TCP if fell_back else over)


def test_a_proxy_that_refuses_udp_only_when_asked_says_nothing_about_the_name() -> None:
    """Its trial is invalid, for the tunnel's sake; over TCP the same name is resolved."""
    ended, _ = outcome("socks-tcp", Over.UDP, Mood.HONEST)

    assert isinstance(ended, Invalid)
    assert ended.fault is TunnelFault.NO_UDP
    assert outcome("socks-tcp", Over.TCP, Mood.HONEST)[0] == Success()


@pytest.mark.parametrize("over", Over)
def test_every_mood_is_told_apart(over: Over) -> None:
    """As in virtual time, side by side: each has a resolver of its own."""

    async def scene() -> dict[Mood, Outcome]:
        async def one(mood: Mood) -> Outcome:
            async with lab() as town:
                ended, _ = await call(town, town.outside, over, mood, 4)
            return Failure(ended.stage, ended.cause) if isinstance(ended, Failure) else ended

        async with asyncio.timeout(60):
            return dict(zip(Mood, await asyncio.gather(*map(one, Mood)), strict=True))

    expected: dict[Mood, Outcome] = {
        mood: Failure(Stage.RESOLVE, CAUSES[mood]) if mood in CAUSES else Success() for mood in Mood
    }
    if over is not Over.UDP:
        expected[Mood.INJECT] = Success()
    assert asyncio.run(scene()) == expected


def plan(mood: Mood) -> Plan:
    """A call by name from where the provider's resolver has that mood."""
    raw = {
        "blocks": BLOCKS,
        "policies": ["open"],
        "tunnel": [
            {"kind": "none"},
            {"kind": "isolated"},
            {"kind": "wireguard", "server": "wireguard-go"},
        ],
        "handshake": [
            {"kind": "telegram-call-udp", "resolve": {"over": "udp", "outside": str(mood)}}
        ],
    }
    return parse(raw, "by-name", "by-name.toml")


@pytest.mark.parametrize(
    ("mood", "how"), [(Mood.POISON, "poisoned"), (Mood.INJECT, "poisoned"), (Mood.EMPTY, "empty")]
)
def test_a_poisoned_name_is_a_restriction_that_a_tunnel_with_its_own_resolver_bypasses(
    mood: Mood, how: str, tmp_path: File
) -> None:
    """Outside it dies at `resolve`, the controls pass, and inside the call works."""
    by_name = plan(mood)
    store.create(tmp_path, by_name.outline)

    assert carry_out(by_name, tmp_path, 2, lambda done, total: None) == 0
    trials, troubles = store.read(tmp_path)
    assert troubles == []
    found = {one.cell.tunnel: one for one in compare(by_name.outline, trials).comparisons}

    lied_to = found["wireguard"]
    assert lied_to.outside.rate.successes == 0
    assert str(lied_to.outside.death).startswith(f"resolve ({how}")
    assert lied_to.inside.rate.successes == BLOCKS
    assert found["none"].inside.rate.successes == 0
    assert found["isolated"].inside.rate.successes == 0
