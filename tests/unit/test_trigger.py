"""What a call's variants at a mirror tell of what triggers its restriction."""

import pytest
from msgspec.structs import replace

from circumtest.compare import compare
from circumtest.finding import LIVE, MIRROR, Outline
from circumtest.model import Cause, Cell, Failure, Outcome, Role, Stage, Trial
from tests.unit.runs import CALL, MESSAGE, OK, SILENT, outline, trials

N = 12
ROWS = ("call~inverted", "call~random", "call~port")
DEAD = Failure(Stage.CONNECTIVITY, Cause.TIMEOUT)


def plan() -> Outline:
    """A call and its variants, through one tunnel."""
    variants = [
        replace(CALL, name=name, role=Role.CONTROL, messaging="", base="call", variant=variant)
        for name, variant in zip(ROWS, ("inverted", "random", "port"), strict=True)
    ]
    small = outline("wireguard", policies=(LIVE,))
    return replace(small, targets=(MIRROR,), handshakes=(CALL, *variants, MESSAGE))


def row(name: str, outside: Outcome, control: Outcome = OK) -> list[Trial]:
    """A row whose blocks are all alike; inside it works."""
    cell = Cell("wireguard", name, MIRROR, LIVE)
    return trials(cell, [outside] * N, [OK] * N, (control, OK))


@pytest.mark.parametrize(
    ("call", "masked", "port", "found"),
    [
        (SILENT, OK, OK, "triggered by content"),
        (SILENT, OK, SILENT, "triggered by content"),
        (SILENT, SILENT, OK, "by port"),
        (SILENT, SILENT, SILENT, "trigger not shown"),
        (OK, OK, OK, ""),
        (OK, SILENT, SILENT, ""),
    ],
)
def test_the_variants_tell_content_from_port(
    call: Outcome, masked: Outcome, port: Outcome, found: str
) -> None:
    """Nothing is said of a call that works."""
    said = compare(
        plan(),
        [
            *row("call", call),
            *row("call~inverted", masked),
            *row("call~random", masked),
            *row("call~port", port),
        ],
    )

    assert {one.cell.handshake: one.trigger for one in said.comparisons if one.trigger} == (
        {"call": found} if found else {}
    )


def test_where_nothing_at_all_reaches_a_mirror_that_answers_inside_it_is_the_destination() -> None:
    """Neither calls nor neutral packets, at any port; and no call is said to be restricted."""
    rows = [row(name, SILENT, DEAD) for name in ("call", *ROWS, "message")]
    said = compare(plan(), [one for each in rows for one in each])
    one = said.comparisons[0]

    assert (str(one.verdict), one.trigger) == ("inconclusive(environment)", "by destination")
    assert one.attribution is None


def test_it_is_not_the_destination_where_connections_pass() -> None:
    """Then all UDP is dropped, which says nothing of the place."""
    rows = [row(name, SILENT, DEAD) for name in ("call", *ROWS)]
    said = compare(plan(), [*(one for each in rows for one in each), *row("message", OK)])

    assert said.comparisons[0].trigger == ""


def test_it_is_not_the_destination_where_another_port_passes() -> None:
    """Then its neutral packets pass as well."""
    rows = [row(name, SILENT, DEAD) for name in ("call", *ROWS[:2])]
    said = compare(plan(), [*(one for each in rows for one in each), *row("call~port", OK)])

    assert said.comparisons[0].trigger == ""


def test_one_mask_alone_is_not_enough_to_blame_the_content() -> None:
    """Where the inverted one passes and the random one does not, something else is looked at."""
    said = compare(
        plan(),
        [*row("call", SILENT), *row("call~inverted", OK), *row("call~random", SILENT)],
    )

    assert said.comparisons[0].trigger == "trigger not shown"
