"""A mirror under fire, for some seconds; `scripts/bench mirror` does it for thirty."""

import asyncio
from pathlib import Path

from circumtest.model import Success
from tests.lab.fire import fire

GROWTH = 16 * 1024
"""KiB: what full tables take, however long it lasts."""


def test_under_fire_nothing_goes_back_and_calls_succeed(tmp_path: Path) -> None:
    """From strangers without number; who knows the token says hello in the midst of it."""
    seen = asyncio.run(fire(tmp_path, rate=5000, seconds=10.0))

    assert seen.sent > 10_000
    assert seen.back == 0
    assert seen.after - seen.before < GROWTH
    assert set(seen.calls) == {Success()}
