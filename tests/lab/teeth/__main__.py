"""Plays every tunnel behind every named censor, or behind those that are named, and prints a table.

    python -m tests.lab.teeth [-n JOBS] [PROFILE...]

Run inside the sandbox, by `scripts/teeth`.  Exit 1 when something was not as the table has it; what
that was stands at the end, and as it is found on standard error.
"""

import argparse
import os
import platform
import sys
import time

from tests.lab.teeth.expected import PROFILES
from tests.lab.teeth.matrix import all_of, unexpected
from tests.lab.teeth.written import page


def main() -> int:
    """Play, print, judge."""
    asked = argparse.ArgumentParser(prog="scripts/teeth")
    asked.add_argument("-n", dest="jobs", type=int, default=3 * (os.cpu_count() or 1))
    asked.add_argument("profiles", nargs="*", default=PROFILES, metavar="PROFILE")
    given = asked.parse_args()
    if strange := set(given.profiles) - set(PROFILES):
        asked.error(f"no such profile: {', '.join(sorted(strange))}")
    begun = time.time()
    seen = all_of(list(given.profiles), given.jobs)
    minutes = (time.time() - begun) / 60
    day = time.strftime("%Y-%m-%d", time.gmtime())
    kernel = platform.release().partition("-")[0]
    made = (
        f"Made by `scripts/teeth` on {day} UTC, Linux {kernel}, {os.cpu_count()} cores,"
        f" {given.jobs} labs at a time, {minutes:.0f} minutes."
    )
    wrong = unexpected(seen)
    sys.stdout.write(page(seen, made, wrong) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
