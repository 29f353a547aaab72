"""The recorder's events as facts: losses by number, sums of them, reads of sums, printed lines, gradients.

Events come from a process that runs a stranger's code, so nothing in them is trusted to have the right shape; one that has
not is an error that names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from auditor.run.ranks import Event


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the script as it was executed: the file below the submission (or its name in Python), line, function."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Sum:
    """Losses that entered one sum: their numbers and values, in order; `at` is the event's number.

    `linked` is False for losses that left for where they could not be followed (numpy, lists) and may be summed there.
    `place` is where the script summed them.
    """

    at: int
    losses: Sequence[int]
    values: Sequence[float]
    linked: bool
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A number was read that the sums with these numbers went into; `place` is where the script read it."""

    at: int
    sums: frozenset[int]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Gradient:
    """Gradients of the losses of these validation positions were computed."""

    at: int
    positions: Sequence[int]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """An optimizer changed numbers under the influence of validation tokens; `is_free`: tensors that are no parameters."""

    at: int
    optimizer: str
    is_free: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of the data set was opened."""

    at: int
    path: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The script reached for something outside of itself: a connection, a process; `call` is the audit event's name."""

    at: int
    call: str
    what: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Numbers that one place of the script added up, appended or stored one by one.

    `names` are variables there that held a small whole number each time: those numbers.
    """

    at: int
    values: Sequence[float]
    names: Mapping[str, Sequence[int]]
    place: Place | None = None


@dataclass(slots=True)
class Trace:
    """Everything that one run told.

    Lists by loss number: `positions` in the validation stream; `values` in nats, as the model gave them; `rows` a
    checksum of the whole distribution, None if unknown; `masses` what it adds up to where the script made it; `scored_at`
    the event; `own` whether gradients of that very position had gone into the numbers that the loss was computed from,
    `own_in_weights` whether by parameters of a model; `with_gradient` whether autograd was on. `summed_in` is where the
    script sums a loss, by its number. `lines` are (event, text) of standard output. Lists by event number: `ranks`, who
    told it, and `epochs`, the collectives before it. `kept` are plain numbers, by rank and place.
    """

    positions: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rows: list[int | None] = field(default_factory=list)
    masses: list[float | None] = field(default_factory=list)
    scored_at: list[int] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)
    own_in_weights: list[bool] = field(default_factory=list)
    with_gradient: list[bool] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    sum_of: dict[int, int] = field(default_factory=dict)
    summed_in: dict[int, Place] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    kept: dict[tuple[int, int], list[Kept]] = field(default_factory=dict)
    num_unlocated: int = 0
    num_trained_unlocated: int = 0
    ranks: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    @property
    def num_ranks(self) -> int:
        """How many processes told something."""
        return max(self.ranks, default=0) + 1

    def precedes(self, first: int, second: int) -> bool:
        """Is it known that one event happened before another? Of two ranks only by a collective between them."""
        if self.ranks[first] == self.ranks[second]:
            return first < second
        return self.epochs[first] < self.epochs[second]

    def is_unordered(self, first: int, second: int) -> bool:
        """Is the order of two events unknown?"""
        return first != second and not self.precedes(first, second) and not self.precedes(second, first)

    def losses_of(self, sums: Iterable[int]) -> list[int]:
        """The numbers of the losses in some sums, in order of summing."""
        return [number for each in sums for number in self.sums[each].losses]

    def counted(self, sums: Iterable[int]) -> Iterator[tuple[int, float]]:
        """The losses in some sums, in order of summing: the number of each, and the value that was summed."""
        for each in sums:
            yield from zip(self.sums[each].losses, self.sums[each].values, strict=True)


def read_trace(events: Sequence[Event], num_positions: int) -> Trace:
    """The facts in a run's events on a stream of so many tokens. ValueError for an event that does not have its shape."""
    trace = Trace()
    for at, event in enumerate(events):
        try:
            trace.ranks.append(_whole(event.get("rank", 0)))
            trace.epochs.append(_whole(event.get("epoch", 0)))
            add = _ADDERS.get(str(event["t"]))
            if add is not None:
                add(trace, at, event)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"event {at} ({str(event)[:80]}): {type(error).__name__} {error}") from error
    trace.sums = _as_costs(trace.sums)
    outside = [position for position in trace.positions if not 0 <= position < num_positions]
    if outside:
        raise ValueError(f"a loss of position {outside[0]} in a stream of {num_positions} tokens")
    return trace


def _as_costs(sums: Sequence[Sum]) -> list[Sum]:
    """Sums with the values negated that the script sums as logarithms of probabilities.

    By line, not by value: what is called a probability may exceed one, and its cost is then below zero.
    """
    totals: defaultdict[object, float] = defaultdict(float)
    for each in sums:
        totals[each.place or each.at] += sum(each.values)
    return [
        replace(each, values=[-value for value in each.values]) if totals[each.place or each.at] < 0 else each
        for each in sums
    ]


def _add_losses(trace: Trace, at: int, event: Event) -> None:
    positions = [_whole(each) for each in _list(event["positions"])]
    own, in_weights = set(_list(event.get("own", []))), set(_list(event.get("own_in_weights", [])))
    if event["first"] != len(trace.positions):
        raise ValueError("its losses are not numbered on")
    values, rows = _floats(event["values"]), [_whole(each) for each in _list(event.get("rows", []))]
    masses = _floats(event.get("masses", []))
    if len(values) != len(positions) or any(each and len(each) != len(positions) for each in (rows, masses)):
        raise ValueError("its positions, values, rows and masses do not belong together")
    trace.positions += positions
    trace.values += values
    trace.rows += rows or [None] * len(positions)
    trace.masses += masses or [None] * len(positions)
    trace.scored_at += [at] * len(positions)
    trace.own += [index in own for index in range(len(positions))]
    trace.own_in_weights += [index in in_weights for index in range(len(positions))]
    trace.with_gradient += [bool(event["gradient"])] * len(positions)


def _add_sum(trace: Trace, at: int, event: Event) -> None:
    losses = list(_numbers(event["losses"]))
    values = _floats(event["values"])
    if len(losses) != len(values) or (losses and not 0 <= min(losses) <= max(losses) < len(trace.positions)):
        raise ValueError("its losses and values do not belong together")
    is_linked = event["t"] == "sum"
    if is_linked:
        trace.sum_of[_whole(event["id"])] = len(trace.sums)
    place = _place(event)
    trace.sums.append(Sum(at, losses, values, is_linked, place))
    if place is not None:
        trace.summed_in.update(dict.fromkeys(losses, place))


def _add_read(trace: Trace, at: int, event: Event) -> None:
    sums = frozenset(trace.sum_of[number] for number in _numbers(event["sums"]))
    trace.reads.append(Read(at, sums, _place(event)))


def _add_line(trace: Trace, at: int, event: Event) -> None:
    trace.lines.append((at, str(event["text"])))


def _add_gradient(trace: Trace, at: int, event: Event) -> None:
    trace.gradients.append(Gradient(at, list(_numbers(event["positions"])), _place(event)))


def _add_step(trace: Trace, at: int, event: Event) -> None:
    trace.steps.append(Step(at, str(event["optimizer"]), bool(event.get("free")), _place(event)))


def _add_opened(trace: Trace, at: int, event: Event) -> None:
    trace.opened.append(Opened(at, str(event["path"])))


def _add_contact(trace: Trace, at: int, event: Event) -> None:
    trace.contacts.append(Contact(at, str(event["call"]), str(event["what"])))


def _add_kept(trace: Trace, at: int, event: Event) -> None:
    values, names = _floats(event["values"]), event["names"]
    if not isinstance(names, dict):
        raise TypeError("no names")
    held = {str(name): [_whole(each) for each in _list(numbers)] for name, numbers in names.items()}
    if any(len(numbers) != len(values) for numbers in held.values()):
        raise ValueError("its values and variables do not belong together")
    trace.kept.setdefault((trace.ranks[at], _whole(event["id"])), []).append(Kept(at, values, held, _place(event)))


def _add_unlocated(trace: Trace, at: int, event: Event) -> None:
    count = _whole(event["count"])
    if not event["gradient"]:
        trace.num_unlocated += count
    elif "of" not in event:  # some of a batch are padding; a whole batch is data
        trace.num_trained_unlocated += count


_ADDERS: Mapping[str, Callable[[Trace, int, Event], None]] = {
    "losses": _add_losses,
    "sum": _add_sum,
    "leaves": _add_sum,
    "read": _add_read,
    "line": _add_line,
    "gradient": _add_gradient,
    "step": _add_step,
    "open": _add_opened,
    "system": _add_contact,
    "kept": _add_kept,
    "unlocated": _add_unlocated,
}


def _place(event: Event) -> Place | None:
    if event.get("place") is None:
        return None
    file, line, function = _list(event["place"])
    return Place(str(file), _whole(line), str(function))


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("no whole number")
    return value


def _floats(value: object) -> list[float]:
    return [float(each) for each in _list(value) if isinstance(each, int | float)]


def _numbers(ranges: object) -> Iterator[int]:
    """Numbers that were told as [first, count] pairs."""
    for pair in _list(ranges):
        first, count = _list(pair)
        yield from range(_whole(first), _whole(first) + _whole(count))
