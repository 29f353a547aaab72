"""The compressed model of each seed, as logged: which of a run's printed sizes is the submitted artifact's.

A run may print several: intermediate exports, a pruned one, a total under the name of artifact. The last model size before
the line that carries the number is the one that was scored; a size that equals a printed total is a total.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.submission.logs.model import Run, Size, SizeKind
from rules.headline_runs import SeedRun


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


def model_size(seed_run: SeedRun) -> ModelSize | None:
    """The size of the artifact that the run scored; None where neither it nor a run beside it printed one."""
    own = _in_run(seed_run.run, seed_run.line)
    return own or seed_run.find(lambda run: _in_run(run, None))


def _in_run(run: Run, line: int | None) -> ModelSize | None:
    totals = [size for size in run.sizes if size.kind is SizeKind.TOTAL]
    printed = {size.num_bytes for size in totals}
    models = [size for size in run.sizes if size.kind is SizeKind.MODEL and size.num_bytes not in printed]
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
    codes = [size for size in run.sizes if size.kind in (SizeKind.CODE, SizeKind.CODE_COMPRESSED)]
    totals = {size.num_bytes for size in run.sizes if size.kind is SizeKind.TOTAL}
    return any(model.num_bytes + code.num_bytes in totals for code in codes)
