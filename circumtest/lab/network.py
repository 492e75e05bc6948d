"""The lab's links as a policy's network has them: delayed, lossy, slow or small.

What is constant is the kernel's netem, where there is one.  Everything that is chance, and a rate,
is an emulator of our own (`circumtest.lab.emulator`) that asks `circumtest.impair.Impairment`, as
the simulator does: netem takes no seed before Linux 6.6, and never ours (decision 11).  The MTU is
the devices' own.  It refuses to run a network weaker than asked for.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from circumtest.censor.middlebox.netlink import counters
from circumtest.censor.policy import Conditions, Way
from circumtest.errors import EnvironmentUnfit
from circumtest.impair import ETHERNET, by_link, slowest, steady
from circumtest.lab.emulator import Held
from circumtest.lab.topology import Lab
from circumtest.netns import Netns
from circumtest.process import Daemon, ProcessEnded, daemon, program, run

TABLE = "circumtest-network"
FIRST_QUEUE = 2
"""Queues are numbered from this on; the censor's middlebox has the first one."""
READY = 10.0
# Neighbours and groups are the link's own affair: what they say never counts as a packet.
_NEIGHBOURS = ("fe80::/10", "ff00::/8")
_LIMIT = 100_000
"""Packets that netem holds: those that are on their way, none of which is to be lost."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """Where the packets of one direction of a link are held: a room, its device, on the way in/out.

    Always a router's end, and on the way in before anything else sees them: a sender whose own
    kernel held its packets would wait for them, and a receiver's would have stamped them before.
    """

    room: str
    device: str
    coming_in: bool


_HOLDS = {
    ("client", Way.UP): _Hold("censor", "client", coming_in=True),
    ("client", Way.DOWN): _Hold("censor", "client", coming_in=False),
    ("services", Way.UP): _Hold("backbone", "services", coming_in=False),
    ("services", Way.DOWN): _Hold("backbone", "services", coming_in=True),
    ("exit", Way.UP): _Hold("backbone", "exit", coming_in=False),
    ("exit", Way.DOWN): _Hold("backbone", "exit", coming_in=True),
}
_ENDS = {
    "client": (("client", "censor"), ("censor", "client")),
    "services": (("backbone", "services"), ("services", "backbone")),
    "exit": (("backbone", "exit"), ("exit", "backbone")),
}
"""Both ends of a cable: the room, and the name of the device in it."""


@dataclass(frozen=True)
class Emulated:
    """A process that has links of one room in its hands, by the numbers of its queues."""

    process: Daemon
    queues: tuple[int, ...]


class Network:
    """The network that is in force.  Without an emulator there is nothing that could break.

    `trip` is how many seconds a round trip may take by what was asked for.
    """

    def __init__(self, emulators: Sequence[Emulated], trip: float) -> None:
        self.emulators, self.trip = emulators, trip

    def fault(self) -> str | None:
        """Why nothing passes any more: an emulator has died.  None when none has."""
        for emulator in self.emulators:
            if not emulator.process.alive:
                return f"the network's emulator is gone: {emulator.process.post_mortem()}"
        return None

    def lost(self) -> int:
        """Packets that no seed wanted lost so far: an emulator was too slow for them."""
        return sum(
            told.lost
            for emulator in self.emulators
            for queue in emulator.queues
            if (told := counters(queue, emulator.process.pid))
        )


@asynccontextmanager
async def conditions(
    lab: Lab, network: Sequence[Conditions], seed: int = 0
) -> AsyncIterator[Network]:
    """Have `network` in force in `lab`; on exit the links are again as they were.

    The same seed gives the same losses, packet by packet.  Raises EnvironmentUnfit when this kernel
    can carry out neither netem nor queues, and nothing is in force then.
    """
    async with AsyncExitStack() as stack:
        held = []
        for asked in by_link(network).values():
            await _sized(stack, lab, asked)
            if not await _by_netem(stack, lab, asked):
                held += [(asked, way) for way in (Way.UP, Way.DOWN) if _is_any(asked)]
        emulators = [one async for one in _emulated(stack, lab, held, seed)]
        yield Network(emulators, slowest(network))


def _is_any(asked: Conditions) -> bool:
    return bool(asked.delay or asked.rate) or not steady(asked)


# ------------------------------------------------------------------ by the kernel


async def _sized(stack: AsyncExitStack, lab: Lab, asked: Conditions) -> None:
    if not asked.mtu:
        return
    for room, device in _ENDS[asked.link]:
        netns = lab.rooms[room]
        await netns.mtu(device, asked.mtu)
        stack.push_async_callback(netns.mtu, device, ETHERNET)


async def _by_netem(stack: AsyncExitStack, lab: Lab, asked: Conditions) -> bool:
    """Let netem delay what leaves by either end; whether it does all that is asked for."""
    if not asked.delay or asked.rate or not steady(asked):
        return False
    for room, device in _ENDS[asked.link]:
        netns, of_it = lab.rooms[room], ["dev", device, "root"]
        how = ["netem", "limit", str(_LIMIT), "delay", f"{round(asked.delay * 1e6)}us"]
        try:
            await run(netns, ["tc", "qdisc", "add", *of_it, *how])
        except (ProcessEnded, EnvironmentUnfit):
            return False  # the first one says so for both
        stack.push_async_callback(run, netns, ["tc", "qdisc", "del", *of_it])
    return True


# ------------------------------------------------------------------ by our own means


async def _emulated(
    stack: AsyncExitStack, lab: Lab, held: Sequence[tuple[Conditions, Way]], seed: int
) -> AsyncIterator[Emulated]:
    """A process a room, and the rules that hand it the packets once it is there."""
    rooms: dict[str, list[tuple[_Hold, Held]]] = {}
    for queue, (asked, way) in enumerate(held, FIRST_QUEUE):
        hold = _HOLDS[asked.link, way]
        rooms.setdefault(hold.room, []).append((hold, Held(queue, way, asked)))
    for room, links in rooms.items():
        netns = lab.rooms[room]
        told = msgspec.json.encode([one for _, one in links]).decode()
        argv = [sys.executable, "-m", "circumtest.lab.emulator", str(seed), told]
        process = await stack.enter_async_context(daemon(netns, argv, name="emulator"))
        try:
            await process.line("^ready$", READY)
        except (ProcessEnded, TimeoutError) as error:
            raise EnvironmentUnfit(
                f"this kernel gives no program its packets: {error}",
                "as root: modprobe nfnetlink_queue",
            ) from None
        taken = [(hold, one.queue) for hold, one in links]
        await _queued(stack, netns, taken)
        yield Emulated(process, tuple(queue for _, queue in taken))


async def _queued(stack: AsyncExitStack, netns: Netns, held: Sequence[tuple[_Hold, int]]) -> None:
    """Hand the packets over: by an nft queue where the kernel has it, or by iptables' NFQUEUE."""
    try:
        await run(netns, ["nft", "-f", "-"], input=ruleset(held).encode())
    except ProcessEnded:
        await _by_iptables(stack, netns, held)
        return
    stack.push_async_callback(run, netns, ["nft", "delete", "table", "inet", TABLE])


def ruleset(held: Iterable[tuple[_Hold, int]]) -> str:
    """The text for `nft -f -`.  A packet that nobody takes is dropped: never weaker."""
    hooks = {True: ("prerouting", -300, "iifname"), False: ("postrouting", -150, "oifname")}
    lines = [f"table inet {TABLE} {{"]
    for coming_in, (hook, priority, name) in hooks.items():
        lines += [
            f"  chain {hook} {{",
            f"    type filter hook {hook} priority {priority}; policy accept;",
            f"    ip6 daddr {{ {', '.join(_NEIGHBOURS)} }} return",
            *(
                f'    {name} "{hold.device}" queue num {queue}'
                for hold, queue in held
                if hold.coming_in is coming_in
            ),
            "  }",
        ]
    return "\n".join([*lines, "}"]) + "\n"


async def _by_iptables(
    stack: AsyncExitStack, netns: Netns, held: Iterable[tuple[_Hold, int]]
) -> None:
    for hold, queue in held:
        way = ["PREROUTING", "-i"] if hold.coming_in else ["POSTROUTING", "-o"]
        chain, flag = way
        table = "raw" if hold.coming_in else "mangle"
        for family in ("iptables", "ip6tables"):
            program(family)
            rule = [flag, hold.device, "-j", "NFQUEUE", "--queue-num", str(queue)]
            spared = [[flag, hold.device, "-d", one, "-j", "RETURN"] for one in _NEIGHBOURS]
            for one in [*(spared if family == "ip6tables" else []), rule]:
                await _rule(stack, netns, [family, "-w", "-t", table], chain, one)


async def _rule(
    stack: AsyncExitStack, netns: Netns, start: list[str], chain: str, rule: list[str]
) -> None:
    try:
        await run(netns, [*start, "-A", chain, *rule])
    except ProcessEnded as error:
        words = " ".join(error.words.split())[:300]
        raise EnvironmentUnfit(
            f"this kernel has neither netem for these links nor queues for us: {words}",
            "as root: modprobe -a nft_queue xt_NFQUEUE nfnetlink_queue",
        ) from None
    stack.push_async_callback(run, netns, [*start, "-D", chain, *rule])
