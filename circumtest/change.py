"""What changed between two runs, cell by cell: the values between comparing nights and showing.

It refuses to compute: `circumtest.nights` fills it, `circumtest.report` shows it.
"""

from enum import StrEnum

import msgspec

from circumtest.finding import Comparison, Outline
from circumtest.model import Cell


class ChangeKind(StrEnum):
    """What may be said of one cell in two runs."""

    REGRESSED = "regressed"
    RECOVERED = "recovered"
    UNCHANGED = "unchanged"
    NOISE = "noise"
    """Something differs, and not by more than chance: nothing is said."""
    NEW = "new"
    GONE = "gone"
    """Only one of the two runs has the cell, or has anything of it that counts."""


class Change(msgspec.Struct, frozen=True):
    """One cell in two runs; `p` is the smallest of its tests', `p_adjusted` Holm's over all looked
    at.  `why` says in words what differs, "" where nothing does."""

    cell: Cell
    kind: ChangeKind
    before: Comparison | None
    after: Comparison | None
    p: float | None = None
    p_adjusted: float | None = None
    why: str = ""


class Diff(msgspec.Struct, frozen=True):
    """All cells of two runs, in the plan's order, and what makes the comparison a weaker one."""

    before: Outline
    after: Outline
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
