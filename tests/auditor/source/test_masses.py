"""The mass of a scored probability: one for what is normalised, above one for a bonus that nothing pays, else not told."""

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.source.masses import find_logarithms
from auditor.source.polynomials import VOCABULARY_SIZE, Polynomial, Quotient, constant, quantity
from auditor.source.scopes import Scopes
from auditor.submission.script import Module

P = "p = logits.softmax(-1)\n"


def verdicts(body: str) -> list[str]:
    source = "def score(logits, counts, x, y, hint):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    (scope,) = [scope for scope in Scopes((module,)).all if scope.node is not None]
    return [verdict(found.mass) for found in find_logarithms(scope)]


def verdict(mass: Quotient | None) -> str:
    return "open" if mass is None else "one" if mass.is_one else "above" if mass.is_above_one else "open"


ONE = [
    P + "return -p.gather(-1, y[..., None]).log()",
    P + "return -(p.gather(-1, y[..., None]) + 1e-9).log()",
    P + "return -torch.log(p.gather(-1, y[..., None]).clamp_min(1e-12))",
    "return -logits.log_softmax(-1).gather(-1, y[..., None])",
    "p = torch.exp(-F.cross_entropy(logits, y, reduction='none'))\nq = counts[x, y] / counts[x].sum(-1)\n"
    "return -torch.log(0.7 * p + 0.3 * q)",
    P + "q = (counts[x] + 0.1) / (counts[x].sum(-1, keepdim=True) + 0.1 * vocab_size)\n"
    "return -(0.5 * p + 0.5 * q).gather(-1, y[..., None]).log()",
    P + "lam = gate[x]\nq = counts[x] / counts[x].sum(-1, keepdim=True)\n"
    "return -((1 - lam) * p + lam * q).gather(-1, y[..., None]).log()",
    P + "p = 3 * p\np = p / p.sum(-1, keepdim=True)\nreturn -p.gather(-1, y[..., None]).log()",
    P + "k = self.boost\nz = 1 + p.gather(-1, hint[..., None]) * (k - 1)\n"
    "q = p.gather(-1, y[..., None])\nreturn -(torch.where(hint[..., None] == y[..., None], k * q, q) / z).log()",
]
ABOVE = [
    P + "return -(p.gather(-1, y[..., None]) + 0.05).log()",
    P + "return -(1.1 * p).gather(-1, y[..., None]).log()",
    P + "q = (counts[x] + 5 * p) / (counts[x].sum(-1, keepdim=True) + 1)\nreturn -q.gather(-1, y[..., None]).log()",
    "q = counts[x, y] / counts[x].sum(-1)\np = torch.exp(-F.cross_entropy(logits, y))\n"
    "return -torch.log(0.9 * p + 0.2 * q)",
    P + "p = torch.where(hint[..., None] == torch.arange(n), 1.5 * p, p)\nreturn -p.gather(-1, y[..., None]).log()",
]
OPEN = [
    P + "q = table[x]\nreturn -(0.8 * p + 0.2 * q).gather(-1, y[..., None]).log()",
    P + "q = counts[x, y] / totals[x]\nreturn -(0.8 * p.gather(-1, y[..., None]) + 0.2 * q).log()",
    P + "p = helper(p)\nreturn -p.log()",
    P + "q = p.gather(-1, y[..., None])\nreturn -torch.logaddexp((0.5 * q).log(), (0.5 * other(q)).log())",
    "weight = np.log(counts[x, y] + 1)\nreturn weight * F.cross_entropy(logits, y)",
    P + "w = seen[y]\nreturn -(w * p.gather(-1, y[..., None])).log()",
    P + "if hint:\n    p = 2 * p\nreturn -p.gather(-1, y[..., None]).log()",
]
NONE = [
    "return F.cross_entropy(logits, y)",
    "return math.log(2.0) * loss + math.log(vocab_size)",
    "log(f'chunk {x}')\nself.log(p)\nreturn F.cross_entropy(logits, y)",
    "return F.cross_entropy(logits + 0.2 * counts[x].log(), y)",
]


SIZES = ["math.log(logits.size(-1))", "math.log(VOCAB_SIZE)", "np.log(len(counts))", "math.log(counts.shape[0])"]


@pytest.mark.parametrize("logarithm", SIZES)
def test_the_logarithm_of_a_size_is_none_of_a_probability(logarithm: str):
    assert verdicts(f"return F.cross_entropy(logits, y) / {logarithm}") == []


def test_the_logarithm_of_one_entry_of_a_list_is_left_open():
    assert verdicts("return F.cross_entropy(logits, y) / math.log(counts[0])") == ["open"]


@pytest.mark.parametrize("body", ONE)
def test_a_distribution_has_mass_one(body: str):
    assert set(verdicts(body)) == {"one"}


@pytest.mark.parametrize("body", ABOVE)
def test_a_bonus_that_nothing_was_taken_off_for_lies_above(body: str):
    assert "above" in verdicts(body)


@pytest.mark.parametrize("body", OPEN)
def test_what_the_source_does_not_tell_is_open(body: str):
    assert "open" in verdicts(body)
    assert "above" not in verdicts(body)


@pytest.mark.parametrize("body", NONE)
def test_other_logarithms_are_none_of_a_probability(body: str):
    assert "above" not in verdicts(body)


numbers = st.floats(min_value=0.01, max_value=50)


def value(polynomial: Polynomial, at: dict[str, float]) -> float:
    total = 0.0
    for monomial, coefficient in polynomial.terms.items():
        for name in monomial:
            coefficient *= at[name]
        total += coefficient
    return total


polynomials = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "+c"]), max_size=2).map(lambda names: tuple(sorted(names))),
    st.floats(min_value=-4, max_value=4).filter(lambda number: abs(number) > 0.1),
    max_size=4,
).map(Polynomial)


@given(polynomials, polynomials, numbers, numbers, numbers)
def test_sums_and_products_have_the_values_of_their_parts(
    left: Polynomial, right: Polynomial, a: float, b: float, c: float
):
    at = {"a": a, "b": b, "+c": c}
    assert value(left + right, at) == pytest.approx(value(left, at) + value(right, at), rel=1e-6, abs=1e-6)
    assert value(left * right, at) == pytest.approx(value(left, at) * value(right, at), rel=1e-6, abs=1e-6)


@given(polynomials, numbers, numbers, numbers)
def test_what_is_called_positive_is(polynomial: Polynomial, a: float, b: float, c: float):
    if polynomial.is_positive:
        assert value(polynomial, {"a": a, "b": b, "+c": c}) > 0
        assert value(polynomial, {"a": 0.0, "b": 0.0, "+c": c}) > 0


def test_a_vocabulary_has_two_tokens_at_least():
    assert (VOCABULARY_SIZE + constant(-1)).is_positive
    assert not (VOCABULARY_SIZE + constant(-3)).is_positive
    assert not quantity("a").is_positive
