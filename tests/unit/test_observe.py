"""The book that players keep."""

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Failure, Stage, StageRecord, Success
from circumtest.observe import Observations


def test_entering_a_stage_passes_the_one_before() -> None:
    """Success of a later stage implies the earlier ones."""
    seen = Observations(100.0)
    seen.enter(Stage.ALLOCATE, 100.0)
    seen.enter(Stage.CONNECTIVITY, 101.5)
    record = seen.close(seen.pass_(102.0), 102.0)

    assert record.outcome == Success()
    assert record.stages == (
        StageRecord(Stage.ALLOCATE, 0.0, 1.5, True),
        StageRecord(Stage.CONNECTIVITY, 1.5, 2.0, True),
    )


def test_a_failure_is_told_at_the_stage_that_was_open() -> None:
    """That stage has not passed, and nothing after it was entered."""
    seen = Observations(0.0)
    seen.enter(Stage.BINDING, 0.0)
    record = seen.close(seen.fail(HandshakeFailed(Cause.TIMEOUT, "3 s"), 3.0), 3.0)

    assert record.outcome == Failure(Stage.BINDING, Cause.TIMEOUT, "3 s")
    assert record.stages == (StageRecord(Stage.BINDING, 0.0, 3.0, False),)


def test_a_script_that_fails_before_its_first_stage_is_a_bug() -> None:
    """There is no stage that the failure could be blamed on."""
    with pytest.raises(RuntimeError):
        Observations(0.0).fail(HandshakeFailed(Cause.TIMEOUT), 1.0)


def test_the_last_exit_and_the_longest_lag_are_kept() -> None:
    """An address and a delay each have one place in the record."""
    seen = Observations(0.0)
    seen.note(Address("192.0.2.1", 1))
    seen.late(0.2)
    seen.late(0.1)
    record = seen.close(Success(), 1.0)

    assert (record.exit, record.lag) == (Address("192.0.2.1", 1), 0.2)
