"""Judging events as a recorder sends them, without running anything."""

import math
from dataclasses import replace

import pytest

from auditor.run.judge import judge, judge_lines
from auditor.run.runner import Outcome
from auditor.run.trace import read_trace


def losses(first, positions, values, own=()):
    return {"t": "losses", "first": first, "positions": positions, "values": values, "own": list(own), "gradient": False}


def total(number, first, values):
    return {"t": "sum", "id": number, "losses": [[first, len(values)]], "values": values}


def line(text):
    return {"t": "line", "text": text}


def judged(world, *events):
    outcome = Outcome(events=events, failure=None, seconds=1.0, cpu_seconds=1.0, isolation="", log="")
    return judge(outcome, world)


def bpb(world, positions, values):
    num_bytes = world.count_bytes(world.validation())
    return sum(values) / math.log(2) / sum(num_bytes[position] for position in positions)


def test_a_line_is_made_of_the_sums_that_went_into_the_number_read_not_of_other_sums(world):
    positions, values = [1, 2, 3, 4], [2.0, 3.0, 4.0, 5.0]
    entropy = [0.5, 0.5, 0.5, 0.5]
    result = judged(
        world,
        losses(0, positions, values),
        total(0, 0, values),
        total(1, 0, entropy),
        {"t": "read", "value": 3.5, "sums": [[0, 1]]},
        line(f"final val_loss:3.5000 val_bpb:{bpb(world, positions, values):.6f}"),
    )
    (score,) = result.results
    assert score.sums == (0,)
    assert score.coverage.num_once == 4


def test_a_mixture_above_one_costs_less_than_nothing_whichever_sign_the_script_sums(world):
    positions, costs = [1, 2, 3], [2.0, -0.5, 3.0]
    printed = line(f"final val_loss:1.50000000 val_bpb:{bpb(world, positions, costs):.8f}")
    read = {"t": "read", "value": 4.5, "sums": [[0, 1]]}
    for sign in (1, -1):
        summed = total(0, 0, [sign * cost for cost in costs]) | {"place": ["train_gpt.py", 7, "evaluate"]}
        (score,) = judged(world, losses(0, positions, [2.0, 1.0, 3.0]), summed, read, printed).results
        assert score.recomputed_loss == pytest.approx(1.5)


def test_a_number_added_up_in_python_is_made_of_all_sums_read_since(world):
    values = [2.0, 3.0]
    result = judged(
        world,
        losses(0, [1, 2], values),
        total(0, 0, values),
        {"t": "read", "value": 5.0, "sums": [[0, 1]]},
        losses(2, [3, 4], [4.0, 5.0]),
        total(1, 2, [4.0, 5.0]),
        {"t": "read", "value": 9.0, "sums": [[1, 1]]},
        line(f"final val_loss:3.50000000 val_bpb:{bpb(world, [1, 2, 3, 4], [2.0, 3.0, 4.0, 5.0]):.8f}"),
    )
    assert result.results[0].sums == (0, 1)


def test_sums_of_the_evaluation_are_told_from_those_of_training_between_them_by_their_line(world):
    values = [2.0, 3.0, 4.0, 5.0]
    scoring, training = ["train.py", 10, "score"], ["train.py", 20, "learn"]
    result = judged(
        world,
        losses(0, [1, 2], values[:2]),
        total(0, 0, values[:2]) | {"place": scoring},
        losses(2, [1, 2], [1.5, 1.0]),
        total(1, 2, [1.5, 1.0]) | {"place": training},
        losses(4, [3, 4], values[2:]),
        total(2, 4, values[2:]) | {"place": scoring},
        line(f"final val_loss:3.50000000 val_bpb:{bpb(world, [1, 2, 3, 4], values):.8f}"),
    )
    assert result.results[0].sums == (0, 2)


def test_of_two_sets_of_sums_that_fit_the_one_that_counts_each_position_once_is_meant(world):
    values = [3.0, 3.0, 3.0, 3.0]
    score = bpb(world, [1, 2, 3, 4], values)
    result = judged(
        world,
        losses(0, [1, 2, 3, 4], values),
        total(0, 0, values) | {"place": ["train.py", 10, "score"]},
        losses(4, [1, 2, 3, 4], values),
        total(1, 4, values) | {"place": ["train.py", 20, "learn"]},
        {"t": "read", "value": 12.0, "sums": [[0, 2]]},
        line(f"final val_loss:3.00000000 val_bpb:{score:.8f}"),
    )
    assert result.results[0].sums in ((0,), (1,))


def test_a_score_with_another_byte_count_is_not_reconciled(world):
    values = [2.0, 3.0]
    wrong = bpb(world, [1, 2], values) * 1.01
    result = judged(
        world,
        losses(0, [1, 2], values),
        total(0, 0, values),
        {"t": "read", "value": 2.5, "sums": [[0, 1]]},
        line(f"final val_loss:2.5000 val_bpb:{wrong:.4f}"),
    )
    assert result.results[0].sums is None


def test_only_a_documents_beginning_trained_before_is_told_apart(world):
    tokens = world.validation()
    start = next(at for at, token in enumerate(tokens) if token == 1 and at > 0)
    values = [2.0, 3.0]
    result = judged(
        world,
        losses(0, [start, start + 1], values, own=[0]),
        total(0, 0, values),
        {"t": "read", "value": 2.5, "sums": [[0, 1]]},
        line(f"final val_loss:2.5000 val_bpb:{bpb(world, [start, start + 1], values):.6f}"),
    )
    assert (result.results[0].early, result.results[0].num_early_bos) == ((), 1)


@pytest.mark.parametrize(
    "event",
    [
        {"t": "losses", "first": 5, "positions": [1], "values": [1.0], "gradient": False},
        {"t": "losses", "first": 0, "positions": "x", "values": [1.0], "gradient": False},
        {"t": "losses", "first": 0, "positions": [10**9], "values": [1.0], "gradient": False},
        {"t": "losses", "first": 0, "positions": [-1], "values": [1.0], "gradient": False},
        {"t": "sum", "id": 0, "losses": [[0, 1]], "values": [1.0]},
        {"t": "read", "value": 1.0, "sums": [[7, 1]]},
        {"t": "gradient"},
        {},
    ],
)
def test_an_event_without_its_shape_is_refused(event):
    with pytest.raises(ValueError, match=r"event 0|a loss of position"):
        read_trace([event], 100)


def test_of_two_sums_that_fit_a_rounded_score_the_one_that_an_earlier_run_was_made_of_is_meant(world):
    positions, values, close = [1, 2, 3, 4], [2.0, 3.0, 4.0, 5.0], [2.00001, 3.0, 4.0, 5.0]
    events = (
        losses(0, positions, values),
        total(0, 0, values),
        {"t": "read", "value": 14.0, "sums": [[0, 1]]},
        losses(4, positions, close),
        total(1, 4, close),
        {"t": "read", "value": 14.00001, "sums": [[1, 1]]},
        line(f"final val_loss:3.500 val_bpb:{bpb(world, positions, values):.3f}"),
    )
    first = judged(world, *events)
    assert first.lines[0].sums == (1,)
    tokens = world.validation()
    meant = replace(first.lines[0], sums=(0,))
    assert [each.sums for each in judge_lines(first.trace, world, tokens, [meant])] == [(0,)]
    other = judged(world, *events[:-1], line("final val_loss:3.50000250 val_bpb:1.000"), *events[-1:])
    misfit = replace(first.lines[0], sums=(5,))
    assert [each.sums for each in judge_lines(other.trace, world, tokens, [misfit, misfit])][-1] == (1,)
