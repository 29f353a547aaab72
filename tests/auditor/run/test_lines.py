"""Facts of reported lines from events as a recorder sends them, without running anything."""

import math

import pytest

from auditor.finding import Location
from auditor.run.facts import Via
from auditor.run.judge import judge
from auditor.run.lines import Lines
from auditor.run.runner import Outcome
from auditor.run.sequence import Picture, Sources, draw, spans_of
from auditor.timeline import Action

SOURCES = Sources(script="train_gpt.py", ran="train_gpt.py")


class Script:
    """Tells what a script of our own making would: losses of 2 nats each, summed, read and printed."""

    def __init__(self, world):
        self.world = world
        self.num_bytes = world.count_bytes(world.validation())
        self.events = []
        self.num_losses = self.num_sums = 0
        self.counted = []

    def score(self, positions, own=(), gradient=False, in_weights=()):
        first, values = self.num_losses, [2.0] * len(positions)
        self.events.append(
            {
                "t": "losses",
                "first": first,
                "positions": list(positions),
                "values": values,
                "own": list(own),
                "own_in_weights": list(in_weights),
                "gradient": gradient,
            }
        )
        place = ["train_gpt.py", 10, "evaluate"]
        held = {"losses": [[first, len(values)]], "values": values, "place": place}
        self.events.append({"t": "sum", "id": self.num_sums, **held})
        self.events.append({"t": "read", "value": sum(values), "sums": [[self.num_sums, 1]], "place": place})
        self.num_losses += len(values)
        self.num_sums += 1
        self.counted += positions

    def train(self, positions, *, step=True, free=False, line=20):
        place = ["train_gpt.py", line, "adapt"]
        self.events.append({"t": "gradient", "positions": [[each, 1] for each in positions], "place": place})
        if step:
            self.events.append({"t": "step", "optimizer": "SGD", "influence": len(positions), "free": free, "place": place})

    def report(self, label, factor=1.0):
        bpb = 2.0 * len(self.counted) / math.log(2) / sum(self.num_bytes[each] for each in self.counted) / factor
        self.events.append({"t": "line", "text": f"{label} val_loss:2.00000000 val_bpb:{bpb:.8f}"})
        self.counted = []

    def told(self, *labels):
        judgement = judge(
            Outcome(events=tuple(self.events), failure=None, seconds=1.0, cpu_seconds=1.0, isolation="", log=""), self.world
        )
        return Lines(judgement, self.world.validation(), frozenset(labels), SOURCES)


@pytest.fixture
def script(world):
    return Script(world)


def chunks(size=40, count=3):
    return [list(range(2 + size * index, 2 + size * (index + 1))) for index in range(count)]


def test_a_score_first_adaptation_is_told_chunk_by_chunk_with_the_order_of_events(script):
    for positions in chunks():
        script.score(positions, gradient=True)
        script.train(positions)
        script.train(positions)
    script.score([200, 201])
    script.report("final")
    (line,) = script.told("final").told()
    assert line.is_score_first
    assert line.is_headline
    assert [(each.first, each.last, each.num_positions, each.num_updates) for each in line.chunks] == [
        (2, 41, 40, 2),
        (42, 81, 40, 2),
        (82, 121, 40, 2),
    ]
    assert all(each.scored_at < each.trained_at and each.with_gradient for each in line.chunks)


def test_training_on_what_is_not_scored_yet_is_no_score_first_adaptation(script):
    first, second, third = chunks()
    script.score(first)
    script.train(first + second)
    script.score(second + third, own=range(40))
    script.report("final")
    (line,) = script.told().told()
    assert not line.is_score_first
    (offence,) = line.offences
    assert (offence.num_positions, offence.first, offence.via, offence.how) == (40, 42, Via.PARAMETERS, "SGD.step")
    assert offence.place == Location(path="train_gpt.py", line=20, symbol="adapt")


@pytest.mark.parametrize(
    ("kind", "via", "how"),
    [
        ({"free": True}, Via.FREE_TENSOR, "SGD.step"),
        ({"step": False}, Via.UNKNOWN, "a change without an optimizer"),
    ],
)
def test_what_carried_the_influence_is_told(script, kind, via, how):
    (positions,) = chunks(count=1)
    script.train(positions, **kind)
    script.score(positions, own=range(40))
    script.report("final")
    (offence,) = script.told().told()[0].offences
    assert (offence.via, offence.how, offence.place.line) == (via, how, 20)


def test_a_second_pass_over_what_a_score_first_pass_reported_is_told_from_training_before_any_score(script):
    for positions in chunks():
        script.score(positions)
        script.train(positions)
    script.score([200, 201])
    script.report("first")
    script.score([each for positions in chunks() for each in positions], own=range(120))
    script.report("again")
    first, again = script.told().told()
    assert first.offences == ()
    assert [each.again for each in again.offences] == [True]


@pytest.mark.parametrize(("in_weights", "expected"), [(range(120), [(Via.FREE_TENSOR, False), (Via.PARAMETERS, True)]),
                                                ((), [(Via.FREE_TENSOR, False)])])  # fmt: skip
def test_a_second_pass_on_the_weights_that_the_first_left_is_told_beneath_the_delta_fitted_in_it(
    script, in_weights, expected
):
    for positions in chunks():
        script.score(positions)
        script.train(positions)
    script.report("first")
    positions = [each for positions in chunks() for each in positions]
    script.train(positions, free=True, line=40)
    script.score(positions, own=range(120), in_weights=in_weights)
    script.report("final")
    line = script.told().told()[1]
    assert [(each.via, each.beneath) for each in line.offences[:2]] == expected
    assert line.num_early == 120
    assert {each.place.line for each in line.offences if each.beneath} <= {20}


def test_an_evaluation_that_was_over_before_training_began_does_not_excuse_the_next(script):
    (positions,) = chunks(count=1)
    script.score(positions)
    script.report("roundtrip")
    script.train(positions)
    script.score(positions, own=range(40))
    script.report("final")
    assert [each.again for each in script.told().told()[1].offences] == [False]


def test_training_of_which_nothing_reaches_a_score_is_counted_as_discarded(script):
    (positions,) = chunks(count=1)
    script.train(positions[:8])
    script.score(positions)
    script.report("final")
    lines = script.told()
    assert lines.told()[0].offences == ()
    assert lines.num_discarded() == 8


def test_a_line_printed_twice_is_one_score(script):
    (positions,) = chunks(count=1)
    script.score(positions)
    script.report("final")
    script.events.append({"t": "line", "text": script.events[-1]["text"].replace("final", "final_exact")})
    assert [line.repeats for line in script.told().told()] == [None, 0]


def test_a_wrong_byte_count_is_told_as_a_ratio_where_the_loss_can_be_followed(script, world):
    script.score(range(1, len(world.validation())))
    script.report("final", factor=1.17)
    (line,) = script.told().told()
    assert not line.is_reconciled
    assert line.byte_ratio == pytest.approx(1.17, rel=1e-6)


def test_training_shards_and_connections_are_told_with_their_place_in_the_order(script):
    def opened(name):
        script.events.append({"t": "open", "path": f"data/{name}.bin"})

    def system(call, what):
        script.events.append({"t": "system", "call": call, "what": what})

    opened("fineweb_train_000000")
    system("socket.getaddrinfo", "localhost")
    system("subprocess.Popen", "git rev-parse HEAD")
    system("subprocess.Popen", "/usr/bin/python -m pip install brotli")
    script.score(chunks(count=1)[0])
    opened("fineweb_train_000001")
    opened("fineweb_val_000000")
    system("socket.connect", "('192.0.2.1', 443)")
    script.report("final")
    lines = script.told()
    assert lines.training_reads() == ("fineweb_train_000001.bin",)
    assert [(each.what.split(":")[0], each.after_scoring) for each in lines.connections()] == [
        ("subprocess.Popen", False),
        ("socket.connect", True),
    ]


@pytest.mark.parametrize(
    ("command", "reaches_out"),
    [
        ("/usr/bin/python3 -m pip install -q brotli", True),
        ("git -C /work clone https://example.org/x", True),
        ("sh -c curl -s https://example.org", True),
        ("git -C /work rev-parse --short HEAD", False),
        ("/usr/bin/python3 -m pip freeze", False),
        ("nvidia-smi", False),
    ],
)
def test_a_command_that_asks_the_machine_about_itself_does_not_reach_for_the_network(script, command, reaches_out):
    script.events.append({"t": "system", "call": "subprocess.Popen", "what": command})
    script.score(chunks(count=1)[0])
    script.report("final")
    assert bool(script.told().connections()) is reaches_out


def drawn(script, label="final"):
    lines = script.told(label)
    labels = [line.label for line in lines.told()]
    picture = Picture(groups=lines.groups(), labels=labels, headline=labels.index(label), sources=SOURCES, size=lines.size)
    return draw(lines.trace, picture)


def test_a_picture_alternates_scores_and_training_and_marks_offences(script):
    first, second = chunks(count=2)
    script.score(first)
    script.train(first)
    script.score(second)
    script.train(first + second)
    script.score(first, own=range(40))
    script.report("final")
    steps = drawn(script).steps
    assert [step.action for step in steps] == [Action.SCORE, Action.TRAIN, Action.SCORE, Action.TRAIN, Action.SCORE]
    assert [step.offence for step in steps] == [False, False, False, False, True]
    assert steps[0].spans == ((2, 42),)
    assert steps[1].location.line == 20


def test_a_long_picture_is_joined_to_few_steps_that_keep_every_position(script):
    for index in range(200):
        script.score([2 + index])
        script.train([2 + index])
    script.score([300])
    script.report("final")
    timeline = drawn(script)
    assert len(timeline.steps) <= 61
    scored = {each for step in timeline.steps if step.action is Action.SCORE for a, b in step.spans for each in range(a, b)}
    assert scored == {*range(2, 202), 300}
    assert all(step.counted for step in timeline.steps if step.action is Action.SCORE)


def test_joining_never_puts_an_offence_before_its_cause(script):
    for index in range(150):
        script.train([2 + index])
        script.score([2 + index], own=[0])
    script.report("final")
    steps = drawn(script).steps
    trained = set()
    for step in steps:
        covered = {each for begin, end in step.spans for each in range(begin, end)}
        if step.action is Action.TRAIN:
            trained |= covered
        else:
            assert step.offence
            assert covered <= trained


def test_many_spans_lose_only_their_narrowest_gaps():
    positions = {each for start in range(0, 1000, 10) for each in range(start, start + 5)} | {5000}
    spans = spans_of(positions)
    assert len(spans) == 64
    assert spans[-1] == (5000, 5001)
    assert all(any(begin <= each < end for begin, end in spans) for each in positions)
