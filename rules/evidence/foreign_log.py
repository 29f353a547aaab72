"""PG001: the log that carries the submitted number was not printed by the shipped script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import ClassVar

from auditor.finding import Basis, Confidence, Evidence, Location, Measurement, Statement, Unestablished
from auditor.headline import CarrierLine
from auditor.provenance import (
    CodeSize,
    CodeSizes,
    code_sizes,
    compare_code_size,
    count_different_lines,
    find_missing_labels,
    find_nearest_site,
    find_unknown_settings,
)
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, RulesetName, Status
from auditor.source.prints import find_printer_of, is_cut_off
from auditor.submission.logs.model import LogFact, Metric, Run
from auditor.submission.script import Script
from auditor.submission.submission import Submission
from auditor.submission.tree import sizes_of
from rules.limits import CODE_SIZE_DRIFT_BYTES, CODE_SIZE_SLACK_BYTES, LAUNCH


class ForeignLog(Rule):
    """The log that carries the submitted number was not printed by the shipped script.

    Requirement: A submission ships the script that made its numbers and the log which that script printed. A log of
    another version, even of a better one, is evidence for another submission.

    Detection: Looks at the runs that carry the submitted number (every run where none does). Can a print site of the
    shipped code produce the line that carries it, and the run's other metric and size lines? Is the logged code size
    (where none is printed, what two totals leave beside their models) that of the shipped file or of what it decodes to,
    in bytes or in characters? Is the source that the run printed the
    shipped one? Does the script know every hyper-parameter that the run dumped? A line that nothing can have printed is a
    violation; another code size, source or hyper-parameter is for a person to judge, as listed records have them.

    Limits: Two versions of equal length that print the same lines (an edited default) cannot be told apart unless the
    log holds the source. Lines of libraries, launchers and wrappers are nobody's and are not judged. A line that only a
    bare ``print(text)`` matches is not established, in either direction.

    Remedy: Ship the log that this script printed, or the script that printed this log, and say in the README what was
    edited after the run.
    """

    id = "PG001"
    name = "foreign-log"
    family = "evidence"
    authority = (
        Authority(AuthorityLevel.README, "a submission holds a train log, automatically produced by its script", LAUNCH),
        Authority(
            AuthorityLevel.PRACTICE,
            "records were listed whose code was edited after the run",
            date(2026, 3, 19),
        ),
    )
    status: ClassVar[Mapping[RulesetName, Status]] = {
        RulesetName.PRACTICE: Status.REVIEW,
        RulesetName.README: Status.VIOLATION,
    }
    required = frozenset({Basis.LOG, Basis.SOURCE})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Hold every run that carries the headline against the shipped script."""
        script = submission.script
        if script is None:
            yield Unestablished(message="there is no script that the log could be held against")
        elif not submission.runs:
            yield Unestablished(message="no training log is shipped, so nothing shows which script made the claimed number")
        else:
            yield from self._compare(_Comparison(self, submission, ruleset, script))

    def _compare(self, comparison: _Comparison) -> Iterator[Statement]:
        unread = comparison.script.main.error
        if unread:
            message = f"{comparison.script.path} cannot be read, so what it prints is not known: {unread}"
            yield Unestablished(message=message, location=Location(path=comparison.script.path))
        else:
            yield from comparison.carriers()
        yield from comparison.code_sizes()
        yield from comparison.sources()
        if not unread:
            yield from comparison.lines()
            yield from comparison.settings()


@dataclass(frozen=True)
class _Comparison:
    """One submission's decisive runs against its script, under one ruleset."""

    rule: ForeignLog
    submission: Submission
    ruleset: Ruleset
    script: Script

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs that carry the submitted number. Where none does, those of the shipped script, else all.

        A folder may hold the logs of other experiments; only where nothing else is there do they have to be its own.
        """
        carrying = {(line.metric.log, line.metric.run) for line in self.submission.headline.lines}
        runs = self.submission.runs
        carriers = tuple(run for run in runs if (run.log, run.index) in carrying)
        return carriers or tuple(run for run in runs if self._is_own(run)) or runs

    def _is_own(self, run: Run) -> bool:
        size = compare_code_size(run, self._sizes, self.submission.print_sites)
        if run.source is not None:
            return count_different_lines(run.source, self.script) == 0
        return size is not None and abs(size.difference_bytes) <= CODE_SIZE_SLACK_BYTES.value

    @cached_property
    def _sizes(self) -> CodeSizes:
        return code_sizes(self.script, sizes_of(self.submission.files, ".py"))

    def _lines_of(self, path: str) -> tuple[str, ...]:
        return next(log.lines for log in self.submission.logs if log.path == path)

    def carriers(self) -> Iterator[Statement]:
        """Can the shipped code print the lines that carry the submitted number?"""
        lines = self.submission.headline.lines
        for label, foreign in _grouped(line for line in lines if line.printable is False):
            yield from self._unprinted_carriers(label, foreign)
        for label, unclear in _grouped(line for line in lines if line.printable is None):
            place = _carriers(unclear)
            message = f"{place}: only a bare print of a variable can have printed the line {label!r}"
            yield Unestablished(message=message, location=_location(unclear[0].metric))
        for label, printed in _grouped(line for line in lines if line.printable):
            place = _carriers(printed)
            message = f"{self.script.path} prints the line {label!r} that carries the submitted number ({place})"
            yield Evidence(basis=Basis.SOURCE, message=message, location=printed[0].print_site)

    def _unprinted_carriers(self, label: str, lines: Sequence[CarrierLine]) -> Iterator[Statement]:
        own = [twin for line in lines if (twin := self._printed_twin(line.metric))]
        if len(own) == len(lines):
            message = f"{self.script.path} prints the submitted number on another line as well ({_places(own)})"
            yield Evidence(basis=Basis.SOURCE, message=message, location=_location(own[0]))
        elif all(is_cut_off(self.submission.print_sites, line.metric.text) for line in lines):
            message = f"{_carriers(lines)} is the beginning of the line {label!r} that {self.script.path} prints"
            yield Evidence(basis=Basis.SOURCE, message=message, location=_location(lines[0].metric))
        elif helper := self._helper_that_prints(lines[0].metric):
            yield self._carried_by_helper(helper, label, lines)
        else:
            yield self._foreign_carriers(label, lines)

    def _printed_twin(self, metric: Metric) -> Metric | None:
        """A line of the same run with the same number that the script prints: the carrier then is a wrapper's echo."""
        for run in self.runs:
            for other in run.metrics if (run.log, run.index) == (metric.log, metric.run) else ():
                rounding = 0.5 * 10.0 ** -min(metric.num_decimals, other.num_decimals)
                same = abs(other.val_bpb - metric.val_bpb) <= rounding * 1.001
                lines = self._lines_of(other.log)
                if same and find_printer_of(self.submission.print_sites, other, lines)[0]:
                    return other
        return None

    def _foreign_carriers(self, label: str, lines: Sequence[CarrierLine]) -> Statement:
        is_whole = not self.script.missing and all(module.error is None for module in self.script.modules)
        sites = self.submission.print_sites
        nearest = find_nearest_site(sites, lines[0].metric.text)
        message = f"{_carriers(lines)} carries the submitted number as {label!r}, which {self.script.path} cannot print"
        if nearest is not None:
            message += f"; the nearest it prints is {nearest.label or nearest.text!r} (line {nearest.location.line})"
        labels = find_missing_labels(sites, self._lines_of(lines[0].metric.log))
        missing = [label for label in labels if nearest is None or label != nearest.label]
        if missing:
            message += f"; the log has no line {', '.join(missing)}, which the script prints"
        return self.rule.finding(
            self.ruleset,
            message,
            basis=Basis.LOG,
            status=Status.VIOLATION if is_whole else Status.REVIEW,
            confidence=Confidence.HIGH if is_whole else Confidence.MEDIUM,
            location=_location(lines[0].metric),
            related=((nearest.location, "the nearest print"),) if nearest else (),
            remedy="ship the script that printed this log, or the log that this script prints",
            anchor=f"label {label}",
        )

    def _helper_that_prints(self, fact: LogFact) -> str | None:
        helpers, lines = self.submission.helper_print_sites.items(), self._lines_of(fact.log)
        return next((path for path, sites in helpers if find_printer_of(sites, fact, lines)[0]), None)

    def _carried_by_helper(self, helper: str, label: str, lines: Sequence[CarrierLine]) -> Statement:
        return self.rule.finding(
            self.ruleset,
            f"{_carriers(lines)} carries the submitted number as {label!r}, which {helper} prints and "
            f"{self.script.path} does not use",
            basis=Basis.LOG,
            status=Status.REVIEW,
            location=_location(lines[0].metric),
            remedy="say in the README how the helper was run, and on which artifact",
            anchor=f"label {label}",
        )

    def code_sizes(self) -> Iterator[Statement]:
        """Did the runs log the size of the shipped code as theirs?"""
        logged: dict[tuple[bool, int], list[CodeSize]] = {}
        for run in self.runs:
            size = compare_code_size(run, self._sizes, self.submission.print_sites)
            if size is not None and not self._is_another_seed(run, size):
                same = abs(size.difference_bytes) <= CODE_SIZE_SLACK_BYTES.value
                logged.setdefault((same, size.size.num_bytes), []).append(size)
        for (same, _), group in logged.items():
            first = group[0]
            if same and first.shipped_as not in self._sizes.own:
                yield self._size_of_another_file(group)
            elif same:
                message = f"{_logs(group)}: the code size, {first.size.num_bytes:,} bytes, is that of {first.shipped_as}"
                yield Evidence(basis=Basis.LOG, message=message, location=_location(first.size))
            else:
                yield self._other_code_size(group)

    def _is_another_seed(self, run: Run, size: CodeSize) -> bool:
        """Does the source that the run printed differ from the shipped one by its seed alone, and by as many bytes?"""
        if run.source is None or count_different_lines(run.source, self.script):
            return False
        printed, shipped = (len(text.strip().encode()) for text in (run.source.text, self.script.main.source))
        return printed - shipped == size.difference_bytes != 0

    def _size_of_another_file(self, group: Sequence[CodeSize]) -> Statement:
        first = group[0]
        return self.rule.finding(
            self.ruleset,
            f"{_logs(group)}: the code size is that of {first.shipped_as} ({first.shipped_bytes:,} bytes), which "
            f"{self.script.path} ({self.script.num_bytes:,}) does not run",
            basis=Basis.LOG,
            status=Status.REVIEW,
            location=_location(first.size),
            remedy="ship the script that ran as the submission's script",
            anchor="code size of another file",
        )

    def _other_code_size(self, group: Sequence[CodeSize]) -> Statement:
        first = group[0]
        difference = first.difference_bytes
        is_drift = abs(difference) <= CODE_SIZE_DRIFT_BYTES.value
        return self.rule.finding(
            self.ruleset,
            f"{_logs(group)}: printed by a script of {first.size.num_bytes:,} bytes, {abs(difference):,} "
            f"{'more' if difference > 0 else 'fewer'} than the shipped {first.shipped_as} ({first.shipped_bytes:,})",
            basis=Basis.LOG,
            status=Status.REVIEW if is_drift else None,
            location=_location(first.size),
            related=tuple((_location(other.size), "logged here too") for other in group[1:]),
            measurement=Measurement(
                quantity="code size", observed=first.size.num_bytes, limit=first.shipped_bytes, unit="bytes"
            ),
            remedy="ship the version that ran, or run the shipped version again",
            anchor="code size drift" if is_drift else "code size",
        )

    def sources(self) -> Iterator[Statement]:
        """Is the source that a run printed the shipped one?"""
        for run in self.runs:
            if run.source is None:
                continue
            place = Location(path=run.log, line=run.source.first_line, end_line=run.source.last_line)
            num_different = count_different_lines(run.source, self.script)
            if num_different:
                message = f"the source that {run.log} prints differs from the shipped one in {num_different} lines"
                yield self.rule.finding(self.ruleset, message, basis=Basis.LOG, location=place, anchor="embedded source")
            else:
                message = f"the source that {run.log} prints is the shipped one"
                yield Evidence(basis=Basis.LOG, message=message, location=place)

    def lines(self) -> Iterator[Statement]:
        """Can the shipped code print the other metric and size lines?"""
        carried = {line.metric.text for line in self.submission.headline.lines}
        for run in self.runs:
            printed = self.submission.printed_lines(run)
            others = [fact for fact in printed.unprintable if fact.text not in carried]
            foreign = [fact for fact in others if self._helper_that_prints(fact) is None]
            if foreign:
                yield self._foreign_line(foreign, printed.num_shapes)
            elif not printed.unprintable:
                span = f"{run.log}:{printed.first_line}-{printed.last_line}"
                message = f"{self.script.path} prints all {printed.num_shapes} kinds of metric and size lines of {span}"
                yield Evidence(basis=Basis.LOG, message=message)
            if printed.cut_off:
                first = printed.cut_off[0]
                message = f"{first.log}:{first.line} is the beginning of a line that the script prints: the log was trimmed"
                yield self.rule.finding(
                    self.ruleset, message, basis=Basis.LOG, status=Status.NOTE, location=_location(first), anchor="trimmed"
                )

    def _foreign_line(self, foreign: Sequence[LogFact], num_shapes: int) -> Statement:
        first = foreign[0]
        return self.rule.finding(
            self.ruleset,
            f"{self.script.path} cannot print {len(foreign)} of the {num_shapes} kinds of metric and size lines in "
            f"{first.log}, for instance line {first.line}: {_shortened(first.text)!r}",
            basis=Basis.LOG,
            location=_location(first),
            related=tuple((_location(fact), "not printable either") for fact in foreign[1:]),
            anchor="lines",
        )

    def settings(self) -> Iterator[Statement]:
        """Does the script know every hyper-parameter that a run dumped? Not asked where the code size tells already."""
        for run in self.runs:
            size = compare_code_size(run, self._sizes, self.submission.print_sites)
            if size is not None and not size.difference_bytes:
                continue
            printed = self.submission.printed_lines(run)
            unknown = find_unknown_settings(
                run, printed, self.script, self.submission.print_sites, self.submission.configuration.knows
            )
            unknown = tuple(setting for setting in unknown if self._helper_that_prints(setting) is None)
            if unknown:
                names = ", ".join(setting.name for setting in unknown)
                yield self.rule.finding(
                    self.ruleset,
                    f"{run.log} lists hyper-parameters that {self.script.path} does not have: {names}",
                    basis=Basis.LOG,
                    location=_location(unknown[0]),
                    anchor="settings",
                )


def _grouped(lines: Iterable[CarrierLine]) -> Iterator[tuple[str, list[CarrierLine]]]:
    """The lines by their label; lines without one go by the first one's text."""
    groups: dict[str, list[CarrierLine]] = {}
    for line in lines:
        shape = re.sub(r"\d+", "0", line.metric.text)
        groups.setdefault(line.metric.label or shape, []).append(line)
    for group in groups.values():
        yield group[0].metric.label or _shortened(group[0].metric.text), group


def _places(metrics: Sequence[Metric]) -> str:
    return ", ".join(f"{metric.log}:{metric.line}" for metric in metrics)


def _carriers(lines: Sequence[CarrierLine]) -> str:
    return _places([line.metric for line in lines])


def _logs(sizes: Sequence[CodeSize]) -> str:
    return ", ".join(dict.fromkeys(size.size.log for size in sizes))


def _location(fact: LogFact) -> Location:
    return Location(path=fact.log, line=fact.line, snippet=fact.text)


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."
