"""Statistics on a handful of seeds, in the standard library alone.

Why here: the audit installs without numpy or scipy, and the only test the contest uses is Welch's. Student's t survival
function is written with the regularised incomplete beta function, which is evaluated by its continued fraction
(modified Lentz); the result is good to about 1e-12 for the degrees of freedom that a few seeds give. Not covered: more
than two samples, corrections for choosing the best of many runs, and any test that is not one-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_TERMS = 500  # ours: the fraction converges in O(sqrt(max(a, b))) terms
_CLOSE = 1e-15  # ours: relative change at which the fraction is taken as converged
_TINY = 1e-300  # ours: keeps the Lentz recurrence from dividing by zero


@dataclass(frozen=True, slots=True)
class Sample:
    """Size, mean and variance of a sample. `variance` has n - 1 in its denominator; it is 0 for a single value."""

    size: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """The sample of `values`; ValueError if there are none."""
        if not values:
            raise ValueError("a sample needs at least one value")
        mean = math.fsum(values) / len(values)
        squares = math.fsum((value - mean) ** 2 for value in values)
        return cls(len(values), mean, squares / (len(values) - 1) if len(values) > 1 else 0.0)


@dataclass(frozen=True, slots=True)
class WelchResult:
    """Welch's t statistic, its degrees of freedom, and the one-sided p-value."""

    statistic: float
    degrees_of_freedom: float
    p_value: float


def welch_less(sample: Sample, reference: Sample, margin: float = 0.0) -> WelchResult:
    """One-sided Welch test that the mean of `sample` lies more than `margin` below that of `reference`.

    t = (reference.mean - sample.mean - margin) / sqrt(s1²/n1 + s2²/n2), with the Welch-Satterthwaite degrees of freedom
    (s1²/n1 + s2²/n2)² / ((s1²/n1)²/(n1 - 1) + (s2²/n2)²/(n2 - 1)); p = P(T > t) (Welch 1947, Biometrika 34).
    ValueError if a sample has fewer than two values. Two samples without any spread give p = 0, 0.5 or 1 by the sign of
    the difference.
    """
    if sample.size < 2 or reference.size < 2:
        raise ValueError("Welch's test needs at least two values in each sample")
    ours, theirs = sample.variance / sample.size, reference.variance / reference.size
    difference = reference.mean - sample.mean - margin
    if ours + theirs == 0.0:
        p_value = 0.5 if difference == 0.0 else float(difference < 0.0)
        statistic = math.copysign(math.inf, difference) if difference else 0.0
        return WelchResult(statistic, float(sample.size + reference.size - 2), p_value)
    degrees = (ours + theirs) ** 2 / (ours**2 / (sample.size - 1) + theirs**2 / (reference.size - 1))
    statistic = difference / math.sqrt(ours + theirs)
    return WelchResult(statistic, degrees, student_t_survival(statistic, degrees))


def student_t_survival(t: float, degrees_of_freedom: float) -> float:
    """P(T > t) for Student's t: for t >= 0, I_x(v/2, 1/2) / 2 with x = v / (v + t²) (Abramowitz & Stegun 26.7.1).

    Near t = 0 the mirrored form 1/2 - I_y(1/2, v/2) / 2 with y = t² / (v + t²) is used: 1 - x would lose the digits of t.
    """
    if degrees_of_freedom <= 0:
        raise ValueError(f"degrees of freedom must be positive, not {degrees_of_freedom}")
    v, square = degrees_of_freedom, t * t
    if square < v:
        upper = 0.5 - 0.5 * incomplete_beta(0.5, v / 2, square / (v + square))
    else:
        upper = 0.5 * incomplete_beta(v / 2, 0.5, v / (v + square))
    return upper if t >= 0 else 1.0 - upper


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1 (DLMF 8.17)."""
    if a <= 0 or b <= 0 or not 0.0 <= x <= 1.0:
        raise ValueError(f"I_x(a, b) needs a, b > 0 and 0 <= x <= 1, not a={a}, b={b}, x={x}")
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only below this point; DLMF 8.17.4
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of DLMF 8.17.22, by the modified Lentz method."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for coefficient in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + coefficient * d)
            c = _away_from_zero(1.0 + coefficient / c)
            change = c * d
            value *= change
        if abs(change - 1.0) < _CLOSE:
            return value
    raise ArithmeticError(f"the continued fraction of I_x({a}, {b}) at {x} did not converge")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
