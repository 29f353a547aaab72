"""PG203: the script runs code of the folder whose bytes are in no stated code size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar

from auditor.finding import Basis, Confidence, Evidence, Location, Measurement, Statement, Unestablished
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.logs.model import SizeKind
from auditor.submission.script import Script
from auditor.submission.submission import Submission
from rules.headline_runs import judged_runs
from rules.limits import CODE_SIZE_SLACK_BYTES, LAUNCH
from rules.size.code_count import CodeBytes, count_code


class UncountedCode(Rule):
    """The script runs code of the folder whose bytes are in no stated code size.

    Requirement: all counted code lives in train_gpt.py; code that is kept beside it counts with it.

    Detection: follows what the script imports, executes or loads from its own folder. A sibling that holds the model or
    the training loop must be in the stated code size: where the stated size is that of the script alone, its bytes were
    not counted. In practice a person must look: whether the sum still fits is the matter of oversize-artifact, which counts
    them. Helpers (tokenizer, n-gram state, C++) were counted in no listed record: practice notes them, the readme ruleset
    does not allow them.

    Limits: data that acts as code (tables, weights in text) is not looked for; what an installed package brings is not
    counted.

    Remedy: move the code into train_gpt.py, or count the files that it runs and say so.
    """

    id = "PG203"
    name = "uncounted-code"
    family = "size"
    authority = (
        Authority(AuthorityLevel.README, "all counted code should live in the train_gpt.py script", LAUNCH),
        Authority(AuthorityLevel.PRACTICE, "#1514 states its helpers as uncounted and was listed", date(2026, 4, 9)),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Judge the siblings with training code, then the helpers."""
        script = submission.script
        if script is None:
            yield Unestablished(message="there is no script whose siblings could be followed")
            return
        code = count_code(submission, script, None, ruleset.as_of)
        if len(code.files) > 1:
            yield self._siblings(submission, script, code, ruleset)
        if code.helpers:
            yield from self._helpers(script, code, ruleset)
        if len(code.files) == 1 and not code.helpers:
            message = f"{script.path} runs no other code of the folder"
            yield Evidence(basis=Basis.SOURCE, message=message, location=Location(path=script.path))

    def _siblings(self, submission: Submission, script: Script, code: CodeBytes, ruleset: Ruleset) -> Statement:
        stated = stated_code_sizes(submission)
        beside = code.shipped - script.num_bytes
        alone = [size for size in stated if abs(size - script.num_bytes) <= CODE_SIZE_SLACK_BYTES.value]
        included = [size for size in stated if size >= beside]
        where = f"{script.path} ({script.num_bytes:,} bytes) runs {', '.join(code.files[1:])} ({beside:,} bytes)"
        if included and not alone:
            message = f"{where}; the stated code size of {included[0]:,.0f} has room for them"
            return Evidence(basis=Basis.SOURCE, message=message, location=Location(path=script.path))
        said = f"the stated code size is {alone[0]:,.0f}" if alone else "no stated code size includes them"
        return self.finding(
            ruleset,
            f"{where}, which hold the model or the training loop; {said}",
            basis=Basis.SOURCE,
            status=None if alone else Status.REVIEW,
            confidence=Confidence.HIGH if alone else Confidence.MEDIUM,
            location=Location(path=script.path),
            measurement=Measurement(quantity="code", observed=code.shipped, limit=script.num_bytes, unit="bytes"),
            remedy="move the code into train_gpt.py or count it",
            anchor="siblings",
        )

    def _helpers(self, script: Script, code: CodeBytes, ruleset: Ruleset) -> Iterator[Statement]:
        named = ", ".join(f"{path} ({size:,} bytes)" for path, size in code.helpers)
        message = f"{script.path} runs helpers that are not counted: {named}"
        location = Location(path=script.path)
        status = Status.NOTE if ruleset.name is RulesetName.PRACTICE else None
        yield self.finding(ruleset, message, basis=Basis.SOURCE, status=status, location=location, anchor="helpers")
        if status is not None:
            message = f"{script.path} keeps only helpers beside it, which counted in no listed record"
            yield Evidence(basis=Basis.SOURCE, message=message, location=location)


def stated_code_sizes(submission: Submission) -> tuple[float, ...]:
    """Every code size in bytes that submission.json declares or that a run behind the number logged."""
    metadata = submission.metadata
    results = metadata.seed_results if metadata else ()
    declared = [metadata.bytes_code if metadata else None, *(result.code_bytes for result in results)]
    kinds = (SizeKind.CODE, SizeKind.CODE_COMPRESSED)
    logged = [size.num_bytes for seed in judged_runs(submission) for size in seed.run.sizes if size.kind in kinds]
    return tuple(dict.fromkeys([*(size.value for size in declared if size is not None), *logged]))
