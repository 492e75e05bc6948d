"""The numbers are those of the papers and of scipy, and they keep their promises."""

from itertools import pairwise
from math import isclose
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from scipy import stats as scipy_stats

from circumtest.stats import (
    Pairs,
    anytime_p,
    e_value,
    fewest_pairs,
    holm,
    mcnemar,
    newcombe,
    pairs_needed,
    smallest_difference,
    wilson,
)

counts = st.integers(0, 40)
tables = st.builds(Pairs, counts, counts, counts, counts)

NEWCOMBE_I = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0, 0.1611),
    (1, 29): (0.0061, 0.1718),
}
"""Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3 (Wilson)."""

NEWCOMBE_II = {
    (36, 12, 2, 0): (0.0569, 0.3404),
    (20, 12, 2, 16): (0.0562, 0.3292),
    (18, 12, 2, 18): (0.0562, 0.3290),
    (36, 14, 0, 0): (0.1528, 0.4167),
    (35, 14, 0, 1): (0.1461, 0.4175),
    (18, 14, 0, 18): (0.1441, 0.3963),
    (2, 97, 1, 0): (0.8721, 0.9854),
    (1, 97, 1, 1): (0.8736, 0.9850),
    (0, 29, 1, 0): (0.6666, 0.9882),
    (2, 98, 0, 0): (0.9178, 0.9945),
    (1, 98, 0, 1): (0.9171, 0.9916),
    (0, 30, 0, 0): (0.8395, 1.0),
    (54, 0, 0, 0): (-0.0664, 0.0664),
    (53, 0, 0, 1): (-0.0729, 0.0729),
    (30, 0, 0, 24): (-0.0358, 0.0358),
    (29, 0, 0, 25): (-0.0354, 0.0354),
    (28, 0, 0, 26): (-0.0352, 0.0352),
    (27, 0, 0, 27): (-0.0351, 0.0351),
}
"""Newcombe 1998, Statistics in Medicine 17:2635-2650, table III, method 10: first minus second."""


@pytest.mark.parametrize(("counted", "limits"), NEWCOMBE_I.items())
def test_wilson_gives_the_published_limits(
    counted: tuple[int, int], limits: tuple[float, float]
) -> None:
    """Wilson's interval is the one of Newcombe's table, to its four decimals."""
    assert wilson(*counted)[1:] == pytest.approx(limits, abs=0.00006)


@given(st.integers(1, 300), st.data())
@settings(max_examples=60)
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    """Any count gives the limits that scipy gives."""
    k = data.draw(st.integers(0, n))
    theirs = scipy_stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    assert wilson(k, n)[1:] == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_of_nothing_knows_nothing() -> None:
    """No trials give the whole range and no division by zero."""
    assert wilson(0, 0)[1:] == (0.0, 1.0)


@pytest.mark.parametrize(("cells", "limits"), NEWCOMBE_II.items())
def test_newcombe_gives_the_published_limits(
    cells: tuple[int, int, int, int], limits: tuple[float, float]
) -> None:
    """Method 10 is the one of the paper's table III; one entry there is truncated, not rounded."""
    both, first, second, neither = cells
    mirrored = newcombe(Pairs(both, second, first, neither))
    assert mirrored[1:] == pytest.approx(limits, abs=0.0001)


def test_newcombe_gives_the_values_of_the_textbook() -> None:
    """Bentur's table (1, 1, 7, 12) gives the interval that Fagerland, Lydersen and Laake print."""
    one = newcombe(Pairs(1, 7, 1, 12))
    assert one.estimate == pytest.approx(-0.286, abs=0.0005)
    assert one[1:] == pytest.approx((-0.507, -0.026), abs=0.0005)


@given(tables)
def test_newcombe_contains_the_difference_and_turns_round(pairs: Pairs) -> None:
    """The interval holds its estimate, stays within -1 to 1, and mirrors when the arms swap."""
    one = newcombe(pairs)
    other = newcombe(Pairs(pairs.both, pairs.second, pairs.first, pairs.neither))
    assert -1 <= one.low <= one.estimate <= one.high <= 1
    assert one.low == pytest.approx(-other.high, abs=1e-12)


def test_newcombe_covers_what_it_says_it_covers() -> None:
    """Over 1500 seeded samples of 30 pairs the 95 % interval covers the truth in 93 to 98 %."""
    rng, covered = Random(1), 0
    weights = (0.2, 0.1, 0.5, 0.2)
    for _ in range(1500):
        drawn = rng.choices(range(4), weights, k=30)
        one = newcombe(Pairs(*(drawn.count(kind) for kind in range(4))))
        covered += one.low <= weights[2] - weights[1] <= one.high
    assert 0.93 <= covered / 1500 <= 0.98


@given(tables)
@settings(max_examples=60)
def test_mcnemar_is_the_binomial_test_on_the_discordant(pairs: Pairs) -> None:
    """The exact p is scipy's binomial test of a fair coin; concordant pairs say nothing."""
    n = pairs.first + pairs.second
    theirs = scipy_stats.binomtest(pairs.first, n).pvalue if n else 1.0
    assert mcnemar(pairs) == pytest.approx(theirs, rel=1e-9)


def test_holm_steps_down_in_the_order_given() -> None:
    """The textbook's four p values come out multiplied by 4, 3, 2, 1 and never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_helps_and_keeps_the_order(ps: list[float]) -> None:
    """No adjusted value is below its p or above Bonferroni's, and the order stays."""
    adjusted = holm(ps)
    assert all(p <= a <= min(1.0, p * len(ps)) for p, a in zip(ps, adjusted, strict=True))
    ordered = [a for _, a in sorted(zip(ps, adjusted, strict=True))]
    assert all(a <= b for a, b in pairwise(ordered))


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60)
def test_the_e_value_is_the_mixture_that_scipy_integrates(first: int, second: int) -> None:
    """The closed form is Beta(first + 1/2, second + 1/2) over Beta(1/2, 1/2) and a fair coin."""
    log = special.betaln(first + 0.5, second + 0.5) - special.betaln(0.5, 0.5)
    theirs = float(special.exp2((first + second) + log / float(special.log1p(1))))
    assert isclose(e_value(first, second), theirs, rel_tol=1e-9)


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_e_value_is_a_fair_bet(first: int, second: int) -> None:
    """Under a fair coin the next e-value is, on average, the present one: a martingale."""
    following = (e_value(first + 1, second) + e_value(first, second + 1)) / 2
    assert following == pytest.approx(e_value(first, second), rel=1e-9)


def test_looking_after_every_pair_costs_no_honesty() -> None:
    """Of 2000 fair coins looked at after each of 60 pairs, fewer than 5 % ever show p <= 0.05."""
    rng = Random(2)
    alarms = sum(anytime_p(rng.random() < 0.5 for _ in range(60)) <= 0.05 for _ in range(2000))
    assert alarms / 2000 < 0.05


@given(st.lists(st.booleans(), max_size=40), st.booleans())
def test_the_anytime_p_never_rises(wins: list[bool], one_more: bool) -> None:
    """What has been shown once stays shown, and no pairs at all show nothing."""
    assert anytime_p([]) == 1.0
    assert anytime_p([*wins, one_more]) <= anytime_p(wins) <= 1.0


@pytest.mark.parametrize("early", [False, True])
@given(alpha=st.floats(1e-6, 0.5))
@settings(max_examples=40)
def test_the_fewest_pairs_do_and_one_less_does_not(early: bool, alpha: float) -> None:
    """At the number given, pairs that all go one way are significant; at one less they are not."""

    def p(n: int) -> float:
        return anytime_p([True] * n) if early else mcnemar(Pairs(0, 0, n, 0))

    n = fewest_pairs(alpha, early=early)
    assert p(n) <= alpha * (1 + 1e-9)
    assert n == 1 or p(n - 1) > alpha * (1 - 1e-9)


def test_three_pairs_can_never_show_anything() -> None:
    """Six pairs are the least that an exact test at 5 % can do with; 12 show a half."""
    assert fewest_pairs(0.05, early=False) == 6
    assert smallest_difference(3, 0.05, early=False) is None
    assert smallest_difference(12, 0.05, early=False) == 0.5


def test_the_pairs_needed_are_enough_when_rates_stay() -> None:
    """3 of 4 discordant one way: the number named is significant once counted out."""
    assert pairs_needed(Pairs(1, 0, 3, 0), 0.05, early=False) == 8
    assert mcnemar(Pairs(2, 0, 6, 0)) <= 0.05
    assert pairs_needed(Pairs(4, 2, 2, 4), 0.05, early=False) is None
    assert pairs_needed(Pairs(0, 0, 0, 0), 0.05, early=True) is None
