"""The book that a player keeps while a script runs; the simulator keeps the same one.

Times are the script's: seconds since the Unix epoch.  It refuses to judge.
"""

from circumtest.errors import HandshakeFailed
from circumtest.model import (
    Address,
    Failure,
    Media,
    Outcome,
    Record,
    Stage,
    StageRecord,
    Success,
)


class Observations:
    """What a player notes while a script runs; the simulator keeps the same book."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.stages: list[StageRecord] = []
        self.media: list[Media] = []
        self.exit: Address | None = None
        self.lag = 0.0
        self._open: tuple[Stage, float] | None = None

    def enter(self, stage: Stage, at: float) -> None:
        self._leave(at, passed=True)
        self._open = (stage, at)

    def note(self, what: Address | Media) -> None:
        if isinstance(what, Media):
            self.media.append(what)
        else:
            self.exit = what

    def late(self, seconds: float) -> None:
        self.lag = max(self.lag, seconds)

    def fail(self, error: HandshakeFailed, at: float) -> Outcome:
        """The failure, at the stage that was open.  A script enters a stage before it can fail."""
        if self._open is None:
            raise RuntimeError("script failed before its first stage") from error
        stage = self._open[0]
        self._leave(at, passed=False)
        return Failure(stage, error.cause, error.detail)

    def pass_(self, at: float) -> Outcome:
        self._leave(at, passed=True)
        return Success()

    def close(self, outcome: Outcome, at: float) -> Record:
        self._leave(at, passed=False)
        return Record(
            outcome,
            round(at - self.start, 6),
            tuple(self.stages),
            tuple(self.media),
            self.exit,
            round(self.lag, 6),
        )

    def _leave(self, at: float, *, passed: bool) -> None:
        if self._open is not None:
            stage, begun = self._open
            self.stages.append(
                StageRecord(stage, round(begun - self.start, 6), round(at - self.start, 6), passed)
            )
            self._open = None
