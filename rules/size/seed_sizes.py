"""The compressed model of each seed, as logged: which of a run's printed sizes is the submitted artifact's.

A run may print several: intermediate exports, other schemes for comparison, a pruned one, a total under the name of
artifact. Where submission.json declares a total that the run printed, that export is the artifact; else the last model size
before the line that carries the number is the one that was scored. A size that equals a printed total is a total.

Not covered: a run that declares one export and scores another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.submission.logs.model import Run, Size, SizeKind
from rules.headline_runs import SeedRun
from rules.limits import CODE_SIZE_SLACK_BYTES

_SLACK = CODE_SIZE_SLACK_BYTES.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A seed's compressed model as logged.

    `has_code` tells what the printed number covers: False the model alone, True model and code (a total), None where
    that cannot be told. `slack` is half of what the printed number was rounded to.
    """

    size: Size
    num_bytes: int
    has_code: bool | None

    @property
    def slack(self) -> int:
        """How far the true size may be from the printed one."""
        return self.size.resolution // 2


def model_size(seed_run: SeedRun, declared_totals: Sequence[float]) -> ModelSize | None:
    """The size of the artifact that the run scored; None where neither it nor a run beside it printed one.

    `declared_totals` are the totals in bytes that submission.json declares, for this seed or for all.
    """
    own = _declared(seed_run.run, declared_totals) or _in_run(seed_run.run, seed_run.line)
    return own or seed_run.find(lambda run: _in_run(run, None))


def _declared(run: Run, declared_totals: Sequence[float]) -> ModelSize | None:
    """The export whose total the run printed and submission.json declares."""
    codes = {size.num_bytes for size in _of(run, SizeKind.CODE, SizeKind.CODE_COMPRESSED)}
    raw = {model.num_bytes + code for model in _of(run, SizeKind.MODEL_RAW) for code in codes}
    totals = [size for size in _of(run, SizeKind.TOTAL, SizeKind.TOTAL_RAW) if size.num_bytes not in raw]
    total = next((size for size in totals if any(abs(size.num_bytes - each) <= _SLACK for each in declared_totals)), None)
    if total is None:
        return None
    model = next((size for size in _of(run, SizeKind.MODEL) if total.num_bytes - size.num_bytes in codes), None)
    if model is not None:
        return ModelSize(size=model, num_bytes=model.num_bytes, has_code=False)
    return ModelSize(size=total, num_bytes=total.num_bytes, has_code=True)


def _of(run: Run, *kinds: SizeKind) -> list[Size]:
    return [size for size in run.sizes if size.kind in kinds]


def _in_run(run: Run, line: int | None) -> ModelSize | None:
    totals = _of(run, SizeKind.TOTAL)
    printed = {size.num_bytes for size in totals}
    models = [size for size in _of(run, SizeKind.MODEL) if size.num_bytes not in printed]
    if model := _last_before(models, line):
        alone = "artifact" not in model.label.lower() or _adds_up(run, model)
        return ModelSize(size=model, num_bytes=model.num_bytes, has_code=False if alone else None)
    if total := _last_before(totals, line):
        return ModelSize(size=total, num_bytes=total.num_bytes, has_code=True)
    return None


def _last_before(sizes: list[Size], line: int | None) -> Size | None:
    """The last size; where a line is given and sizes stand before it, the last of those."""
    before = [size for size in sizes if line is None or size.line <= line]
    return next(reversed(before or sizes), None)


def _adds_up(run: Run, model: Size) -> bool:
    codes = _of(run, SizeKind.CODE, SizeKind.CODE_COMPRESSED)
    totals = {size.num_bytes for size in _of(run, SizeKind.TOTAL)}
    return any(model.num_bytes + code.num_bytes in totals for code in codes)
