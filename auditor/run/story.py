"""The story of a run in words: what ran and what was set, each reported score, what was trained when, what the probes saw.

The short form (`summary`) is a section of the report; `tell` is the whole story, with the recorded order of events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.output.sanitize import plain
from auditor.run.comparison import Comparison
from auditor.run.facts import Chunk, KeptNumbers, RunFacts, RunLine

_MAX_CHUNKS = 12  # told one by one in the summary
_MAX_TEXT = 90
_MAX_SPANS = 6


@dataclass(frozen=True, slots=True)
class _Words:
    """How a probe is told: what was done, and what was found where something or nothing changed."""

    asked: str
    changed: str
    same: str


_PROBES: Mapping[str, _Words] = {
    "suffix": _Words(
        "later tokens replaced",
        "earlier losses CHANGED",
        "all of up to {} earlier losses identical",
    ),
    "target": _Words(
        "single tokens replaced",
        "tokens DECIDED about their own correction",
        "none of {} tokens decided whether its own loss was corrected",
    ),
    "bound": _Words(
        "scored on a stream of known cost",
        "tokens cost LESS than they can",
        "{} tokens cost no less than they must",
    ),
    "artifact": _Words(
        "trained on other data, with the first run's files put in place",
        "losses did NOT follow the files",
        "all of {} losses followed the files",
    ),
}


def summary(run: RunFacts) -> list[str]:
    """What was run, what was set, and what was established, each in a sentence or two."""
    found = [_ran(run), *_set(run)]
    if run.failure is not None:
        return [*found, f"nothing was established by a run; what would be needed: {run.needed}"]
    lines = _distinct(run)
    for line in lines:
        found += _line(line, run)
    return [*found, *_training(run), *(sentence for line in lines for sentence in _probed(line, run.comparisons))]


def tell(run: RunFacts) -> str:
    """Everything, as lines of text."""
    told = [plain(run.script or "no script"), *(f"  {sentence}" for sentence in summary(run))]
    told += [f"  as submitted: {' '.join(f'{o.name}={plain(o.value)}' for o in run.overrides if o.value == o.submitted)}"]
    if run.timeline is not None:
        told += ["  in order:"]
        for number, step in enumerate(run.timeline.steps, start=1):
            where = f" ({step.location})" if step.location else ""
            told += [f"    {number:3} {step.action:7} {plain(step.text)}{plain(where)}"]
    return "\n".join(told)


def _ran(run: RunFacts) -> str:
    if not run.isolation:
        return f"not run: {plain(run.failure or '')}"
    end = "ran to its end" if run.failure is None else f"did not reach its end: {plain(run.failure)}"
    aside = "; newer f-strings were rewritten as it was read" if run.rewritten else ""
    aside += f"; without {', '.join(map(plain, run.left_out))}, whose content is not there" if run.left_out else ""
    processes = (
        f"{len(run.ranks)} processes that {run.num_collectives:,} collectives put in order" if run.ranks else "one process"
    )
    return (
        f"the shipped script {end} ({run.seconds:.0f} s, {run.cpu_seconds:.0f} s computing), on a toy data set of "
        f"{run.num_positions:,} validation tokens, in {processes}; isolation: {run.isolation}{aside}"
    )


def _set(run: RunFacts) -> Iterator[str]:
    changed = [each for each in run.overrides if each.value != each.submitted]
    if changed:
        yield "set for it: " + " ".join(f"{each.name}={plain(each.value)}" for each in changed)


def _distinct(run: RunFacts) -> list[RunLine]:
    """Each set of losses once, by the line that shows most digits of it."""
    found: dict[int, RunLine] = {}
    for index, line in enumerate(run.lines):
        key = index if line.repeats is None else line.repeats
        if key not in found or len(str(line.val_bpb)) > len(str(found[key].val_bpb)):
            found[key] = line
    return list(found.values())


def _line(line: RunLine, run: RunFacts) -> Iterator[str]:
    mark = " (the submitted number's line)" if line.is_headline else ""
    start = f"{plain(line.label or line.text[:_MAX_TEXT])}{mark}: "
    coverage = line.coverage
    if coverage is None:
        yield start + (_kept(line.kept) if line.kept is not None else _unreconciled(line))
        return
    twice = f", {coverage.num_repeated:,} more than once" if coverage.num_repeated else ""
    never = f", {coverage.num_missing:,} never (from {coverage.first_missing:,} on)" if coverage.first_missing else ""
    counted = coverage.num_once + coverage.num_repeated
    yield (
        f"{start}recomputed to the last digit from the losses of {counted:,} positions and our own count of "
        f"{line.num_bytes:,} bytes{twice}{never}; {_order(line, run)}"
    )
    if line.is_score_first:
        yield from _chunks(line.chunks)


def _unreconciled(line: RunLine) -> str:
    told = "not reconciled with the recorded losses, so nothing is claimed about it"
    if line.byte_ratio:
        told += f"; its bits per byte were divided by {line.byte_ratio:.4f} times the bytes that we count"
    return told


def _kept(kept: KeptNumbers) -> str:
    where = f" at {plain(str(kept.place))}" if kept.place else ""
    order = "" if kept.is_ordered else ", though no variable there tells which is whose"
    return (
        f"recomputed to the last digit from {kept.num_numbers:,} plain numbers{where}, one for each of so many "
        f"{kept.unit}{order}; what had influenced them is not followed, only the probes judge them"
    )


def _order(line: RunLine, run: RunFacts) -> str:
    if line.offences:
        parts = [
            f"{each.num_positions:,} positions from {each.first} on were scored with {each.via} that their own gradients "
            f"had changed by {plain(each.how)}{f' ({plain(str(each.place))})' if each.place else ''}"
            f"{', after a first score that was reported' if each.again else ''}"
            for each in line.offences
        ]
        return "TRAINED BEFORE SCORED: " + "; ".join(parts)
    aside = f" ({line.num_early_bos} document beginnings aside, which are all the same token)" if line.num_early_bos else ""
    if line.num_unordered:
        aside += (
            f"; {line.num_unordered:,} positions were trained on by one rank while another scored them, with no collective "
            "between: in which order is unknown, but nothing of it had reached the score"
        )
    if line.is_score_first:
        reach = " could reach the score" if line.num_unordered else ""
        chunks = f"each of {len(line.chunks)} chunks was scored before any gradient that used it{reach}"
        return f"test-time training: {chunks}{aside}"
    return (
        f"none of them was trained on before{aside}" if run.num_trained_validation else "no validation token was trained on"
    )


def _where(spans: Sequence[tuple[int, int]]) -> str:
    """Ranges of positions, where they are few."""
    shown = ", ".join(f"{begin:,} to {end - 1:,}" for begin, end in spans)
    return f" ({shown})" if 0 < len(spans) <= _MAX_SPANS else ""


def _chunks(chunks: Sequence[Chunk]) -> Iterator[str]:
    """Per chunk: when it was scored, in which mode, and when it was first trained on."""
    shown = chunks if len(chunks) <= _MAX_CHUNKS else (*chunks[: _MAX_CHUNKS - 1], chunks[-1])
    for number, chunk in enumerate(chunks, start=1):
        if chunk in shown:
            mode = "with autograd on, its values fixed before the step" if chunk.with_gradient else "without autograd"
            yield (
                f"chunk {number} ({chunk.num_positions:,} positions, {chunk.first:,} to {chunk.last:,}): scored at "
                f"event {chunk.scored_at:,} {mode}; first gradient at event {chunk.trained_at:,}, "
                f"{chunk.num_updates} in this turn"
            )
    if len(shown) < len(chunks):
        yield f"{len(chunks) - len(shown)} chunks in between: the same order"


def _training(run: RunFacts) -> Iterator[str]:
    for each in run.ranks:
        yield (
            f"rank {each.rank} scored {each.num_scored:,} positions of what was reported{_where(each.scored)} and trained "
            f"on {each.num_trained:,}{_where(each.trained)}"
        )
    if run.num_discarded:
        yield (
            f"{run.num_discarded:,} positions were trained on before one of their scores, and nothing of it reached that "
            "score: it was discarded, restored, or went into other numbers"
        )
    if run.num_trained_unlocated:
        yield (
            f"gradients of {run.num_trained_unlocated:,} targets from neither split as they stand: made up, as for a "
            "warm-up, or rearranged; a person must look, or the probe"
        )
    if run.training_reads:
        yield f"training shards opened after the last score had begun: {', '.join(map(plain, run.training_reads))}"
    if run.connections:
        yield f"reached for the network: {'; '.join(plain(each.what) for each in run.connections)}"


def _probed(line: RunLine, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What the probes found on a line, one sentence for each kind of probe: the worst."""
    for probe, words in _PROBES.items():
        same = [each for each in comparisons if each.text == line.text and each.probe == probe]
        if same:
            worst = max(same, key=lambda each: each.num_changed)
            problems = list(dict.fromkeys(each.problem for each in same if each.problem is not None))
            start = f"{plain(line.label or line.text[:_MAX_TEXT])}, {words.asked}: "
            if worst.num_changed:
                yield start + _changed(worst, words)
            elif problems:
                yield start + f"not compared: {'; '.join(map(plain, problems))}"
            else:
                yield start + words.same.format(f"{max(each.num_compared for each in same):,}")


def _changed(worst: Comparison, words: _Words) -> str:
    after = f" (after {worst.cut:.0%})" if worst.cut else ""
    first = f", first at {worst.first_changed}" if worst.first_changed is not None else ""
    by = f", by up to {worst.largest_change:.2g} nats" if worst.largest_change else ""
    detail = f": {plain(worst.detail)}" if worst.detail else ""
    return f"{worst.num_changed:,} of {worst.num_compared:,} {words.changed}{after}{first}{by}{detail}"
