"""What the recorder tells of rows of scores that a script picks a token's own from."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture
def costs_and_masses(child_module):
    return child_module("rows").costs_and_masses


LOGITS = torch.linspace(-3, 3, 512).repeat(4, 1)
PROBABILITIES, TARGETS = LOGITS.softmax(-1), torch.tensor([[5], [100], [200], [511]])


@pytest.mark.parametrize(
    ("scores", "mass"),
    [
        (PROBABILITIES, 1.0),
        (1.5 * PROBABILITIES, 1.5),
        (PROBABILITIES.log(), 1.0),
        (PROBABILITIES.log() + 0.5, 1.6487),
        (-PROBABILITIES.log(), None),
        (LOGITS, None),
    ],
    ids=["probabilities", "raised", "logarithms", "raised logarithms", "costs", "logits"],
)
def test_what_a_row_adds_up_to_is_told_where_it_holds_probabilities(costs_and_masses, scores, mass):
    _, masses = costs_and_masses(scores, scores.gather(-1, TARGETS))
    assert masses is None if mass is None else masses.tolist() == pytest.approx([mass] * 4, rel=1e-4)


@pytest.mark.parametrize("change", [lambda p: p, torch.log, lambda p: -p.log()], ids=["p", "log p", "-log p"])
def test_an_entry_costs_the_same_however_it_is_written(costs_and_masses, change):
    costs, _ = costs_and_masses(change(PROBABILITIES), change(PROBABILITIES).gather(-1, TARGETS))
    assert costs.tolist() == [pytest.approx(each) for each in (-PROBABILITIES.log().gather(-1, TARGETS)).tolist()]
