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

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from auditor.run.comparison import (
    Comparison,
    compare_bound,
    compare_corrections,
    compare_costs,
    compare_prefix,
    losses_until,
    places_of,
)
from auditor.run.judge import ScoreLine, judge_lines, results
from auditor.run.ranks import Event
from auditor.run.session import Session
from auditor.run.streams import boundaries, coded_stream, cut_points, order_of, replace_after, replace_apart
from auditor.run.trace import Trace, read_trace

CUTS = (0.02, 0.5, 0.9)
KINDS = ("suffix", "target", "bound", "artifact")
_OTHER_LINES = "the second run has no such line that is made of losses likewise"
_NO_SERIES = "the second run's numbers do not add up to its score in the same way"
_MODEL_CHANGED = "the model's own losses before the cut changed too, so that an order of its own may be the reason"
_NOT_REPEATED = "the script does not repeat itself on the same stream either"


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: its facts and its reported lines, or the problem for which there is nothing to compare."""

    trace: Trace
    lines: Sequence[ScoreLine] = ()
    events: Sequence[Event] = ()
    problem: str | None = None


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
                    yield self._steady(compare_prefix(self.first.trace, line, second.trace, twin, replaced, cut))
            yield from (self._steady(found) for found in self._compare_series(second, min(replaced), cut))

    def _compare_series(self, second: _Run, replaced: int, cut: float) -> Iterator[Comparison]:
        """Each line that is made of plain numbers: those before the first replaced position."""
        spelled = self.session.world.spell(self.session.world.validation())
        for line, twin in zip(results(self.first.lines), results(second.lines), strict=False):
            if line.series is None:
                continue
            if twin.series is None or twin.metric.label != line.metric.label:
                yield Comparison(cut=cut, text=line.metric.text, problem=_NO_SERIES)
            elif losses_until(self.first.trace, line, replaced) != losses_until(second.trace, twin, replaced):
                yield Comparison(cut=cut, text=line.metric.text, problem=_MODEL_CHANGED)
            else:
                yield compare_costs(line.metric.text, line.series, twin.series, replaced, spelled, cut)

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
                yield self._steady(compare_corrections(self.first.trace, line, second.trace, twin, replaced))

    def bound(self) -> Iterator[Comparison]:
        """Each line's score on a stream whose least cost is known."""
        tokens, costs = coded_stream(self.session.world)
        second = self._run(tokens)
        if second.problem is not None:
            yield Comparison(cut=0.0, text=self.headline.metric.text, probe="bound", problem=second.problem)
            return
        num_bytes = sum(self.session.world.count_bytes(tokens))
        for line, twin in zip(results(self.first.lines), results(second.lines), strict=False):
            if twin.metric.label != line.metric.label:
                yield Comparison(cut=0.0, text=line.metric.text, probe="bound", problem=_OTHER_LINES)
            else:  # the same line has other numbers on it
                yield replace(compare_bound(second.trace, twin, costs, num_bytes), text=line.metric.text)

    def artifact(self) -> Iterator[Comparison]:
        """Each line that is scored after files were read back: those of the first run, after training on other data."""
        with tempfile.TemporaryDirectory(prefix="pgolf-made-") as folder:
            again = self._run(None, collect=Path(folder))
            self._note_unsteady(again)
            if any(Path(folder).iterdir()):
                second = self._run(None, training=self.session.world.other_training(), swap=Path(folder))
            else:
                second = _without("it writes no file that it could read back")
        swapped = [at for at, event in enumerate(second.events) if event.get("t") == "swapped"]
        if second.problem is None and not swapped:
            second = _without("it reads back none of the files that it writes")
        for line, twin in self._pairs(second):
            if isinstance(twin, str):
                yield Comparison(cut=0.0, text=line.metric.text, probe="artifact", problem=twin)
                continue
            if all(second.trace.scored_at[loss] > swapped[-1] for loss in second.trace.losses_of(twin.behind)):
                found = compare_prefix(self.first.trace, line, second.trace, twin, set(), 0.0)
                yield self._steady(replace(found, probe="artifact"))

    def _run(self, tokens: Sequence[int] | None, *, training: Sequence[Sequence[int]] | None = None,
             collect: Path | None = None, swap: Path | None = None) -> _Run:  # fmt: skip
        outcome = self.session.run(tokens, training=training, collect=collect, swap=swap)
        if outcome.failure is not None:
            return _without(f"the second run: {outcome.failure}")
        tokens = self.session.world.validation() if tokens is None else tokens
        trace = read_trace(outcome.events, len(tokens))
        lines = tuple(judge_lines(trace, self.session.world, tokens, self.first.lines))
        return _Run(trace, lines, outcome.events)

    def _pairs(self, second: _Run) -> Iterator[tuple[ScoreLine, ScoreLine | str]]:
        """Each result of the first run that losses are known of, with the same line of the second or why there is none."""
        for index, line in enumerate(self.first.lines):
            if not line.behind or line.metric.progress:
                continue
            if second.problem is not None:
                yield line, second.problem
                continue
            twin = second.lines[index] if index < len(second.lines) else None
            fits = (
                twin is not None
                and twin.metric.label == line.metric.label
                and (twin.sums is None) == (line.sums is None)
                and places_of(second.trace, twin) == places_of(self.first.trace, line)
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

    def _note_unsteady(self, again: _Run) -> None:
        self._unsteady = {line.metric.text for line, twin in self._pairs(again) if self._differs(line, twin, again)}
        found = self._compare_series(again, len(self.session.world.validation()), 0.0)
        self._unsteady |= {each.text for each in found if each.num_changed or each.problem is not None}

    def _differs(self, line: ScoreLine, twin: ScoreLine | str, again: _Run) -> bool:
        if isinstance(twin, str):
            return True
        found = compare_prefix(self.first.trace, line, again.trace, twin, set(), 0.0)
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


def _without(problem: str) -> _Run:
    return _Run(Trace(), problem=problem)
