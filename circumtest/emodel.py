"""The E-model of ITU-T G.107 (06/2015): what people would say of a call, from what became of it.

R is a sum of impairments on a scale from 0 to 100, MOS the mean opinion that goes with it, 1 to
4.5.  Everything that a call of packets does not tell (loudness, noise in the rooms, echo) has the
Recommendation's default.  It refuses to listen: what is computed is what planners expect, not what
anyone said, and two bad microphones are not known to it.
"""

from dataclasses import dataclass
from math import exp, log2, log10, sqrt

# ------------------------------------------------------------------ what is given


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as G.113 Appendix I knows it: Ie, the impairment without loss, and Bpl, robustness.

    `bpl` is in per cent of loss, both are on the scale of R.
    """

    ie: float
    bpl: float


G711 = Codec(0.0, 4.3)
"""Without concealment of losses; also the E-model's own default."""
G711_PLC = Codec(0.0, 25.1)
"""With the concealment of G.711 Appendix I, packets of 10 ms."""
G729A_VAD = Codec(11.0, 19.0)
G723_1_VAD = Codec(15.0, 16.1)
"""At 6.3 kbit/s."""
GSM_EFR = Codec(5.0, 10.0)

OPUS = G711_PLC
"""Nobody has tabulated Opus on this narrowband scale.  It does not sound worse than G.711 without
loss and it conceals losses, so the best tabulated codec stands for it; that the real one hides a
little more, with its own redundancy, would only raise the figures."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The E-model's inputs by their names in G.107 Table 2, with its defaults (R = 93.2).

    Loudness ratings and losses in dB, noises in dBm0p (`nfor` dBmp, rooms dB(A)), delays in ms,
    `ppl` in per cent.  `burst_r` is the mean length of bursts over what random loss would have.
    """

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    ds: float = 3.0
    dr: float = 3.0
    telr: float = 65.0
    wepl: float = 110.0
    t: float = 0.0
    tr: float = 0.0
    ta: float = 0.0
    st: float = 1.0
    mt: float = 100.0
    qdu: float = 1.0
    codec: Codec = G711
    ppl: float = 0.0
    burst_r: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0
    a: float = 0.0


# ------------------------------------------------------------------ the rating


def rating(p: Parameters) -> float:
    """R, equation 7-1: Ro - Is - Id - Ie,eff + A.  Below 0 where nothing is left of the call."""
    return basic(p) - simultaneous(p) - delay(p) - equipment(p.codec, p.ppl, p.burst_r) + p.a


def basic(p: Parameters) -> float:
    """Ro, the ratio of signal to noise: equation 7-2."""
    return 15 - 1.5 * (p.slr + _noise(p))


def _noise(p: Parameters) -> float:
    """No, all noises added up at the 0 dBr point: equations 7-3 to 7-7."""
    olr = p.slr + p.rlr
    sender = p.ps - p.slr - p.ds - 100 + 0.004 * (p.ps - olr - p.ds - 14) ** 2
    lstr = p.stmr + p.dr
    heard = p.pr + 10 * log10(1 + 10 ** ((10 - lstr) / 10))
    receiver = p.rlr - 121 + heard + 0.008 * (heard - 35) ** 2
    floor = p.nfor + p.rlr
    return 10 * log10(sum(10 ** (one / 10) for one in (p.nc, sender, receiver, floor)))


def simultaneous(p: Parameters) -> float:
    """Is, what comes with the voice itself: too loud, wrong sidetone, quantizing: 7-8 to 7-17."""
    x = p.slr + p.rlr + 0.2 * (64 + _noise(p) - p.rlr)
    loud = 20 * (_bend(x / 8, 8) - x / 8)
    q = 37 - 15 * log10(p.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (basic(p) - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return loud + _sidetone(p) + 15 * log10(1 + 10**y + 10**z)


def _sidetone(p: Parameters) -> float:
    """Ist: equations 7-10 and 7-11."""
    echo = exp(-p.t / 4) * 10 ** (-p.telr / 10)
    s = -10 * log10(10 ** (-p.stmr / 10) + echo)
    return (
        12 * _bend((s - 13) / 6, 8)
        - 28 * _bend((s + 1) / 19.4, 35)
        - 13 * _bend((s - 3) / 33, 13)
        + 29
    )


def delay(p: Parameters) -> float:
    """Id, what delay does: talker's echo, listener's echo, delay itself: 7-18 to 7-28."""
    return _talker_echo(p) + _listener_echo(p) + late(p.ta, p.st, p.mt)


def _talker_echo(p: Parameters) -> float:
    """Idte, with the corrections for a low (7-24) and a high (7-25) sidetone rating."""
    if p.t < 1:
        return 0.0
    terv = p.telr - 40 * log10((1 + p.t / 10) / (1 + p.t / 150)) + 6 * exp(-0.3 * p.t**2)
    if p.stmr < 9:
        terv += _sidetone(p) / 2
    gap = -1.5 * (_noise(p) - p.rlr) - (80 + 2.5 * (terv - 14))
    echo = (gap / 2 + sqrt(gap**2 / 4 + 100) - 1) * (1 - exp(-p.t))
    return sqrt(echo**2 + _sidetone(p) ** 2) if p.stmr > 20 else echo


def _listener_echo(p: Parameters) -> float:
    """Idle."""
    gap: float = basic(p) - 10.5 * (p.wepl + 7) * (p.tr + 1) ** -0.25
    return gap / 2 + sqrt(gap**2 / 4 + 169)


def late(ta: float, st: float = 1.0, mt: float = 100.0) -> float:
    """Idd, what a delay of `ta` ms from mouth to ear does to a call without any echo.

    Nothing up to `mt` ms; `st` is how sensitive those who talk are (equations 7-27 and 7-28).
    """
    if ta <= mt:
        return 0.0
    x, power = log2(ta / mt), 6 * st
    return 25 * (_bend(x, power) - 3 * _bend(x / 3, power) + 2)


def equipment(codec: Codec, ppl: float, burst_r: float = 1.0) -> float:
    """Ie,eff, what coding and losing do: equation 7-29, losses `ppl` in per cent.

    Table 2 permits up to 20 % and ratios from 1 to 8.  Beyond 20 % it is extrapolated here: towards
    the worst, monotonously, and a call that bad has failed already.
    """
    return codec.ie + (95 - codec.ie) * ppl / (ppl / burst_r + codec.bpl)


def _bend(x: float, power: float) -> float:
    """The Recommendation's smooth step, (1 + x^n)^(1/n), for x above -1."""
    return float((1 + x**power) ** (1 / power))


# ------------------------------------------------------------------ what people say


def opinion(r: float) -> float:
    """MOS from R, equation B-4: 1 for the worst, 4.5 for the best.

    The cubic dips a little below 1 for R under 6.5; the scale does not.
    """
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


BURSTIEST = 8.0
"""The largest burst ratio that Table 2 permits; the smallest is 1."""


def mos(lost: float, burst_ratio: float, one_way: float, codec: Codec = OPUS) -> float:
    """The opinion of one direction of a call.

    `lost` is a share from 0 to 1, `one_way` the seconds from mouth to ear.  Echo is what the
    default of 65 dB leaves of it, over the same way there and back.
    """
    ms = one_way * 1000
    ratio = min(max(burst_ratio, 1.0), BURSTIEST)
    return opinion(
        rating(Parameters(t=ms, ta=ms, tr=2 * ms, ppl=100 * lost, burst_r=ratio, codec=codec))
    )
