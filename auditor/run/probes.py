"""Probes: the script is run again with something replaced, and what must not depend on it must not change.

None needs an idea of how an influence travels. Clock, seeds, paths and threads are fixed, so that runs are comparable bit
by bit; where something changed, one more run of the first stream tells influence from noise.

- *suffix*: tokens that a score counts after a cut are replaced (in the order of evaluation, not of the stream: documents
  may be scored in any order). Every loss before the cut must be the same, and so must the distribution at the first
  replaced token: it is made before that token is known.
- *target*: single tokens far apart are replaced by tokens of another kind. Whether a loss was corrected after the model
  gave it (a mixture, a bonus, a cache) must not depend on the token itself: a correction that is made for some tokens and
  not for others, known only with the token, is no distribution.
- *bound*: the whole stream is drawn from a known random source. No normalised prediction from the past codes it in fewer
  nats than the source's own; this holds for the printed number alone, wherever it was computed.
- *artifact*: trained on other data, but with the first run's files put in the place of what it wrote and reads back: all
  that is scored afterwards must follow the files.

Beside them, *mass* needs no second run: where a script makes probabilities itself, those of all that a token could have
been must add up to at most one.

Not covered: influence that does not reach a loss at toy scale, or reaches only so few tokens ahead that no cut meets it;
corrections that favour a class of tokens and are normalised over it look like gates; scripts that behave otherwise when
watched or when small.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from auditor.run.judge import ScoreLine, judge_lines
from auditor.run.ranks import Event
from auditor.run.series import Series
from auditor.run.session import Session
from auditor.run.streams import boundaries, coded_stream, cut_points, independent_of, order_of, replace_after, replace_apart
from auditor.run.trace import Place, Trace, read_trace

CUTS = (0.02, 0.5, 0.9)
KINDS = ("suffix", "target", "bound", "artifact")
_FEWEST = 3  # replaced tokens that a finding rests on
_DEVIATIONS = 5  # standard ones, of a number of rare events
_ABOVE_ONE = 0.05  # what a distribution adds up to; its logarithms rounded to bfloat16 stay below
_UNCORRECTED = 1e-5  # nats; rounding of float32 losses
_CHANCE_NATS = 40.0  # exp(-40): never by chance
_UNFOLLOWED_NATS = 0.01  # per token, where it is not known which tokens a printed mean counts
_MOST = 0.5  # of the losses before a cut, that can be compared
_SIDE_BY_SIDE = "ranks score side by side, so that most losses before the cut may depend on tokens after it"
_OTHER_LINES = "the second run has no such line that is made of losses likewise"
_NO_SERIES = "the second run's numbers do not add up to its score in the same way"
_MODEL_CHANGED = "the model's own losses before the cut changed too, so that an order of its own may be the reason"
_NO_ORDER = "no variable holds the tokens or bytes in turn, so which number belongs to which is not known"
OWN_DISTRIBUTION = "the distribution that a replaced token is scored with is another one"
_NOT_REPEATED = "the script does not repeat itself on the same stream either"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One reported line under one probe. Something was found if `num_changed` is positive.

    suffix: `num_compared` losses are counted before the first replaced token, `num_changed` of them differ or are of
    another distribution; `first_changed` is the position of the first, `first_replaced` that of the first replaced token
    in the line's order, which counts as changed if its distribution is another one; `largest_change` is in nats. target:
    of so many replaced tokens, for how many it depends on the token whether its loss was corrected, or else of how many
    the distribution is another one, though that of the token before is not. mass: of so many losses, how many were picked
    from what adds up to more than one; `largest_change` is the excess. bound: tokens, all of them changed if they cost
    less than they can; `largest_change` is what was saved, in nats per token. artifact: losses that were scored after the
    files were put back. `problem` says why nothing could be compared, `detail` what was found, in words.
    """

    cut: float
    text: str
    probe: str = "suffix"
    num_compared: int = 0
    num_changed: int = 0
    first_changed: int | None = None
    first_replaced: int | None = None
    largest_change: float = 0.0
    problem: str | None = None
    detail: str | None = None

    @property
    def is_own_distribution(self) -> bool:
        """Did nothing change but the distributions that replaced tokens themselves are scored with?"""
        return self.detail == OWN_DISTRIBUTION


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: its facts and its reported lines."""

    trace: Trace
    lines: Sequence[ScoreLine]
    events: Sequence[Event] = ()


class Prober:
    """Runs a script again and compares. `headline` decides what is replaced."""

    def __init__(self, session: Session, trace: Trace, lines: Sequence[ScoreLine], headline: ScoreLine) -> None:
        self.session = session
        self.headline = headline
        self.first = _Run(trace, lines)
        self.order = order_of(trace, headline)
        if not self.order and headline.series is not None:
            self.order = list(range(headline.series.first, len(session.world.validation())))
        self._unsteady: set[str] | None = None

    def suffix(self, cuts: Sequence[float] = CUTS) -> Iterator[Comparison]:
        """Each line under each cut; none where no loss behind the headline is known."""
        if not self.order:
            return
        points = cut_points(len(self.order), boundaries(self.first.trace, self.headline), cuts)
        for cut, num_kept in zip(cuts, points, strict=True):
            tokens, replaced = replace_after(self.order, num_kept, self.session.world)
            second = self._run(tokens)
            for line, twin in self._pairs(second):
                if isinstance(twin, str):
                    yield Comparison(cut=cut, text=line.metric.text, problem=twin)
                else:
                    assert isinstance(second, _Run)
                    yield self._steady(_compare_prefix(self.first.trace, line, second.trace, twin, replaced, cut))
            if isinstance(second, _Run):
                yield from (self._steady(found) for found in self._compare_series(second, min(replaced), cut))

    def _compare_series(self, second: _Run, replaced: int, cut: float) -> Iterator[Comparison]:
        """Each line that is made of plain numbers: those before the first replaced position."""
        spelled = self.session.world.spell(self.session.world.validation())
        for line, twin in zip(_results(self.first.lines), _results(second.lines), strict=False):
            if line.series is None:
                continue
            if twin.series is None or twin.metric.label != line.metric.label:
                yield Comparison(cut=cut, text=line.metric.text, problem=_NO_SERIES)
            elif _losses_until(self.first.trace, line, replaced) != _losses_until(second.trace, twin, replaced):
                yield Comparison(cut=cut, text=line.metric.text, problem=_MODEL_CHANGED)
            else:
                yield _compare_costs(line.metric.text, line.series, twin.series, replaced, spelled, cut)

    def target(self) -> Iterator[Comparison]:
        """Whether corrections depend on the very token, for each line; none where no loss behind the headline is known."""
        if not self.order:
            return
        tokens, replaced = replace_apart(self.order, self.session.world)
        second = self._run(tokens)
        for line, twin in self._pairs(second):
            if isinstance(twin, str):
                yield Comparison(cut=0.0, text=line.metric.text, probe="target", problem=twin)
            elif line.sums is not None:
                assert isinstance(second, _Run)
                yield self._steady(_compare_corrections(self.first.trace, line, second.trace, twin, replaced))

    def bound(self) -> Iterator[Comparison]:
        """Each line's score on a stream whose least cost is known."""
        tokens, costs = coded_stream(self.session.world)
        second = self._run(tokens)
        if isinstance(second, str):
            yield Comparison(cut=0.0, text=self.headline.metric.text, probe="bound", problem=second)
            return
        num_bytes = sum(self.session.world.count_bytes(tokens))
        for line, twin in zip(_results(self.first.lines), _results(second.lines), strict=False):
            if twin.metric.label != line.metric.label:
                yield Comparison(cut=0.0, text=line.metric.text, probe="bound", problem=_OTHER_LINES)
            else:  # the same line has other numbers on it
                yield replace(_compare_bound(second.trace, twin, costs, num_bytes), text=line.metric.text)

    def artifact(self) -> Iterator[Comparison]:
        """Each line that is scored after files were read back: those of the first run, after training on other data."""
        with tempfile.TemporaryDirectory(prefix="pgolf-made-") as folder:
            again = self._run(None, collect=Path(folder))
            self._note_unsteady(again)
            second: _Run | str = "it writes no file that it could read back"
            if any(Path(folder).iterdir()):
                second = self._run(None, training=self.session.world.other_training(), swap=Path(folder))
        if isinstance(second, _Run) and not any(event.get("t") == "swapped" for event in second.events):
            second = "it reads back none of the files that it writes"
        for line, twin in self._pairs(second):
            if isinstance(twin, str):
                yield Comparison(cut=0.0, text=line.metric.text, probe="artifact", problem=twin)
                continue
            assert isinstance(second, _Run)
            last = max(at for at, event in enumerate(second.events) if event.get("t") == "swapped")
            if all(second.trace.scored_at[loss] > last for loss in second.trace.losses_of(twin.behind)):
                found = _compare_prefix(self.first.trace, line, second.trace, twin, set(), 0.0)
                yield self._steady(replace(found, probe="artifact"))

    def _run(self, tokens: Sequence[int] | None, *, training: Sequence[Sequence[int]] | None = None,
             collect: Path | None = None, swap: Path | None = None) -> _Run | str:  # fmt: skip
        outcome = self.session.run(tokens, training=training, collect=collect, swap=swap)
        if outcome.failure is not None:
            return f"the second run: {outcome.failure}"
        tokens = self.session.world.validation() if tokens is None else tokens
        trace = read_trace(outcome.events, len(tokens))
        lines = tuple(judge_lines(trace, self.session.world, tokens, self.first.lines))
        return _Run(trace, lines, outcome.events)

    def _pairs(self, second: _Run | str) -> Iterator[tuple[ScoreLine, ScoreLine | str]]:
        """Each result of the first run that losses are known of, with the same line of the second or why there is none."""
        for index, line in enumerate(self.first.lines):
            if not line.behind or line.metric.progress:
                continue
            if isinstance(second, str):
                yield line, second
                continue
            twin = second.lines[index] if index < len(second.lines) else None
            fits = (
                twin is not None
                and twin.metric.label == line.metric.label
                and (twin.sums is None) == (line.sums is None)
                and _places(second.trace, twin) == _places(self.first.trace, line)
            )
            yield line, twin if twin is not None and fits else _OTHER_LINES

    def _steady(self, found: Comparison) -> Comparison:
        """What was found, unless the script does not repeat itself: then nothing is."""
        if not found.num_changed:
            return found
        if self._unsteady is None:
            self._note_unsteady(self._run(None))
        assert self._unsteady is not None
        if found.text not in self._unsteady:
            return found
        return Comparison(cut=found.cut, text=found.text, probe=found.probe, problem=_NOT_REPEATED)

    def _note_unsteady(self, again: _Run | str) -> None:
        self._unsteady = {line.metric.text for line, twin in self._pairs(again) if self._differs(line, twin, again)}
        if isinstance(again, _Run):
            end = len(self.session.world.validation())
            found = self._compare_series(again, end, 0.0)
            self._unsteady |= {each.text for each in found if each.num_changed or each.problem is not None}

    def _differs(self, line: ScoreLine, twin: ScoreLine | str, again: _Run | str) -> bool:
        if isinstance(twin, str) or isinstance(again, str):
            return True
        found = _compare_prefix(self.first.trace, line, again.trace, twin, set(), 0.0)
        return found.num_changed > 0 or found.problem is not None


def probe(session: Session, trace: Trace, lines: Sequence[ScoreLine], headline: ScoreLine, kinds: Sequence[str] = KINDS,
          cuts: Sequence[float] = CUTS) -> Iterator[Comparison]:  # fmt: skip
    """Every probe that is asked for. ValueError for one that there is not."""
    prober = Prober(session, trace, lines, headline)
    probes = {"suffix": lambda: prober.suffix(cuts), "target": prober.target, "bound": prober.bound,
              "artifact": prober.artifact}  # fmt: skip
    for kind in kinds:
        if kind not in probes:
            raise ValueError(f"probe {kind!r}: there are {', '.join(KINDS)}")
        yield from probes[kind]()


def compare_masses(trace: Trace, lines: Sequence[ScoreLine]) -> Iterator[Comparison]:
    """Whether what each line's losses were picked from adds up to more than one; only where the script made it."""
    yield from (found for line in _results(lines) if (found := _compare_masses(trace, line)).num_compared)


def _results(lines: Sequence[ScoreLine]) -> Iterator[ScoreLine]:
    yield from (line for line in lines if not line.metric.progress)


def _scored(trace: Trace, line: ScoreLine) -> dict[int, list[tuple[float, int | None]]]:
    """For each position that a line counts its losses as counted, with the checksums of their distributions."""
    found: dict[int, list[tuple[float, int | None]]] = {}
    for number in line.behind:
        for loss, value in zip(trace.sums[number].losses, trace.sums[number].values, strict=True):
            found.setdefault(trace.positions[loss], []).append((value, trace.rows[loss]))
    return found


def _compare_prefix(trace: Trace, line: ScoreLine, other: Trace, twin: ScoreLine, replaced: set[int],
                    cut: float) -> Comparison:  # fmt: skip
    first, second = _scored(trace, line), _scored(other, twin)
    order, independent = order_of(trace, line), independent_of(trace, line, replaced)
    stop = next((index for index, position in enumerate(order) if position in replaced), len(order))
    before = [position for position in order[:stop] if position in independent]
    if len(before) < stop * _MOST:
        return Comparison(cut=cut, text=line.metric.text, problem=_SIDE_BY_SIDE)
    changed = [position for position in before if first[position] != second.get(position)]
    largest = max((_distance(first[each], second.get(each, [])) for each in changed), default=0.0)
    if math.isinf(largest):
        return Comparison(cut=cut, text=line.metric.text, problem="the second run counts other losses in this line")
    stopped = order[stop] if stop < len(order) and order[stop] in independent else None
    detail = None
    if not changed and stopped is not None and _rows(first[stopped]) != _rows(second.get(stopped, [])):
        changed, detail = [stopped], OWN_DISTRIBUTION
    return Comparison(
        cut=cut,
        text=line.metric.text,
        num_compared=len(before),
        num_changed=len(changed),
        first_changed=changed[0] if changed else None,
        first_replaced=stopped,
        largest_change=largest,
        detail=detail,
    )


def _places(trace: Trace, line: ScoreLine) -> set[Place | None]:
    """Where the script sums what a line is made of."""
    return {trace.sums[number].place for number in line.sums or ()}


def _losses_until(trace: Trace, line: ScoreLine, position: int) -> dict[int, list[float]]:
    """The losses before a position that plain numbers may be made of: they left, or were summed without autograd."""
    found: dict[int, list[float]] = {}
    left = set(line.behind)
    for number, each in enumerate(trace.sums):
        for loss in each.losses if each.at < line.at else ():
            at = trace.positions[loss]
            if at < position and (number in left or not trace.with_gradient[loss]):
                found.setdefault(at, []).append(trace.values[loss])
    return found


def _compare_costs(text: str, first: Series, second: Series, replaced: int, spelled: Sequence[bytes],
                   cut: float) -> Comparison:  # fmt: skip
    if not (first.is_ordered and second.is_ordered) or (first.unit, first.first) != (second.unit, second.first):
        return Comparison(cut=cut, text=text, problem=_NO_ORDER)
    pairs = list(zip(first.costs, second.costs, strict=False))[: first.index_of(replaced, spelled)]
    changed = [index for index, (one, other) in enumerate(pairs) if one != other]
    return Comparison(
        cut=cut,
        text=text,
        num_compared=len(pairs),
        num_changed=len(changed),
        first_changed=first.position_of(changed[0], spelled) if changed else None,
        first_replaced=replaced,
        largest_change=max((abs(pairs[index][0] - pairs[index][1]) for index in changed), default=0.0),
        detail=f"of the numbers that the script adds up, one for each of its {first.unit}" if changed else None,
    )


def _rows(scored: Sequence[tuple[float, int | None]]) -> list[int | None]:
    return [row for _, row in scored]


def _distance(first: Sequence[tuple[float, object]], second: Sequence[tuple[float, object]]) -> float:
    if len(first) != len(second):
        return float("inf")
    return max(abs(one - other) for (one, _), (other, _) in zip(first, second, strict=True))


def _compare_corrections(trace: Trace, line: ScoreLine, other: Trace, twin: ScoreLine, replaced: set[int]) -> Comparison:
    first, second = _corrected(trace, line), _corrected(other, twin)
    both = first.keys() & second.keys()
    asked = [position for position in order_of(trace, line) if position in both & replaced]
    changed = _telling(asked, {position for position in both if first[position] != second[position]}, both)
    detail = "whether a loss is corrected depends on the token that it is the loss of"
    if not changed:
        changed, detail = _other_distributions(trace, line, other, twin, asked), OWN_DISTRIBUTION
    return Comparison(
        cut=0.0,
        text=line.metric.text,
        probe="target",
        num_compared=len(asked),
        num_changed=len(changed),
        first_changed=changed[0] if changed else None,
        first_replaced=asked[0] if asked else None,
        detail=detail if changed else None,
    )


def _telling(asked: Sequence[int], changed: set[int], among: Set[int]) -> list[int]:
    """The asked positions that changed, if they are more than what comes from the tokens before explains."""
    found, usual = _asked_and_usual(asked, changed, among)
    return found if len(found) >= _FEWEST and len(found) > 4 * usual else []


def _asked_and_usual(asked: Sequence[int], changed: set[int], among: Set[int]) -> tuple[list[int], float]:
    """The asked positions that changed, and how many would have, changed they as often as the others."""
    rate = len(changed.difference(asked)) / max(len(among) - len(asked), 1)
    return [position for position in asked if position in changed], rate * len(asked)


def _other_distributions(trace: Trace, line: ScoreLine, other: Trace, twin: ScoreLine, asked: Sequence[int]) -> list[int]:
    """The replaced tokens that are scored with another distribution.

    The first one's must be the same. Later ones follow replaced tokens, so those count whose neighbour before is unchanged,
    and a cache may still bring an earlier replacement to some of them: their number must be beyond chance.
    """
    first, second = _scored(trace, line), _scored(other, twin)
    differs = {position: _rows(scored) != _rows(second.get(position, [])) for position, scored in first.items()}
    if asked and differs[asked[0]]:
        return [asked[0]]
    changed = {position for position, is_other in differs.items() if is_other and not differs.get(position - 1, True)}
    found, usual = _asked_and_usual(asked, changed, differs.keys())
    return found if len(found) > usual + _DEVIATIONS * math.sqrt(usual + 1) else []


def _corrected(trace: Trace, line: ScoreLine) -> dict[int, bool]:
    """For each position whether what was counted for it is not what the model gave."""
    found: dict[int, bool] = {}
    for number in line.behind:
        for loss, value in zip(trace.sums[number].losses, trace.sums[number].values, strict=True):
            found.setdefault(trace.positions[loss], abs(value - trace.values[loss]) > _UNCORRECTED)
    return found


def _compare_masses(trace: Trace, line: ScoreLine) -> Comparison:
    """Losses that were counted as they were picked, by what they were picked from adds up to."""
    excess = {
        trace.positions[loss]: mass - 1
        for number in line.sums or ()
        for loss, value in zip(trace.sums[number].losses, trace.sums[number].values, strict=True)
        if (mass := trace.masses[loss]) is not None and abs(value - trace.values[loss]) <= _UNCORRECTED
    }
    above = [position for position, each in excess.items() if each > _ABOVE_ONE]
    largest = max(excess.values(), default=0.0)
    return Comparison(
        cut=0.0,
        text=line.metric.text,
        probe="mass",
        num_compared=len(excess),
        num_changed=len(above),
        first_changed=above[0] if above else None,
        largest_change=largest if above else 0.0,
        detail=f"what a token's probability was taken from adds up to {1 + largest:.4f}" if above else None,
    )


def _compare_bound(trace: Trace, line: ScoreLine, costs: Sequence[float], num_bytes: int) -> Comparison:
    if line.sums is not None:
        sums = [trace.sums[number] for number in line.sums]
        count = sum(len(each.losses) for each in sums)
        spent = sum(value for each in sums for value in each.values)
        least = sum(costs[trace.positions[loss]] for each in sums for loss in each.losses) - _CHANCE_NATS
    else:
        count = len(costs) - 1
        by_bytes = line.metric.val_bpb * math.log(2) * num_bytes
        spent = by_bytes if line.metric.val_loss is None else line.metric.val_loss * count
        least = sum(costs) - _CHANCE_NATS - _UNFOLLOWED_NATS * count
    saved = (least - spent) / count
    impossible = (
        f"{spent / count:.4f} nats a token, where no normalised prediction from the past gets below {least / count:.4f}"
    )
    return Comparison(
        cut=0.0,
        text=line.metric.text,
        probe="bound",
        num_compared=count,
        num_changed=count if saved > 0 else 0,
        largest_change=max(saved, 0.0),
        detail=impossible if saved > 0 else None,
    )
