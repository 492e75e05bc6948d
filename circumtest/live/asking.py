"""One question played through a path: what it gave, how it failed, or that the path is at fault.

It refuses to interpret: scripts say what is an answer, and callers what the lack of one means.
"""

from typing import TypeVar

from circumtest.model import Failure, Invalid, Stage, Success
from circumtest.path import Path
from circumtest.play import play
from circumtest.script import Script, enter

T = TypeVar("T")


async def ask(path: Path, script: Script[T]) -> T | Failure | Invalid:
    """What a script gives that is played through `path`; Invalid as `play` has it."""
    found: list[T] = []

    def whole() -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        found.append((yield from script))

    outcome = (await play(whole(), path)).outcome
    if found:
        return found[0]
    if isinstance(outcome, Failure | Invalid):
        return outcome
    raise AssertionError(f"a script that gave nothing ended as {Success.__name__}: {outcome!r}")
