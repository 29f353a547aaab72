"""Student's t and Welch's test against printed tables, closed forms and identities."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.stats import Sample, incomplete_beta, student_t_survival, welch_less

# Upper critical values of Student's t as printed in standard tables, to the last printed digit.
TABLE = [
    (1, 0.25, 1.000),
    (2, 0.25, 0.816),
    (3, 0.05, 2.353),
    (4, 0.01, 3.747),
    (5, 0.005, 4.032),
    (10, 0.10, 1.372),
    (30, 0.025, 2.042),
    (120, 0.005, 2.617),
]


@pytest.mark.parametrize(("degrees", "p", "critical"), TABLE)
def test_survival_agrees_with_printed_tables(degrees, p, critical):
    half_digit = 0.0005
    assert student_t_survival(critical + half_digit, degrees) < p < student_t_survival(critical - half_digit, degrees)


@given(st.floats(-1000, 1000))
def test_one_degree_of_freedom_is_cauchy(t):
    assert student_t_survival(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, abs=1e-13)


@given(st.floats(-100, 100))
def test_two_degrees_of_freedom_have_a_closed_form(t):
    assert student_t_survival(t, 2) == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)), abs=1e-13)


def test_many_degrees_of_freedom_approach_the_normal_distribution():
    assert student_t_survival(1.5, 1e6) == pytest.approx(0.5 * math.erfc(1.5 / math.sqrt(2)), abs=1e-6)


def test_infinite_t_leaves_nothing_above():
    assert student_t_survival(math.inf, 4) == 0.0
    assert student_t_survival(-math.inf, 4) == 1.0


@given(st.floats(-50, 50), st.floats(0.5, 60))
def test_survival_is_symmetric(t, degrees):
    assert student_t_survival(t, degrees) + student_t_survival(-t, degrees) == pytest.approx(1.0, abs=1e-12)


@given(st.floats(0.1, 40), st.floats(0.1, 40), st.floats(0.001, 0.999))
def test_incomplete_beta_recurrence(a, b, x):
    # DLMF 8.17.20: I_x(a, b) = I_x(a+1, b) + x^a (1-x)^b / (a B(a, b))
    log_term = a * math.log(x) + b * math.log1p(-x) - math.log(a) - math.lgamma(a) - math.lgamma(b) + math.lgamma(a + b)
    assert incomplete_beta(a, b, x) == pytest.approx(incomplete_beta(a + 1, b, x) + math.exp(log_term), abs=1e-11)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1))
def test_incomplete_beta_with_whole_parameters_is_a_binomial_tail(a, b, x):
    # DLMF 8.17.5
    n = a + b - 1
    tail = math.fsum(math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1))
    assert incomplete_beta(a, b, x) == pytest.approx(tail, abs=1e-12)


@pytest.mark.parametrize(("a", "b", "x"), [(0, 1, 0.5), (1, -1, 0.5), (1, 1, 1.5), (1, 1, -0.1)])
def test_incomplete_beta_rejects_what_is_undefined(a, b, x):
    with pytest.raises(ValueError, match="needs a, b > 0"):
        incomplete_beta(a, b, x)


def test_welch_on_a_worked_example():
    # s1²/n1 = s2²/n2 = 1/3: t = 2 / sqrt(2/3) = sqrt(6) and v = (2/3)² / (2 (1/3)² / 2) = 4 exactly. For v = 4,
    # P(T > t) = 1/2 - sin/2 (1 + cos²/2) with tan = t / sqrt(v) (A&S 26.7.4): here sin² = 0.6, cos² = 0.4.
    result = welch_less(Sample.of([1.0, 2.0, 3.0]), Sample.of([3.0, 4.0, 5.0]))
    assert result.statistic == pytest.approx(math.sqrt(6))
    assert result.degrees_of_freedom == pytest.approx(4.0)
    assert result.p_value == pytest.approx(0.5 - math.sqrt(0.6) / 2 * 1.2, abs=1e-13)


def test_welch_weighs_degrees_of_freedom_by_variance():
    noisy, quiet = Sample.of([1.0, 3.0, 5.0]), Sample.of([4.0, 4.1, 4.2, 4.1])
    degrees = welch_less(noisy, quiet).degrees_of_freedom
    assert 2.0 < degrees < 2.1  # the noisy sample of three decides


@given(st.lists(st.floats(0.9, 1.3), min_size=2, max_size=6), st.lists(st.floats(0.9, 1.3), min_size=2, max_size=6))
def test_welch_is_antisymmetric(first, second):
    one, other = Sample.of(first), Sample.of(second)
    assert welch_less(one, other).p_value + welch_less(other, one).p_value == pytest.approx(1.0, abs=1e-9)


@given(st.floats(0, 0.01), st.floats(0, 0.01))
def test_a_larger_margin_is_harder_to_show(small, large):
    low, high = sorted((small, large))
    sample, reference = Sample.of([1.05, 1.06, 1.055]), Sample.of([1.06, 1.07, 1.062])
    assert welch_less(sample, reference, low).p_value <= welch_less(sample, reference, high).p_value


@pytest.mark.parametrize(("ours", "p_value"), [(1.0, 0.0), (2.0, 0.5), (3.0, 1.0)])
def test_samples_without_spread_are_decided_by_their_means(ours, p_value):
    assert welch_less(Sample.of([ours, ours]), Sample.of([2.0, 2.0])).p_value == p_value


def test_one_value_is_no_sample_for_welch():
    with pytest.raises(ValueError, match="at least two values"):
        welch_less(Sample.of([1.0]), Sample.of([1.0, 2.0]))


def test_an_empty_sample_is_an_error():
    with pytest.raises(ValueError, match="at least one value"):
        Sample.of([])
