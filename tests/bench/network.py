"""The lab's delay, asked for against measured: scripts/bench network.

A bare echo behind the lab's links, datagrams at the beat of a call's sound, half of the round trip
asked for each way.  Beside each the floor, the same links without conditions a moment before.
"""

import asyncio
import socket
import sys
import time
from pathlib import Path

from circumtest import punctual
from circumtest.censor.policy import Conditions
from circumtest.lab.network import conditions
from circumtest.lab.topology import RESOLVER, Lab, lab
from circumtest.process import daemon
from tests.bench.calls import before_others

ASKED = (0.005, 0.02, 0.08, 0.2)
"""Round trips, in seconds."""
BEAT = 0.02
PINGS = 250
PORT = 9001
LINE, SHARE = 0.001, 0.02
"""The median is to be within so many seconds, or this share of what was asked for."""
PATIENCE = 30.0


async def trips(it: Lab) -> list[float]:
    """Round trips of as many datagrams as PINGS, sorted; one of 172 bytes every 20 ms."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    done = asyncio.Event()
    with it.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((RESOLVER[4], PORT))

        def heard() -> None:
            now = time.perf_counter_ns()
            took.append((now - int.from_bytes(sock.recv(2048)[:8], "big")) / 1e9)
            if len(took) == PINGS:
                done.set()

        def tick(number: int, due: float) -> None:
            sock.send(time.perf_counter_ns().to_bytes(8, "big") + bytes(164))
            if number < PINGS:
                loop.call_at(due + BEAT, tick, number + 1, due + BEAT)

        loop.add_reader(sock, heard)
        tick(1, loop.time())
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        loop.remove_reader(sock)
    return sorted(took)


def of(took: list[float], percent: int) -> float:
    """A percentile."""
    return took[(len(took) - 1) * percent // 100]


def line(asked: float, floor: list[float], took: list[float], by: str) -> tuple[str, bool]:
    """One row, and whether the median is where it should be."""
    middle = of(took, 50)
    holds = abs(middle - asked) <= max(LINE, SHARE * asked)
    numbers = [asked, *(of(took, percent) for percent in (0, 50, 95, 99)), of(floor, 50)]
    text = " ".join(f"{1000 * number:>8.2f}" for number in numbers)
    return f"{text} {middle / asked:>7.3f}  {by}{'' if holds else '  BROKEN'}", holds


async def main() -> int:
    """Print a row for each round trip; 1 when a median is not where it should be."""
    all_hold = True
    far = [sys.executable, str(Path(__file__).with_name("far.py")), str(PORT), RESOLVER[4]]
    async with lab() as it, daemon(it.services, far) as echo:
        await echo.line("ready", PATIENCE)
        first = before_others(0, echo.pid)
        print(f"measured {'' if first else 'not '}before others")
        print("round trips in milliseconds; the floor is the same links without conditions")
        print("   asked    least   median      p95      p99    floor   ratio  by")
        for asked in ASKED:
            floor = await trips(it)
            async with conditions(it, [Conditions(delay=asked / 2)]) as network:
                by = "our emulator" if network.emulators else "netem"
                text, holds = line(asked, floor, await trips(it), by)
            print(text, flush=True)
            all_hold &= holds
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(punctual.run(main()))
