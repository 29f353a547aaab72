"""PG202: the code size that a submission states is not that of the code it ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from auditor.finding import Basis, Evidence, Location, Measurement, NotApplicable, Statement, Unestablished
from auditor.provenance import CodeSizes, code_sizes, compare_code_size
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.submission.metadata import Declared
from auditor.submission.script import Script
from auditor.submission.submission import Submission
from auditor.submission.tree import sizes_of
from rules.headline_runs import judged_runs, place
from rules.limits import CODE_SIZE_SLACK_BYTES, LAUNCH
from rules.size.code_count import count_code


class CodeSizeMismatch(Rule):
    """The code size that a submission states is not that of the code it ships.

    Requirement: the code bytes in submission.json and in the log are those of the shipped code, as they count for the cap.

    Detection: compares each stated size with every size that the shipped code can be said to have: the file, what it
    decodes to, the same in characters or with other line ends, the script with what it imports, all Python files
    together, and the compressed wrapper that a log gives. A declared size that equals none of them is for a person; a
    logged one is a note here, since foreign-log judges which script printed the log.

    Limits: an edit that keeps the length is not seen. A size that equals another file of the folder is taken for it.

    Remedy: state the size of the file that is shipped; after an edit, measure again.
    """

    id = "PG202"
    name = "code-size-mismatch"
    family = "size"
    authority = (
        Authority(AuthorityLevel.README, "code bytes count for the artifact; submission.json tells them", LAUNCH),
        Authority(AuthorityLevel.PRACTICE, "records were listed whose code was edited after the run", LAUNCH),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.FILES})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Hold every declared and logged code size against what is shipped."""
        script = submission.script
        if script is None:
            yield Unestablished(message="there is no script whose size could be compared")
            return
        statements = [
            *self._declared(submission, script, ruleset),
            *self._logged(submission, script, ruleset),
        ]
        yield from statements or [NotApplicable(reason="no code size is declared or logged")]

    def _declared(self, submission: Submission, script: Script, ruleset: Ruleset) -> Iterator[Statement]:
        known = _known_sizes(submission, script, ruleset)
        path = submission.metadata.path if submission.metadata else ""
        for declared in _declared_sizes(submission):
            location = Location(path=path, line=declared.line)
            same = known.equal_to(declared.value, CODE_SIZE_SLACK_BYTES.value)
            if same is not None:
                message = f"{declared.key} = {declared.value:,.0f} is the size of {same}"
                yield Evidence(basis=Basis.FILES, message=message, location=location)
                continue
            nearest, num_bytes = known.nearest_to(declared.value)
            yield self.finding(
                ruleset,
                f"{path} declares {declared.key} = {declared.value:,.0f}; the shipped {nearest} has "
                f"{num_bytes:,} bytes ({declared.value - num_bytes:+,.0f}){_may_be_wrapper(submission, declared, ruleset)}",
                basis=Basis.FILES,
                location=location,
                measurement=Measurement(quantity="code size", observed=declared.value, limit=num_bytes, unit="bytes"),
                remedy="state the size of the shipped file",
                anchor=f"declared {declared.key}",
            )

    def _logged(self, submission: Submission, script: Script, ruleset: Ruleset) -> Iterator[Statement]:
        known = _known_sizes(submission, script, ruleset)
        seen: set[int] = set()
        for seed_run in judged_runs(submission):
            logged = compare_code_size(seed_run.run, known, submission.print_sites)
            if logged is None or logged.size.num_bytes in seen:
                continue
            seen.add(logged.size.num_bytes)
            location = place(logged.size)
            if abs(logged.difference_bytes) <= CODE_SIZE_SLACK_BYTES.value:
                message = f"logged code size {logged.size.num_bytes:,} is the size of {logged.shipped_as}"
                yield Evidence(basis=Basis.FILES, message=message, location=location)
                continue
            yield self.finding(
                ruleset,
                f"{logged.size.log} logs a code size of {logged.size.num_bytes:,} bytes; the nearest shipped text, "
                f"{logged.shipped_as}, has {logged.shipped_bytes:,} ({logged.difference_bytes:+,})",
                basis=Basis.FILES,
                status=Status.NOTE,
                location=location,
                anchor=f"logged {seed_run.name}",
            )


def _declared_sizes(submission: Submission) -> tuple[Declared, ...]:
    metadata = submission.metadata
    if metadata is None:
        return ()
    declared = (metadata.bytes_code, *(result.code_bytes for result in metadata.seed_results))
    by_value = {size.value: size for size in reversed(declared) if size is not None}
    return tuple(reversed(by_value.values()))


def _known_sizes(submission: Submission, script: Script, ruleset: Ruleset) -> CodeSizes:
    python = sizes_of(submission.files, ".py")
    known = code_sizes(script, python)
    counts = [count_code(submission, script, run, ruleset.as_of) for run in (None, *judged_runs(submission))]
    alone = counts[0]
    others = dict(known.others)
    others["the script with the code beside it"] = (alone.shipped, alone.source, alone.with_helpers)
    others["all Python files of the folder"] = (sum(python.values()),)
    wrappers = (count.compressed for count in counts if not count.is_assumed)
    others["the compressed wrapper as logged"] = tuple(size for size in wrappers if size is not None)
    return replace(known, others=others)


def _may_be_wrapper(submission: Submission, declared: Declared, ruleset: Ruleset) -> str:
    """A readable script may be declared at the size that it would compress to, which only a log can tell."""
    script = submission.script
    if script is None or script.packed or not 0 < declared.value < script.num_bytes / 2:
        return ""
    code = count_code(submission, script, None, ruleset.as_of)
    return "; no log gives its size as a compressed wrapper" if code.may_be_compressed else ""
