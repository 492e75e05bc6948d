"""Trials in, findings out."""

from random import Random

from circumtest.compare import compare, decided, exit_code, group
from circumtest.finding import VerdictKind
from circumtest.model import Cell, Trial
from tests.unit.runs import OK, SILENT, WRONG_EXIT, outline, trials

CELL = Cell("wireguard", "call", "lab", "ru")


def test_only_calls_through_real_tunnels_are_claims() -> None:
    """Messaging and controls are shown, and never corrected for."""
    plan = outline("none", "isolated", "wireguard")
    findings = compare(plan, trials(CELL, [SILENT] * 12, [OK] * 12))

    assert [one.cell for one in findings.comparisons if one.claim] == [CELL]


def test_messaging_is_told_beside_the_call_of_its_application() -> None:
    """Messages pass, calls do not: the signature of the restriction."""
    messages = Cell("wireguard", "message", "lab", "ru")
    played = [
        *trials(CELL, [SILENT] * 12, [OK] * 12),
        *trials(messages, [OK] * 12, [OK] * 12),
    ]
    found = compare(outline("wireguard"), played).comparisons[0]

    assert found.messaging == "message: outside works 12/12, inside works 12/12"


def test_exit_codes_tell_leaks_failures_and_doubt_apart() -> None:
    """6, 1, 3, 0: in that order."""

    def code(outside: list[Trial], *fail_on: str) -> int:
        return exit_code(compare(outline("wireguard"), outside), fail_on)

    works = trials(CELL, [SILENT] * 12, [OK] * 12)
    assert code(works) == 0
    assert code(works, "bypasses") == 1
    assert code(works, "breaks-calls") == 0
    assert code(trials(CELL, [SILENT] * 2, [OK] * 2)) == 3
    assert code(trials(CELL, [OK] * 12, [WRONG_EXIT] * 12)) == 6


def test_the_first_of_doubles_counts() -> None:
    """A line written twice changes nothing."""
    once = trials(CELL, [SILENT] * 12, [OK] * 12)
    twice = [*once, *trials(CELL, [OK] * 12, [SILENT] * 12)]

    assert group(once) == group(twice)


def test_a_plan_that_stops_early_stops_when_it_is_shown_and_not_before() -> None:
    """Looking early asks for more, not for less."""
    plan = outline("wireguard", blocks=40, early=True)

    def enough(blocks: int) -> bool:
        return decided(plan, CELL, group(trials(CELL, [SILENT] * blocks, [OK] * blocks))[CELL])

    assert not enough(4)
    assert enough(20)
    assert not decided(outline("wireguard"), CELL, group(trials(CELL, [OK], [OK]))[CELL])


def test_where_nothing_differs_hardly_a_run_claims_something() -> None:
    """Over a matrix of ten tunnels false claims of a difference stay below 5 % of the runs."""
    rng = Random(7)
    tunnels = [f"t{n}" for n in range(10)]
    wrong = 0
    for _ in range(100):
        played = []
        for tunnel in tunnels:
            arms = [[OK if rng.random() < 0.6 else SILENT for _ in range(12)] for _ in range(2)]
            played += trials(Cell(tunnel, "call", "lab", "ru"), arms[0], arms[1])
        kinds = {one.verdict.kind for one in compare(outline(*tunnels), played).comparisons}
        wrong += bool(kinds & {VerdictKind.BYPASSES, VerdictKind.BREAKS_CALLS})

    assert wrong <= 5
