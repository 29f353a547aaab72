"""Following a printed score back to plain numbers, from events as a recorder sends them, without running anything."""

import math

import pytest

from auditor.run.judge import judge
from auditor.run.runner import Outcome
from auditor.run.trace import read_trace

PLACE = ["train_gpt.py", 7, "mix"]


def kept(values, number=0, **names):
    held = {name: list(numbers) for name, numbers in names.items()}
    return {"t": "kept", "id": number, "place": PLACE, "values": list(values), "names": held}


def line(bpb, loss=None):
    mean = "" if loss is None else f"val_loss:{loss:.8f} "
    return {"t": "line", "text": f"ppm_mix {mean}val_bpb:{bpb:.8f}"}


def series(world, *events):
    outcome = Outcome(events=events, failure=None, seconds=1.0, cpu_seconds=1.0, isolation="", log="")
    return judge(outcome, world).results[-1].series


def costs(count):
    return [3.0 + math.sin(each) for each in range(count)]


def test_nats_that_are_added_up_for_each_token_are_followed_and_placed_by_the_variable_that_holds_it(world):
    tokens = world.validation()
    values, num_bytes = costs(len(tokens) - 1), sum(world.count_bytes(tokens)[1:])
    nats = math.fsum(values)
    events = (
        kept(values, token=tokens[1:], i=range(len(values))),
        line(nats / math.log(2) / num_bytes, nats / len(values)),
    )
    found = series(world, *events)
    assert (found.unit, found.first, found.is_ordered, list(found.costs)) == ("tokens", 1, True, values)
    assert (found.index_of(40, world.spell(tokens)), found.position_of(39, world.spell(tokens))) == (39, 40)
    assert (found.place.line, found.place.function) == (7, "mix")


def test_logarithms_to_base_two_of_bytes_are_followed_with_their_sign_turned(world):
    tokens = world.validation()
    spelled = world.spell(tokens)
    stream = b"".join(spelled[1:])
    values = [-each for each in costs(len(stream))]
    found = series(world, kept(values, b=stream), line(-math.fsum(values) / len(stream)))
    assert (found.unit, found.is_ordered) == ("bytes", True)
    assert found.costs[0] == -values[0] * math.log(2)
    at = found.index_of(50, spelled)
    assert found.position_of(at, spelled) == 50
    assert found.position_of(at - 1, spelled) == 49


def test_numbers_in_an_order_of_their_own_add_up_but_are_not_placed(world):
    tokens = world.validation()
    values, num_bytes = costs(len(tokens) - 1), sum(world.count_bytes(tokens)[1:])
    score = line(math.fsum(values) / math.log(2) / num_bytes)
    assert not series(world, kept(values, token=tokens[:0:-1]), score).is_ordered
    assert not series(world, kept(values), score).is_ordered


def test_blocks_are_taken_together_and_those_of_other_places_and_before_the_last_score_are_not(world):
    tokens = world.validation()
    values, num_bytes = costs(len(tokens) - 1), sum(world.count_bytes(tokens)[1:])
    score = line(math.fsum(values) / math.log(2) / num_bytes)
    parts = [kept(values[:5000], token=tokens[1:5001]), kept([1.0] * 100, 1), kept(values[5000:], token=tokens[5001:])]
    assert series(world, *parts, score).is_ordered
    assert series(world, *parts, line(9.0), *parts, score).is_ordered
    assert series(world, *parts, kept([0.5]), score) is None


def test_a_score_that_no_numbers_add_up_to_has_none(world):
    tokens = world.validation()
    values = costs(len(tokens) - 1)
    assert series(world, kept(values, token=tokens[1:]), line(1.0)) is None
    few = math.fsum(values[:100]) / math.log(2) / sum(world.count_bytes(tokens)[1:101])
    assert series(world, kept(values[:100], token=tokens[1:101]), line(few)) is None


def test_a_token_is_spelled_with_as_many_bytes_as_it_counts(world):
    tokens = world.validation()
    assert [len(each) for each in world.spell(tokens)] == world.count_bytes(tokens)


@pytest.mark.parametrize(
    "event",
    [
        {"t": "kept", "id": 0, "values": [1.0], "names": []},
        {"t": "kept", "id": 0, "values": [1.0], "names": {"a": [1, 2]}},
        {"t": "kept", "id": 0, "values": [1.0], "names": {"a": ["x"]}},
        {"t": "kept", "values": [1.0], "names": {}},
    ],
)
def test_an_event_without_its_shape_is_refused(event):
    with pytest.raises(ValueError, match="event 0"):
        read_trace([event], 100)
