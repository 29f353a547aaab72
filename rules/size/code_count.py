"""How many bytes a submission's code counts for, in each of the ways in which code was counted.

Three numbers: the readable source, the shipped files, and the self-extracting wrapper that a readable script would
compress to. The README counts what is shipped; practice counts the smallest that was in use on the day of the submission.
Siblings that hold the model or the training loop count with the script that runs them. Helpers (tokenizer, data
preparation, n-gram state, C++) counted in no accepted submission; the README's words leave no room for them.

Not covered: code inside packages, and what a helper would weigh compressed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from auditor.rule import RulesetName
from auditor.source.parse import nodes_of
from auditor.submission.logs.model import Run, Size, SizeKind
from auditor.submission.script import Module, Script
from auditor.submission.submission import Submission
from rules.headline_runs import SeedRun
from rules.limits import CODE_COUNTS, CodeCount, Range

WRAPPER_SHARES = Range(0.1, 0.5)  # ours: listed wrappers have 20 to 35 % of their source


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBytes:
    """The three sizes of a submission's code in bytes, and where the third comes from.

    `source` is the readable text, `shipped` the files as they are, `compressed` the wrapper that a readable script would
    compress to (None where unknown; `is_assumed` where a log gives so small a code size without saying of what).
    `helpers` are executed or loaded files that practice never counted.
    """

    source: int
    shipped: int
    compressed: int | None
    compressed_from: str
    is_assumed: bool
    is_packed: bool
    files: tuple[str, ...]
    helpers: tuple[tuple[str, int], ...]
    day: date

    @property
    def with_helpers(self) -> int:
        """The shipped files and every helper: the README's words."""
        return self.shipped + sum(size for _, size in self.helpers)

    @property
    def ways(self) -> Mapping[str, int]:
        """The bytes in each way of counting that is known, the largest text first."""
        known = {"readable source": self.source} if self.source != self.shipped else {}
        known["as shipped"] = self.shipped
        if self.helpers:
            known["as shipped, with helpers"] = self.with_helpers
        return known if self.compressed is None else known | {"as a compressed wrapper": self.compressed}

    @property
    def may_be_compressed(self) -> bool:
        """Was the would-be wrapper in use as a count on the day of the submission?"""
        return any(count.value is CodeCount.COMPRESSED and count.since <= self.day for count in CODE_COUNTS)

    @property
    def could_be_packed(self) -> bool:
        """Could a readable script have been shipped as a wrapper on that day? A loader was not meant as one."""
        return (
            not self.is_packed
            and len(self.files) == 1
            and any(count.value is CodeCount.WRAPPER and count.since <= self.day for count in CODE_COUNTS)
        )

    def counted(self, ruleset: RulesetName) -> int:
        """The bytes that count; where the would-be wrapper counts but is unknown, those of the shipped files."""
        if ruleset is RulesetName.README:
            return self.with_helpers
        if self.may_be_compressed and self.compressed is not None:
            return min(self.shipped, self.compressed)
        return self.shipped

    @property
    def least(self) -> int:
        """The fewest bytes that practice can have counted: 0 where the would-be wrapper counts and its size is unknown."""
        if self.may_be_compressed and self.compressed is None and not self.is_packed:
            return 0
        return self.counted(RulesetName.PRACTICE)

    def __str__(self) -> str:
        if self.is_packed:
            return f"{self.source:,} bytes of readable source, {self.shipped:,} as shipped, packed"
        if self.compressed is None:
            wrapper = "size as a compressed wrapper unknown"
        else:
            wrapper = f"{self.compressed:,} as a compressed wrapper ({self.compressed_from})"
        return f"{self.shipped:,} bytes as shipped, {wrapper}"


def count_code(submission: Submission, script: Script, seed_run: SeedRun | None, as_of: date) -> CodeBytes:
    """The sizes of the code behind one run. A submission without a date is judged as of `as_of`."""
    shipped = set(submission.files.paths())
    beside = [module for module in script.modules[1:] if module.path in shipped]
    siblings = [module for module in beside if holds_training_code(module)]
    sibling_bytes = sum(submission.files.size(module.path) for module in siblings)
    others = {module.path for module in beside} - {module.path for module in siblings}
    helpers = sorted(others | {path for path in script.side_files if is_code(path)})
    shipped_bytes = script.num_bytes + sibling_bytes
    compressed, where = _logged_compressed(seed_run) if seed_run else (None, "")
    may_be_assumed = compressed is None and not script.packed and not siblings
    assumed = _logged_small(seed_run, shipped_bytes) if seed_run and may_be_assumed else None
    if assumed is not None:
        compressed, where = assumed.num_bytes, f"logged as the code size at {assumed.log}:{assumed.line}"
    return CodeBytes(
        source=len(script.main.source.encode("utf-8", "surrogateescape")) + sibling_bytes,
        shipped=shipped_bytes,
        compressed=compressed,
        compressed_from=where,
        is_assumed=assumed is not None,
        is_packed=script.packed,
        files=(script.path, *(module.path for module in siblings)),
        helpers=tuple((path, submission.files.size(path)) for path in helpers),
        day=submission.day or as_of,
    )


def is_code(path: str) -> bool:
    """Is a side file program text (not a table, a tokenizer or data)?"""
    return path.rsplit(".", 1)[-1].lower() in {"py", "c", "cc", "cpp", "cu", "cuh", "h", "hpp", "so"}


def holds_training_code(module: Module) -> bool:
    """Does a sibling hold the model or the training loop: a network class, or a backward pass?"""
    if module.tree is None:
        return False
    return any(_is_network(node) or _is_backward(node) for node in nodes_of(module.tree))


def _is_network(node: ast.AST) -> bool:
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return any(ast.unparse(base).split(".")[-1] == "Module" for base in bases)


def _is_backward(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "backward"


def _logged_compressed(seed_run: SeedRun) -> tuple[int | None, str]:
    """The compressed code size that the run logged, or that its total leaves beside its model."""
    size = seed_run.find(lambda run: run.size(SizeKind.CODE_COMPRESSED))
    if size is not None:
        return size.num_bytes, f"logged at {size.log}:{size.line}"
    return seed_run.find(_code_in_total) or (None, "")


def _logged_small(seed_run: SeedRun, shipped_bytes: int) -> Size | None:
    """A logged code size that a wrapper of the shipped code can have, but no version of it."""
    size = seed_run.find(lambda run: run.size(SizeKind.CODE))
    return size if size is not None and size.num_bytes < WRAPPER_SHARES.high * shipped_bytes else None


def _code_in_total(run: Run) -> tuple[int, str] | None:
    model, total, code = (run.size(kind) for kind in (SizeKind.MODEL, SizeKind.TOTAL, SizeKind.CODE))
    if model is None or total is None or code is None or max(model.resolution, total.resolution) > 1:
        return None
    share = total.num_bytes - model.num_bytes
    return (share, f"total less model at {total.log}:{total.line}") if 0 < share < code.num_bytes else None
