import math
from collections import Counter

import pytest

from auditor.run.streams import coded_stream, replace_after, replace_apart
from auditor.run.world import BOS_ID, GRAM


def test_a_suffix_is_replaced_in_the_order_of_evaluation_and_documents_keep_their_beginnings(world):
    tokens = world.validation()
    order = [*range(4000, len(tokens)), *range(1, 4000)]
    changed, replaced = replace_after(order, 1000, world)
    assert not replaced & set(order[:1000])
    for at, (old, new) in enumerate(zip(tokens, changed, strict=True)):
        assert (old != new) == (at in replaced)
        assert at in replaced or at == 0 or at in range(4000, 5000) or old == BOS_ID


def test_targets_are_replaced_far_apart(world):
    changed, replaced = replace_apart(range(1, 4000), world)
    assert max(replaced) < 4000
    assert min(two - one for one, two in zip(sorted(replaced), sorted(replaced)[1:], strict=False)) > 64
    assert sum(old != new for old, new in zip(world.validation(), changed, strict=True)) == len(replaced)


def test_costs_are_those_of_the_source_that_the_stream_is_drawn_from(world):
    tokens, costs = coded_stream(world)
    half, uniform = len(tokens) // 2, math.log(1020)
    assert [at for at, token in enumerate(tokens) if token == BOS_ID] == [
        at for at, token in enumerate(world.validation()) if token == BOS_ID
    ]
    assert all(
        cost == (0.0 if token == BOS_ID else pytest.approx(uniform))
        for token, cost in zip(tokens[: half + 1], costs, strict=False)
    )
    second = Counter(round(cost, 3) for cost in costs[half + 1 :])
    copied, others = second[round(-math.log(0.6 / 1020 + 0.4), 3)], second[round(-math.log(0.6 / 1020), 3)]
    assert copied / (copied + others) == pytest.approx(0.4, abs=0.02)


def test_other_training_data_shares_no_run_of_tokens_with_the_validation_stream(world):
    tokens = world.validation()
    grams = {tuple(tokens[at : at + GRAM]) for at in range(len(tokens) - GRAM + 1)}
    for shard in world.other_training():
        assert not grams & {tuple(shard[at : at + GRAM]) for at in range(len(shard) - GRAM + 1)}
