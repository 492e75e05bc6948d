"""A mirror under fire: what it sends back, what it remembers, whether calls still succeed."""

import asyncio
import ctypes
import os
import re
import signal
import socket
import struct
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from circumtest.mirror import rooms
from circumtest.mirror.client import hello
from circumtest.mirror.fitted import fitted
from circumtest.model import Level, Outcome
from circumtest.play import play
from circumtest.process import daemon
from tests.lab.mirrors import CLIENTS, HOSTS, PATIENCE, Town, town

KINDS = ("whatsapp-call", "turn", "discord-voice")
PORT = 3478
_SO_ATTACH_FILTER = 26
# ldh [12]; IPv4?; ldb [30]; 10?; all of it; nothing
_TO_FORGED = (
    (0x28, 0, 0, 12),
    (0x15, 0, 3, 0x0800),
    (0x30, 0, 0, 30),
    (0x15, 0, 1, 10),
    (0x06, 0, 0, 65535),
    (0x06, 0, 0, 0),
)


@dataclass(frozen=True)
class Figures:
    """What was seen: packets sent at it, and back; the calls.

    KiB of memory before the fire, in it when the calls were over, and after it.
    """

    sent: int
    seconds: float
    back: int
    before: int
    amid: int
    after: int
    calls: tuple[Outcome, ...]
    words: str


def resident(pid: int) -> int:
    """KiB of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def sniffer(it: Town) -> socket.socket:
    """A packet socket that hears what goes to forged addresses, and nothing else."""
    sock = it.client.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
    program = b"".join(struct.pack("HBBI", *line) for line in _TO_FORGED)
    held = ctypes.create_string_buffer(program)
    filled = struct.pack("HL", len(_TO_FORGED), ctypes.addressof(held))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filled)
    sock.bind(("wire", 0x0800))
    sock.setblocking(False)
    return sock


def heard(sock: socket.socket) -> int:
    """How many packets wait there."""
    found = 0
    while True:
        try:
            sock.recv(1)
        except BlockingIOError:
            return found
        found += 1


async def call(it: Town, kind: str) -> Outcome:
    """One call of that kind, as soon as hello was said."""
    part = next(one for one in rooms.parts(it.token.secret) if one.kind == kind)
    handshake, target = fitted(part.handshake, (HOSTS[4],), it.token.secret)
    quick = replace(handshake, level=Level.QUICK)  # type: ignore[type-var]
    return (await play(quick.script(target, Random(os.urandom(8))), it.path)).outcome


async def fire(folder: Path, rate: int, seconds: float) -> Figures:
    """Forge `rate` packets a second for that long, and call meanwhile."""
    async with town(folder) as it:
        await it.server.route("default", via=CLIENTS[4])
        await hello(it.path, it.token)
        await call(it, KINDS[0])  # what is made at the first call is there
        before = resident(it.process.pid)
        forger = [sys.executable, str(Path(__file__).with_name("forger.py"))]
        shots = [*forger, HOSTS[4], str(PORT), str(rate), str(seconds)]
        with sniffer(it) as ear:
            async with daemon(it.client, shots, name="forger") as forging:
                await forging.line("ready", PATIENCE)
                await hello(it.path, it.token)
                outcomes = await asyncio.gather(*(call(it, kind) for kind in KINDS))
                amid = resident(it.process.pid)
                said = await forging.line(r"sent \d+ in [\d.]+ s", seconds + PATIENCE)
            back = heard(ear)
        found = re.search(r"sent (\d+) in ([\d.]+) s", said)
        assert found is not None
        after = resident(it.process.pid)
        os.kill(it.process.pid, signal.SIGTERM)
        await it.process.ended()
        words = it.process.log[-600:]
    return Figures(
        int(found[1]), float(found[2]), back, before, amid, after, tuple(outcomes), words
    )
