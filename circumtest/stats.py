"""Intervals and tests for paired yes-or-no outcomes: numbers in, numbers out.

Formulas and sources are in `docs/methods.md`.  Everything is a closed form of a few terms, so the
standard library does; the tests hold every function against scipy and the published tables.  This
file refuses to know what a call is, and to decide anything.
"""

from collections.abc import Iterable, Sequence
from math import ceil, comb, exp, lgamma, log, log2, pi, sqrt
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95
ALPHA = 0.05
MOST_BLOCKS = 1000
"""Nobody runs more blocks than this: where they would not do, nothing is said about how many."""


class Interval(NamedTuple):
    """An estimate and its confidence limits, as proportions."""

    estimate: float
    low: float
    high: float


class Pairs(NamedTuple):
    """Paired outcomes counted: how often the first succeeded, the second, both, neither."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def n(self) -> int:
        return sum(self)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for a proportion (Wilson 1927).

    No trials know nothing: the whole range, and 0.5 for an estimate so that arithmetic goes on.
    """
    if n <= 0:
        return Interval(0.5, 0.0, 1.0)
    z, p = _z(confidence), successes / n
    middle = p + z * z / (2 * n)
    reach = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)
    return Interval(p, 0.0 if successes == 0 else low, 1.0 if successes == n else high)


def newcombe(pairs: Pairs, confidence: float = CONFIDENCE) -> Interval:
    """Second minus first rate, with Newcombe's interval for paired data (1998, part II, method 10).

    Wilson's limits of the two rates, squared and added, with the correlation between them: phi,
    whose positive part is corrected for continuity by half the number of pairs.
    """
    n = pairs.n
    if n == 0:
        return Interval(0.0, -1.0, 1.0)
    one = wilson(pairs.both + pairs.first, n, confidence)
    two = wilson(pairs.both + pairs.second, n, confidence)
    phi = _phi(pairs)
    difference = (pairs.second - pairs.first) / n
    below = _hypotenuse(two.estimate - two.low, one.high - one.estimate, phi)
    above = _hypotenuse(two.high - two.estimate, one.estimate - one.low, phi)
    return Interval(difference, max(-1.0, difference - below), min(1.0, difference + above))


def _phi(pairs: Pairs) -> float:
    both, first, second, neither = pairs
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - first * second)
    if cross > 0:
        cross = max(cross - pairs.n / 2, 0.0)
    return cross / sqrt(margins)


def _hypotenuse(a: float, b: float, phi: float) -> float:
    return sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))


def mcnemar(pairs: Pairs) -> float:
    """Exact two-sided p that both rates are equal: a fair coin over the discordant pairs."""
    n = pairs.first + pairs.second
    tail = sum(comb(n, k) for k in range(min(pairs.first, pairs.second) + 1))
    return min(1.0, 2 * tail / (1 << n))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given: each may be compared with alpha."""
    m, running = len(ps), 0.0
    adjusted = [0.0] * m
    for rank, index in enumerate(sorted(range(m), key=lambda i: ps[i])):
        running = max(running, min(1.0, (m - rank) * ps[index]))
        adjusted[index] = running
    return adjusted


# ------------------------------------------------------------------ looking early


def e_value(first: int, second: int) -> float:
    """Evidence against a fair coin after so many discordant pairs, in the order they came.

    A likelihood ratio: the coin's bias drawn from Jeffreys' Beta(1/2, 1/2), over a fair coin.  Its
    expectation under a fair coin is 1 at every number of pairs.
    """
    return exp(_log_e(first, second))


def _log_e(first: int, second: int) -> float:
    n = first + second
    beta = lgamma(first + 0.5) + lgamma(second + 0.5) - lgamma(n + 1)
    return beta - log(pi) + n * log(2)


def anytime_p(discordant: Iterable[bool]) -> float:
    """p that holds whenever one stops: 1 over the largest e-value so far (Ville's inequality).

    `discordant` are the discordant pairs in order of time, True where the second succeeded.
    """
    counts, largest = [0, 0], 0.0
    for won in discordant:
        counts[won] += 1
        largest = max(largest, _log_e(counts[0], counts[1]))
    return exp(-largest)


# ------------------------------------------------------------------ how much would do


def fewest_pairs(alpha: float, *, early: bool) -> int:
    """The fewest pairs that can show anything at `alpha`: each of them discordant, all one way."""
    if not early:
        return max(1, ceil(log2(2 / alpha) - 1e-12))
    n = 1
    while e_value(0, n) < 1 / alpha:
        n += 1
    return n


def smallest_difference(n: int, alpha: float, *, early: bool) -> float | None:
    """The smallest difference of rates that `n` pairs can show at `alpha`; None for none at all."""
    fewest = fewest_pairs(alpha, early=early)
    return fewest / n if fewest <= n else None


def pairs_needed(pairs: Pairs, alpha: float, *, early: bool) -> int | None:
    """How many pairs would show the difference at `alpha`, should rates stay as they are.

    None where the rates are equal or MOST_BLOCKS would not do.
    """
    if pairs.n == 0 or pairs.first == pairs.second:
        return None
    for n in range(1, MOST_BLOCKS + 1):
        first = round(pairs.first * n / pairs.n)
        second = round(pairs.second * n / pairs.n)
        p = exp(-_log_e(first, second)) if early else mcnemar(Pairs(0, first, second, 0))
        if p <= alpha:
            return n
    return None
