"""Quotients of polynomials in named quantities, as far as a sum of probabilities needs them: equality and definite sign.

Quantities are texts of the script. Some are known to be positive, and a maximum is known to be no more than the sum
that it belongs to; both are said in how they are made, so that ``is_positive`` needs to look at coefficients only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

Monomial = tuple[str, ...]

VOCABULARY = "V'"  # the vocabulary's size is two and something that is not negative
POSITIVE = "+"  # begins the name of a quantity that is never zero or less
_MAX_TERMS = 24  # ours: longer sums are given up
_SMALL = 1e-12
_GUARD = 1e-5  # ours: what is added to a probability below this is no bonus


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of products of quantities that are not negative, by their names."""

    terms: dict[Monomial, float] = field(default_factory=dict)

    def __add__(self, other: Polynomial) -> Polynomial:
        return _summed((*self.terms.items(), *other.terms.items()))

    def __mul__(self, other: Polynomial) -> Polynomial:
        pairs = product(self.terms.items(), other.terms.items())
        return _summed((tuple(sorted(first + second)), one * two) for (first, one), (second, two) in pairs)

    def __neg__(self) -> Polynomial:
        return Polynomial({monomial: -c for monomial, c in self.terms.items()})

    @property
    def names(self) -> frozenset[str]:
        """The quantities in it."""
        return frozenset(name for monomial in self.terms for name in monomial)

    @property
    def without_guards(self) -> Polynomial:
        """Without the terms that only keep a logarithm finite."""
        return Polynomial({monomial: c for monomial, c in self.terms.items() if abs(c) > _GUARD})

    @property
    def is_positive(self) -> bool:
        """Is it above zero whatever its quantities are? False where that is not certain."""
        is_strict = any(all(name.startswith(POSITIVE) for name in monomial) for monomial in self.terms)
        return is_strict and all(coefficient > 0 for coefficient in self.terms.values())


def _summed(terms: Iterable[tuple[Monomial, float]]) -> Polynomial:
    total: dict[Monomial, float] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0.0) + coefficient
    return Polynomial({monomial: c for monomial, c in total.items() if abs(c) > _SMALL})


def constant(number: float) -> Polynomial:
    """A number."""
    return Polynomial({(): float(number)} if abs(number) > _SMALL else {})


def quantity(name: str) -> Polynomial:
    """A quantity that is not negative."""
    return Polynomial({(name,): 1.0})


VOCABULARY_SIZE = constant(2) + quantity(VOCABULARY)


@dataclass(frozen=True, slots=True)
class Quotient:
    """One polynomial by another."""

    above: Polynomial
    below: Polynomial = field(default_factory=lambda: constant(1))

    def __add__(self, other: Quotient) -> Quotient:
        if self.below == other.below:
            return _reduced(self.above + other.above, self.below)
        return _reduced(self.above * other.below + other.above * self.below, self.below * other.below)

    def __sub__(self, other: Quotient) -> Quotient:
        return self + Quotient(-other.above, other.below)

    def __mul__(self, other: Quotient) -> Quotient:
        return _reduced(self.above * other.above, self.below * other.below)

    def __truediv__(self, other: Quotient) -> Quotient:
        return _reduced(self.above * other.below, self.below * other.above)

    @property
    def names(self) -> frozenset[str]:
        """The quantities in it."""
        return self.above.names | self.below.names

    @property
    def is_too_long(self) -> bool:
        """Is it longer than what is worth following?"""
        return len(self.above.terms) + len(self.below.terms) > _MAX_TERMS

    @property
    def is_one(self) -> bool:
        """Is it one whatever its quantities are?"""
        return not (self.above + -self.below).without_guards.terms

    @property
    def is_above_one(self) -> bool:
        """Is it above one whatever its quantities are?"""
        return (self.above + -self.below).without_guards.is_positive


def _reduced(above: Polynomial, below: Polynomial) -> Quotient:
    """The quotient; a number where one is a multiple of the other."""
    if below.terms and above.terms.keys() == below.terms.keys():
        ratios = [above.terms[monomial] / coefficient for monomial, coefficient in below.terms.items()]
        if max(ratios) - min(ratios) < _SMALL * max(map(abs, ratios)) + _SMALL:
            return Quotient(constant(ratios[0]))
    return Quotient(above, below)
