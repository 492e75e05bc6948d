"""The E-model against what its Recommendation prints, and the same formulas written anew."""

from dataclasses import replace
from math import exp, log10, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import emodel
from circumtest.emodel import (
    BURSTIEST,
    G711,
    G711_PLC,
    G729A_VAD,
    OPUS,
    Parameters,
    delay,
    equipment,
    late,
    mos,
    opinion,
    rating,
)


def test_the_defaults_give_the_rating_that_the_recommendation_prints() -> None:
    """G.107 Table 2: with all defaults R = 93.2, which is a MOS of 4.41."""
    assert round(rating(Parameters()), 1) == 93.2
    assert round(opinion(rating(Parameters())), 2) == 4.41


@pytest.mark.parametrize(
    ("r", "printed"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)]
)
def test_ratings_and_opinions_go_together_as_in_annex_b(r: float, printed: float) -> None:
    """Table B.1, whose 4.03 is 4.024 by the equation beside it."""
    assert opinion(r) == pytest.approx(printed, abs=0.007)


def test_the_opinion_stays_on_its_scale() -> None:
    """1 at the worst, where the cubic dips below, and 4.5 from R = 100 on."""
    assert [opinion(r) for r in (-20, 0, 3, 100, 120)] == [1, 1, 1, 4.5, 4.5]
    assert opinion(6.6) == pytest.approx(1.0, abs=0.01)


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_rating_is_never_a_lower_opinion(one: float, other: float) -> None:
    """Over the whole scale."""
    low, high = sorted((one, other))
    assert opinion(low) <= opinion(high) + 1e-12


# ------------------------------------------------------------------ the terms, derived once more


def by_hand(p: Parameters) -> tuple[float, float, float, float]:
    """Ro, Is, Id and Ie,eff, in the Recommendation's own letters and order, with nothing shared."""
    olr = p.slr + p.rlr
    nos = p.ps - p.slr - p.ds - 100 + 0.004 * (p.ps - olr - p.ds - 14) ** 2
    pre = p.pr + 10 * log10(1 + 10 ** ((10 - (p.stmr + p.dr)) / 10))
    nor = p.rlr - 121 + pre + 0.008 * (pre - 35) ** 2
    nfo = p.nfor + p.rlr
    no = 10 * log10(10 ** (p.nc / 10) + 10 ** (nos / 10) + 10 ** (nor / 10) + 10 ** (nfo / 10))
    ro = 15 - 1.5 * (p.slr + no)

    xolr = olr + 0.2 * (64 + no - p.rlr)
    iolr = 20 * ((1 + (xolr / 8) ** 8) ** (1 / 8) - xolr / 8)
    stmro = -10 * log10(10 ** (-p.stmr / 10) + exp(-p.t / 4) * 10 ** (-p.telr / 10))
    ist = (
        12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    q = 37 - 15 * log10(p.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q * q
    iq = 15 * log10(1 + 10 ** ((ro - 100) / 15 + 46 / 8.4 - g / 9) + 10 ** (46 / 30 - g / 40))

    roe = -1.5 * (no - p.rlr)
    terv = p.telr - 40 * log10((1 + p.t / 10) / (1 + p.t / 150)) + 6 * exp(-0.3 * p.t * p.t)
    if p.stmr < 9:
        terv += ist / 2
    re = 80 + 2.5 * (terv - 14)
    idte = ((roe - re) / 2 + sqrt((roe - re) ** 2 / 4 + 100) - 1) * (1 - exp(-p.t))
    idte = 0.0 if p.t < 1 else sqrt(idte * idte + ist * ist) if p.stmr > 20 else idte
    rle = 10.5 * (p.wepl + 7) * (p.tr + 1) ** (-1 / 4)
    idle = (ro - rle) / 2 + sqrt((ro - rle) ** 2 / 4 + 169)
    x = log10(p.ta / p.mt) / log10(2) if p.ta > p.mt else 0.0
    n = 6 * p.st
    idd = 25 * ((1 + x**n) ** (1 / n) - 3 * (1 + (x / 3) ** n) ** (1 / n) + 2)
    ie, bpl = p.codec.ie, p.codec.bpl
    return (
        ro,
        iolr + ist + iq,
        idte + idle + idd,
        ie + (95 - ie) * p.ppl / (p.ppl / p.burst_r + bpl),
    )


@given(
    t=st.floats(0, 500),
    stmr=st.floats(7, 25),
    telr=st.floats(20, 65),
    wepl=st.floats(20, 110),
    ppl=st.floats(0, 20),
    burst_r=st.floats(1, 8),
    qdu=st.floats(1, 14),
    ps=st.floats(35, 85),
    codec=st.sampled_from((G711, G711_PLC, G729A_VAD)),
)
def test_every_term_is_what_the_formulas_give_by_hand(codec: emodel.Codec, **given: float) -> None:
    """Over the ranges that Table 2 permits, echo and sidetone corrections included."""
    p = replace(Parameters(), codec=codec, tr=2 * given["t"], ta=given["t"], **given)
    ro, is_, id_, ie = by_hand(p)

    assert emodel.basic(p) == pytest.approx(ro)
    assert emodel.simultaneous(p) == pytest.approx(is_)
    assert delay(p) == pytest.approx(id_, abs=1e-9)
    assert equipment(p.codec, p.ppl, p.burst_r) == pytest.approx(ie)
    assert rating(p) == pytest.approx(ro - is_ - id_ - ie)


@pytest.mark.parametrize(
    ("ta", "idd"),
    [(0, 0.0), (100, 0.0), (150, 0.16), (200, 3.04), (300, 14.76), (400, 24.07), (500, 30.64)],
)
def test_delay_alone_hurts_from_a_tenth_of_a_second_on(ta: float, idd: float) -> None:
    """Equations 7-27 and 7-28 for round values: at 200 ms X is 1, so 25 (2^(1/6) - 3.0007 + 2)."""
    assert late(ta) == pytest.approx(idd, abs=0.006)


def test_losses_of_a_concealing_codec_by_hand() -> None:
    """2 % of G.711 with concealment: 95 * 2 / (2 + 25.1); in bursts twice as long, / (1 + 25.1)."""
    assert equipment(G711_PLC, 2.0) == pytest.approx(190 / 27.1)
    assert equipment(G711_PLC, 2.0, 2.0) == pytest.approx(190 / 26.1)
    assert equipment(G729A_VAD, 0.0) == 11.0


# ------------------------------------------------------------------ a call


def test_a_good_line_is_good_and_a_bad_one_is_bad() -> None:
    """The default line, 3.1 (R = 60), is crossed at about one packet lost in eight."""
    assert mos(0.0, 1.0, 0.03) > 4.3
    assert mos(0.10, 1.0, 0.03) > 3.1 > mos(0.14, 1.0, 0.03)
    assert mos(0.3, 1.0, 0.03) < 2.5
    assert mos(0.0, 1.0, 0.5) < 3.1


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 10), st.floats(0, 1))
def test_more_loss_longer_bursts_and_more_delay_are_never_better(
    one: float, other: float, ratio: float, delay_: float
) -> None:
    """In each of the three, all else equal; and no ratio beyond the permitted ones is heeded."""
    low, high = sorted((one, other))
    assert mos(low, ratio, delay_) >= mos(high, ratio, delay_) - 1e-9
    assert mos(low, 1.0, delay_) >= mos(low, ratio, delay_) - 1e-9
    assert mos(low, ratio, delay_) >= mos(low, ratio, delay_ + 0.1) - 0.02
    assert mos(low, BURSTIEST, delay_) == mos(low, BURSTIEST + ratio, delay_)
    assert 1.0 <= mos(low, ratio, delay_, OPUS) <= 4.5
