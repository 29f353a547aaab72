"""The story of a run in plain text: what ran, each reported score, what was trained when, and what the probes saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditor.output.sanitize import plain
from auditor.run.judge import Judgement, ScoreLine
from auditor.run.probes import Comparison
from auditor.run.runner import Outcome
from auditor.run.session import Session

_MAX_TEXT = 90


def tell(session: Session, outcome: Outcome, judgement: Judgement, headline: ScoreLine | None,
         comparisons: Sequence[Comparison]) -> str:  # fmt: skip
    """Everything, as lines of text."""
    return "\n".join(
        [
            *_run(session, outcome, judgement),
            *(line for each in judgement.results for line in _score(each, each is headline)),
            *_training(judgement),
            *_probes(comparisons),
        ]
    )


def _run(session: Session, outcome: Outcome, judgement: Judgement) -> Iterator[str]:
    yield f"{session.submission.path}/{session.script}"
    end = "ran to its end" if outcome.failure is None else f"NOT to its end: {plain(outcome.failure)}"
    yield f"  {end}, {outcome.seconds:.0f} s ({outcome.cpu_seconds:.0f} s computing); isolation: {outcome.isolation}"
    for event in outcome.events:
        if event.get("t") == "rewritten":
            yield f"  newer f-strings of {plain(str(event['path']))} were rewritten as it was read"
        if event.get("t") == "failed":
            frames = event.get("frames")
            places = [f"{plain(str(file))}:{line}" for file, line, _ in frames] if isinstance(frames, list) else []
            yield f"  raised at {' < '.join(reversed(places))}"
    sizes = [each for each in session.overrides if each.value != each.submitted]
    yield "  set: " + " ".join(f"{each.name}={each.value}" for each in sizes)
    yield "  as submitted: " + " ".join(
        f"{each.name}={plain(each.value)}" for each in session.overrides if each not in sizes
    )
    yield f"  validation losses: {judgement.num_located} located, {judgement.num_unlocated} targets without a place"


def _score(line: ScoreLine, is_headline: bool) -> Iterator[str]:
    mark = "*" if is_headline else "-"
    yield f"{mark} {plain(line.metric.text)[:_MAX_TEXT]}"
    coverage = line.coverage
    if coverage is None:
        yield "    NOT RECONCILED with the recorded losses: what it is made of is not established"
        if line.num_left:
            trained = (
                f"{len(line.early)} positions of them trained before, first {line.early[0]}" if line.early else "none early"
            )
            yield f"    {line.num_left} losses left for numpy or Python before it: {trained}"
        return
    yield (
        f"    reconciled: {coverage.num_once} positions once, {coverage.num_repeated} more than once,"
        f" {coverage.num_missing} never" + (f" (first {coverage.first_missing})" if coverage.first_missing else "")
    )
    if line.early:
        yield f"    TRAINED BEFORE SCORED: {len(line.early)} positions, first {line.early[0]}"
    elif line.num_early_bos:
        yield f"    trained before scored: only {line.num_early_bos} document beginnings (BOS)"
    if line.num_trained_after and not line.early:
        mode = "with autograd on" if line.with_gradient else "without autograd"
        yield f"    scored {mode}, then {line.num_trained_after} of its positions trained on, none before its own score"


def _training(judgement: Judgement) -> Iterator[str]:
    if judgement.num_trained_validation:
        yield f"  gradients of {judgement.num_trained_validation} validation positions; {judgement.num_steps} steps"
    else:
        yield "  no gradient of a validation token was seen"
    if judgement.num_trained_unlocated:
        yield f"  gradients of {judgement.num_trained_unlocated} targets from neither split as they stand: made up, as"
        yield "  for a warm-up, or rearranged; a person must look, or the probe"


def _probes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for each in comparisons:
        start = f"  suffix replaced after {each.cut:.0%}: {plain(each.text)[:50]}: "
        if each.problem is not None:
            yield start + f"not compared: {plain(each.problem)}"
        elif each.num_changed:
            yield start + (
                f"{each.num_changed} of {each.num_compared} earlier losses CHANGED, first at {each.first_changed},"
                f" by up to {each.largest_change:.2g} nats"
            )
        else:
            yield start + f"{each.num_compared} earlier losses, all identical"
