"""Events of two ranks as one sequence, and what can be told of their order, without running anything."""

import pytest

from auditor.run.judge import judge
from auditor.run.lines import Lines
from auditor.run.ranks import merge
from auditor.run.runner import Outcome
from auditor.run.sequence import Sources
from auditor.run.streams import independent_of, order_of
from auditor.run.trace import read_trace

OF_RANK_1 = 1 << 32


class Rank:
    """Tells what one rank would, with numbers of its own."""

    def __init__(self, first=0):
        self.events = []
        self.num_losses = self.num_sums = first

    def score(self, positions, own=()):
        values = [2.0] * len(positions)
        event = {"t": "losses", "first": self.num_losses, "positions": list(positions), "values": values}
        self.events.append(event | {"own": list(own), "gradient": False})
        self.events.append({"t": "sum", "id": self.num_sums, "losses": [[self.num_losses, len(values)]], "values": values})
        self.num_losses += len(values)
        self.num_sums += 1
        return self

    def train(self, positions):
        self.events.append({"t": "gradient", "positions": [[each, 1] for each in positions], "place": ["t.py", 9, "f"]})
        self.events.append({"t": "step", "optimizer": "SGD", "influence": 1, "place": ["t.py", 10, "f"]})
        return self

    def meet(self):
        self.events.append({"t": "collective"})
        return self

    def report(self, sums, world, positions):
        num_bytes = world.count_bytes(world.validation())
        bpb = 2.0 * len(positions) / 0.6931471805599453 / sum(num_bytes[each] for each in positions)
        self.events.append({"t": "read", "value": 2.0, "sums": [[each, 1] for each in sums]})
        self.events.append({"t": "line", "text": f"final val_loss:2.00000000 val_bpb:{bpb:.8f}"})
        return self


def told(world, *ranks):
    events = merge([rank.events for rank in ranks])
    judgement = judge(Outcome(events=events, failure=None, seconds=1.0, cpu_seconds=1.0, isolation="", log=""), world)
    return Lines(judgement, world.validation(), frozenset(), Sources(script="t.py", ran="t.py"))


def test_one_rank_is_left_as_it_is():
    events = Rank().score([1, 2]).train([1]).events
    assert merge([events]) == tuple(events)


def test_a_collective_separates_before_from_after_for_all_ranks_and_nothing_else_does():
    first, second = Rank().train([7]).meet().score([9]), Rank(OF_RANK_1).score([8]).meet().train([9])
    trace = read_trace(merge([first.events, second.events]), 100)
    gradients = {each.positions[0]: each.at for each in trace.gradients}
    score_of_8, score_of_9 = trace.scored_at[trace.positions.index(8)], trace.scored_at[trace.positions.index(9)]
    assert trace.precedes(gradients[7], score_of_9)
    assert trace.precedes(score_of_8, gradients[9])
    assert trace.is_unordered(gradients[7], score_of_8)
    assert trace.is_unordered(gradients[9], score_of_9)
    assert not trace.precedes(score_of_9, gradients[7])


def test_each_rank_keeps_its_own_order_and_losses_and_sums_are_numbered_anew():
    first, second = Rank().score([30, 31]).train([30]).score([32]), Rank(OF_RANK_1).score([10, 11]).score([12, 13])
    merged = merge([first.events, second.events])
    trace = read_trace(merged, 100)
    assert trace.positions == [10, 11, 12, 13, 30, 31, 32]  # where nothing is known, by position
    assert [list(each.losses) for each in trace.sums] == [[0, 1], [2, 3], [4, 5], [6]]
    for rank, own in enumerate((first, second)):
        assert [event["t"] for event in merged if event["rank"] == rank] == [event["t"] for event in own.events]


def test_a_score_that_rank_0_prints_is_made_of_the_sums_of_both_after_they_met(world):
    first, second = Rank().score([1, 2]).meet(), Rank(OF_RANK_1).score([3, 4]).meet()
    first.report([0, OF_RANK_1], world, [1, 2, 3, 4])
    lines = told(world, first, second)
    assert lines.results[0].coverage.num_once == 4
    assert [(each.num_scored, each.scored) for each in lines.ranks()] == [(2, ((1, 3),)), (2, ((3, 5),))]


def test_training_by_one_rank_is_before_a_score_by_another_only_if_they_met_between(world):
    first, second = Rank().train([3, 4]).meet().score([1, 2]), Rank(OF_RANK_1).meet().score([3, 4], own=[0, 1])
    lines = told(world, first.meet().report([0, OF_RANK_1], world, [1, 2, 3, 4]), second.meet())
    (offence,) = lines.told()[0].offences
    assert (offence.num_positions, offence.first) == (2, 3)
    assert lines.told()[0].num_unordered == 0


def test_an_order_that_nobody_knows_is_told_as_such_and_accuses_nobody(world):
    first, second = Rank().train([3, 4]).score([1, 2]), Rank(OF_RANK_1).score([3, 4])
    lines = told(world, first.meet().report([0, OF_RANK_1], world, [1, 2, 3, 4]), second.meet())
    (line,) = lines.told()
    assert (line.offences, line.num_unordered, lines.num_discarded()) == ((), 2, 0)


def test_what_another_rank_trained_on_before_a_meeting_and_nothing_reached_is_told_as_discarded(world):
    first, second = Rank().train([3, 4]).meet().score([1, 2]), Rank(OF_RANK_1).meet().score([3, 4])
    lines = told(world, first.meet().report([0, OF_RANK_1], world, [1, 2, 3, 4]), second.meet())
    assert (lines.told()[0].offences, lines.told()[0].num_unordered, lines.num_discarded()) == ((), 0, 2)


def test_a_chunk_that_ranks_share_is_score_first_whoever_is_ahead(world):
    first, second = Rank(), Rank(OF_RANK_1)
    for start in (1, 41, 81):
        first.score(range(start, start + 20)).train(range(start + 20, start + 40)).meet()
        second.score(range(start + 20, start + 40)).train(range(start, start + 20)).meet()
    first.score([121]).meet().report([0, 1, 2, 3, *range(OF_RANK_1, OF_RANK_1 + 3)], world, list(range(1, 122)))
    (line,) = told(world, first, second.meet()).told()
    assert line.is_score_first
    assert [(each.num_positions, each.num_unordered) for each in line.chunks] == [(40, 40)] * 3
    assert line.num_unordered == 120


def test_losses_that_may_depend_on_a_rank_that_is_behind_are_not_compared(world):
    first, second = Rank().score([1, 2, 5, 6]).meet(), Rank(OF_RANK_1).score([3, 4, 7, 8]).meet()
    lines = told(world, first.report([0, OF_RANK_1], world, [1, 2, 3, 4, 5, 6, 7, 8]), second)
    (line,) = lines.results
    assert order_of(lines.trace, line) == [1, 2, 5, 6, 3, 4, 7, 8]
    assert independent_of(lines.trace, line, {3, 7, 8}) == {1, 2, 3, 4, 7, 8}


@pytest.mark.parametrize(
    "event",
    [
        {"t": "losses", "first": "0", "positions": [1], "values": [1.0], "gradient": False},
        {"t": "losses", "first": 0, "values": [1.0], "gradient": False},
        {"t": "sum", "id": 0, "losses": [[7, 1]], "values": [1.0]},
        {"t": "sum", "id": 0, "losses": 7, "values": [1.0]},
        {"t": "read", "value": 1.0, "sums": [[7, 1]]},
        {"t": "read", "value": 1.0, "sums": [["a", 1]]},
    ],
)
def test_events_without_their_shape_are_refused(event):
    with pytest.raises(ValueError, match="2 ranks"):
        merge([[event], []])
