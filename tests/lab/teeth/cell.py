"""One cell of the teeth table: a tunnel is brought up behind a censor, and used.

Used for 12 KiB there and back where it carries streams, and for a WhatsApp call where it carries
datagrams.  It refuses to count what is not the censor's doing: a middlebox that died or was too
slow, and a player that was late, raise Unusable.
"""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from typing import NamedTuple

from circumtest.censor.enforce import Enforced, enforced
from circumtest.censor.load import policy
from circumtest.censor.policy import Policy
from circumtest.errors import EnvironmentUnfit, TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.lab.network import conditions
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address, Cause, Failure, Invalid, Level, Outcome, Success, Transport
from circumtest.path import Path
from circumtest.play import play
from circumtest.process import ProcessEnded
from circumtest.proof import prove
from circumtest.scene import PATIENCE, unless_overloaded
from circumtest.script import Handshake
from tests.lab.specimens import Specimen

BOUND = 120.0
"""Seconds that one cell may take."""
SEED = 1
TRIES = 3
PAGE = 12288
"""Bytes of the stream each way: more packets than the 25 of `l4-25`, and few enough that the answer
begins among the first 16, at which `tls-in-tls-2024` looks: V2Ray makes two of each 2 KiB."""
WORKS = {True: "works", False: "works, no UDP"}
"""By whether the tunnel carries datagrams."""
_CAUSES = {Cause.TIMEOUT: "timeout", Cause.RESET: "reset"}


class Unusable(Exception):
    """What was seen tells nothing."""


class Fate(NamedTuple):
    """What became of a tunnel, as the table says it, and the rules that acted on anything.

    `before` are the words of earlier attempts: nobody was guilty of them, or luck was.
    """

    word: str
    guilty: frozenset[str]
    before: tuple[str, ...] = ()


async def fate(profile: str, specimen: Specimen, wanted: Collection[str]) -> Fate:
    """Play a cell in a lab of its own.

    What fails without any rule having acted is tried again, twice and with other dice: it was a
    lossy line's doing, the tunnel's own, or this machine's.  So is, once, what is not `wanted`
    where a rule exempts by chance (`exempts`).  Raises Unusable when harness or machine failed each
    time.
    """
    before: list[str] = []
    for left in reversed(range(TRIES)):
        try:
            async with asyncio.timeout(BOUND), lab() as place:
                seen = await _behind(certain(policy(profile)), specimen, place, seed=left)
        except Unusable as error:
            if not left:
                raise
            before.append(str(error))
            continue
        lucky = seen.word not in wanted and exempts(policy(profile)) and not before
        if not left or (not lucky and (seen.guilty or seen.word in WORKS.values())):
            break
        before.append(seen.word)
    return seen._replace(before=tuple(before))


def exempts(censor: Policy) -> bool:
    """Whether it judges streams by their random bytes, which are what it lets pass by chance.

    Of a short first packet more than half is printable one time in a hundred.
    """
    return any(
        signature.name == "fully-encrypted" for one in censor.rules for signature in one.match
    )


def certain(censor: Policy) -> Policy:
    """The same without luck: a rule that takes one flow of four takes all.

    Which flow is which is not ours to say: tunnels open theirs in whichever order.
    """
    return replace(censor, rules=tuple(replace(rule, chance=1.0) for rule in censor.rules))


async def _behind(censor: Policy, specimen: Specimen, place: Lab, seed: int) -> Fate:
    # Through a proxy a stream is several exchanges, and on a bad line each of them may wait.
    level = Level.STANDARD if censor.network else Level.QUICK
    async with (
        enforced(place.censor, censor, seed) as force,
        conditions(place, censor.network, seed) as network,
    ):
        word = await _word(specimen, place, Echo(Transport.TCP, size=PAGE, level=level))
        guilty = frozenset(rule for rule, packets in (await force.hits()).items() if packets)
        _usable(force, network.fault())
        return Fate(word, guilty)


def _usable(force: Enforced, fault: str | None) -> None:
    if fault := force.fault() or fault:
        raise Unusable(fault)
    if lost := force.counters().lost:
        raise Unusable(f"the middlebox had no time for {lost} packets")


async def _word(specimen: Specimen, place: Lab, page: Echo) -> str:
    async with AsyncExitStack() as stack:
        try:
            fields = await stack.enter_async_context(specimen.server().serve(place))
        except (EnvironmentUnfit, ProcessEnded, TimeoutError) as error:
            raise Unusable(f"the server did not start: {error}") from error
        except TunnelDown as down:  # of one whose client is there before we are
            return f"down: {down.fault}"
        try:
            tunnel = specimen.tunnel(fields)
            path: Path = await stack.enter_async_context(tunnel.up(place.client))
            await _proved(specimen, place, path, getattr(tunnel, "patience", PATIENCE))
        except TunnelDown as down:
            return f"down: {down.fault}"
        return await _used(specimen, place, path, page)


async def _proved(specimen: Specimen, place: Lab, path: Path, patience: float) -> None:
    """As a run does it: ready when an exchange went there and back."""
    asked = {}
    for transport in specimen.carries:
        echo = Echo(transport)
        asked[transport] = (echo, await place.serve(echo, f"proof-{transport}"))

    def exchange(transport: Transport):  # type: ignore[no-untyped-def]  # noqa: ANN202
        echo, target = asked[transport]
        return lambda: echo.script(target, Random(SEED))

    if Transport.UDP not in specimen.carries:
        await prove(path, exchange(Transport.TCP), patience)
    else:
        stream = exchange(Transport.TCP) if Transport.TCP in specimen.carries else None
        await prove(path, exchange(Transport.UDP), patience, stream)


async def _used(specimen: Specimen, place: Lab, path: Path, page: Echo) -> str:
    for transport, use, name in (
        (Transport.TCP, page, "stream"),
        (Transport.UDP, WhatsappCall(), "call"),
    ):
        if transport in specimen.carries:
            wrong = await _wrong(use, await place.serve(use, name), path)
            if wrong:
                return f"{name}: {wrong}"
    return WORKS[Transport.UDP in specimen.carries]


async def _wrong(use: Handshake, target: tuple[Address, ...], path: Path) -> str:
    """What went wrong with a use of a tunnel, "" for nothing."""
    played = await play(use.script(target, Random(SEED)), path)
    outcome: Outcome = unless_overloaded(played, use.listen.transport).outcome
    match outcome:
        case Success():
            return ""
        case Failure(stage, cause):
            return f"{stage} {_CAUSES.get(cause, cause)}"
        case Invalid("tunnel-down", fault):
            return f"down {fault}"
        case _:
            raise Unusable(str(outcome))
