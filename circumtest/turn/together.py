"""Several scripts at once, as a client asks several servers: no concurrency but turns.

Each is played until it waits, and then shown what arrives, as if it were alone; so each must take
what is not its own for nothing.  It refuses to let them open stages: those are the whole call's.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.script import Arrival, Recv, Script, now, recv

T = TypeVar("T")


def together(scripts: Sequence[Script[T]], linger: float) -> Script[list[T]]:
    """What the scripts gave, in the order in which they ended.

    Those that have not ended `linger` seconds after the first success are given up.  When all
    failed, raises the HandshakeFailed of one that was not merely silent, if there is any.
    """
    runs = [_Run(script) for script in scripts]
    done: list[T] = []
    until: float | None = None
    try:
        for run in runs:
            yield from run.resume(None, done)
        while waiting := [run for run in runs if run.until is not None]:
            if done and until is None:
                until = (yield from now()) + linger
            if until is not None and (yield from now()) >= until:
                break
            arrival = yield from recv(min(_times(waiting, until)))
            at = yield from now()
            for run in waiting:
                if arrival is not None or run.is_due(at):
                    yield from run.resume(arrival, done)
    finally:
        for run in runs:
            run.script.close()
    if not done:
        failures = [run.failure for run in runs if run.failure]
        raise min(failures, key=lambda failure: failure.cause is Cause.TIMEOUT)
    return done


class _Run(Generic[T]):
    """One script: how long it waits (None once it ended), and what it failed with."""

    def __init__(self, script: Script[T]) -> None:
        self.script = script
        self.until: float | None = None
        self.failure: HandshakeFailed | None = None

    def is_due(self, at: float) -> bool:
        return self.until is not None and at >= self.until

    def resume(self, reply: Arrival | None, done: list[T]) -> Script[None]:
        """Play it until it waits again or ends."""
        answer: object = reply
        self.until = None
        try:
            while not isinstance(command := self.script.send(answer), Recv):
                answer = yield command  # whatever it is, the player performs it
            self.until = command.until
        except StopIteration as end:
            done.append(end.value)
        except HandshakeFailed as failure:
            self.failure = failure


def _times(waiting: Sequence[_Run[T]], until: float | None) -> list[float]:
    times = [run.until for run in waiting if run.until is not None]
    return times if until is None else [*times, until]
