"""A mirror under fire, the whole of it: scripts/bench mirror [RATE [SECONDS]]."""

import asyncio
import sys
import tempfile
from pathlib import Path

from circumtest.model import Success
from tests.lab.fire import KINDS, fire


def main(rate: int = 10_000, seconds: float = 30.0) -> int:
    """Print the figures; 1 where something went back, or a call failed."""
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(fire(Path(folder), rate, seconds))
    print(
        f"forged        {seen.sent} packets in {seen.seconds} s: {seen.sent / seen.seconds:.0f}/s"
    )
    print(f"sent back     {seen.back} packets")
    print(f"memory        {seen.before} KiB before, {seen.amid} amid, {seen.after} after")
    for kind, outcome in zip(KINDS, seen.calls, strict=True):
        print(f"{kind:<14}{outcome}")
    print(seen.words)
    return int(seen.back > 0 or set(seen.calls) != {Success()})


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:])))
