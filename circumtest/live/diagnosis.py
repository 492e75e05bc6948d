"""What is wrong with a tunnel, and what is worth knowing of it: asked through it and without it.

A path that is up is asked as far as the far end can tell: one's own mirror answers packets of any
size over UDP and TCP, public servers a part of it, and what they cannot tell is said.  It refuses
to call anything the tunnel's fault that is the same without the tunnel, and to judge calls.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from random import Random

from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.live import mtu, nat, probes
from circumtest.live.advice import NO_IPV6, TroubleKind
from circumtest.live.asking import ask
from circumtest.live.exchanged import is_address
from circumtest.live.reach import ASKED, Far, Reach, datagram, mapped_by_port
from circumtest.live.trouble import Trouble, of_down, trouble
from circumtest.model import Address, Attribution, Cause, Failure, Invalid, Transport
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.script import Script, now

__all__ = ["Far", "Trouble", "around", "diagnose", "of_down"]

PATIENCE = 3.0
"""Seconds for one exchange over TCP through a tunnel."""


async def diagnose(
    path: Path, far: Far, rng: Random, *, outside: Path | None = None
) -> tuple[Trouble, ...]:
    """What is wrong with a path that is up, the fatal first; empty where nothing was found.

    `outside` is the way without the tunnel, for telling its faults from everybody's.  Takes some
    ten seconds at most where nothing answers.
    """
    here, there = await asyncio.gather(
        datagram(path, far, rng), datagram(outside, far, rng) if outside else _nobody()
    )
    if here.seen is None or here.stranger:
        return (await _barred(path, far, rng, here, there, outside),)
    parts = [
        _size(path, far, rng),
        _mapping(path, far, rng, outside),
        _resolver(path, far, rng, outside),
    ]
    found = [one for part in await asyncio.gather(*parts) for one in part]
    if there is not None and there.seen is not None and there.seen.host == here.seen.host:
        found.append(trouble(TroubleKind.SAME_EXIT))
    return tuple(sorted(found, key=lambda one: not one.fatal))


async def _nobody() -> None:
    return None


# ------------------------------------------------------------------ does it carry datagrams


async def _barred(
    path: Path, far: Far, rng: Random, here: Reach, there: Reach | None, outside: Path | None
) -> Trouble:
    """Why datagrams do not pass as they should, the tunnel's own word first."""
    if here.down is not None:
        return of_down(here.down)
    if here.stranger:
        same = there is not None and there.stranger
        return trouble(
            TroubleKind.WRONG_SOURCE,
            attribution=Attribution.ENDPOINT if same else None,
            detail="without the VPN as well" if same else "",
        )
    streams = await _streams(path, far, rng)
    datagrams_outside = there is not None and there.seen is not None
    anything_outside = datagrams_outside
    if outside is not None and not datagrams_outside:
        anything_outside = await _streams(outside, far, rng)
    untried, by_nature = not (far.echo or far.tls), Transport.UDP not in path.transports
    if streams and anything_outside and not datagrams_outside and not by_nature:
        return trouble(TroubleKind.NO_UDP_EITHER_WAY)
    if streams or (untried and by_nature):
        return trouble(TroubleKind.NO_UDP, detail=here.cause)
    if outside is not None and not anything_outside:
        return trouble(TroubleKind.FAR_END)
    more = ", and nobody was named to try connections with" if untried else ""
    down = TunnelDown(path.silence, f"no datagram came back{more}", path.words)
    return of_down(path.fault() or down)


async def _streams(path: Path, far: Far, rng: Random) -> bool:
    """Whether one exchange over TCP passes: a proxy's own "ok" proves nothing."""
    if Transport.TCP not in path.transports:
        return False
    if far.echo is not None:
        over = Echo(Transport.TCP, far.echo.port, secret=far.secret)
        return await _passes(path, over.script((far.echo,), rng))
    tried = (_passes(path, _greeting(at, name)) for at, name in far.tls)
    return any(await asyncio.gather(*tried))


def _greeting(at: Address, name: str) -> Script[None]:
    until = (yield from now()) + PATIENCE
    found = yield from probes.greeting(at, name, until)
    if not found.right:
        raise HandshakeFailed(Cause.WRONG_IDENTITY, "somebody else's certificate")


async def _passes(path: Path, script: Script[None]) -> bool:
    try:
        async with asyncio.timeout(PATIENCE + 0.5):
            return await ask(path, script) is None
    except TimeoutError:
        return False


# ------------------------------------------------------------------ what else there is to know


async def _size(path: Path, far: Far, rng: Random) -> list[Trouble]:
    if far.echo is None:
        return [trouble(TroubleKind.UNKNOWN_MTU, detail="public servers answer small packets only")]
    try:
        found = await mtu.largest(path, far.echo, far.secret, rng)
    except (OSError, TunnelDown) as error:
        return [trouble(TroubleKind.UNKNOWN_MTU, detail=str(error))]
    if found is None or not found.small:
        return []
    return [
        trouble(
            TroubleKind.MTU,
            seen=f"{found.asked} octets were tried, {found.up} pass there, {found.both} both ways",
            mtu=found.both,
            where=found.where,
            also=NO_IPV6 if found.both < mtu.LEAST[6] else "",
        )
    ]


async def _mapping(path: Path, far: Far, rng: Random, outside: Path | None) -> list[Trouble]:
    here = await _nat(path, far, rng)
    if here is None:
        return []
    if here.mapping is nat.Mapping.UNKNOWN:
        detail = f"{here.answers} STUN servers answered, and it takes two addresses"
        return [trouble(TroubleKind.UNKNOWN_NAT, detail=detail)]
    if not here.mapping.symmetric:
        return []
    beside = await _nat(outside, far, rng) if outside else None
    both = beside is not None and beside.mapping.symmetric
    blamed = Attribution.ENVIRONMENT if both else Attribution.TUNNEL
    return [trouble(TroubleKind.SYMMETRIC_NAT, attribution=blamed, detail=here.mapping)]


async def _nat(path: Path, far: Far, rng: Random) -> nat.Nat | None:
    """By STUN servers, else by a mirror's ports, which can only show that it is symmetric."""
    if far.stun:
        told = await ask(path, nat.mapping(far.stun, rng))
        return told if isinstance(told, nat.Nat) else None
    if far.echo is None or not far.ports:
        return None
    seen = await ask(path, mapped_by_port(far, rng))
    if isinstance(seen, Failure | Invalid) or len(set(seen.values())) < 2:
        return None
    return nat.Nat(nat.Mapping.BY_ADDRESS_AND_PORT, next(iter(seen.values())), len(seen))


async def _resolver(path: Path, far: Far, rng: Random, outside: Path | None) -> list[Trouble]:
    """Whether the resolvers that the tunnel names are reached through it and answer at all.

    One that is not, and answers outside, is where a system asks beside the tunnel: the way to it
    is a nearer one (a router at home), or AllowedIPs leaves it out.
    """
    places = [Address(one, 53) for one in path.dns if is_address(one)]
    if not places:
        return []
    told = await asyncio.gather(*(_silence(path, at, far.name, rng) for at in places))
    if None in told:  # one that answers will do
        return []
    beside: list[str | None] = []
    if outside is not None:
        asked = (_silence(outside, at, ASKED, rng) for at in places)
        beside = await asyncio.gather(*asked)
    if None in beside:
        detail = "the resolver that it names answers outside of it, and not through it"
        return [trouble(TroubleKind.DNS_AROUND, detail=detail)]
    if all([not await _is_routed(path, at) for at in places]):
        detail = "the resolver that it names is not routed into it"
        return [trouble(TroubleKind.DNS_AROUND, detail=detail)]
    return [trouble(TroubleKind.DNS_SILENT, detail=told[0] or "")]


async def _silence(path: Path, at: Address, name: str, rng: Random) -> str | None:
    """Why a resolver is of no use, None when it answers, whatever it says of the name."""
    told = await ask(path, probes.name(at, name, at.version, rng))
    if isinstance(told, Invalid):
        return told.detail
    if isinstance(told, Failure) and not told.cause.startswith("dns_"):
        return str(told.cause)
    return None


async def _is_routed(path: Path, at: Address) -> bool:
    """Whether anything at all can be sent there: a router's word comes later."""
    try:
        conn = await path.open(Transport.UDP, at, lambda *_: None, PATIENCE)
    except (OSError, TunnelDown):
        return False
    conn.close()
    return True


async def around(home: Netns, device: str, resolvers: Sequence[str]) -> Trouble | None:
    """Whether names are asked for beside `device`, a VPN of this machine that is on.

    The system's `resolvers` are looked at, not asked: those to which packets leave by another
    device.  One on loopback is a program that asks others; what it does cannot be seen from here.
    """
    beside = set()
    for resolver in resolvers:
        if ipaddress.ip_address(resolver.partition("%")[0]).is_loopback:
            continue
        way = home.way_to(resolver)
        if way is not None and way != device:
            beside.add(way)
    if not beside:
        return None
    detail = f"this system's resolver is reached by {', '.join(sorted(beside))}, not by {device}"
    return trouble(TroubleKind.DNS_AROUND, detail=detail)
