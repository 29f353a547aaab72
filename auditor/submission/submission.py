"""One submission: its files, and the facts read from them, each established on first use and then kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from auditor.headline import Headline, trace_headline
from auditor.provenance import PrintedLines, compare_lines
from auditor.report import Unreadable
from auditor.source.byte_probe import Probe, probe_byte_counts
from auditor.source.configuration import Configuration, resolve_configuration
from auditor.source.flow.analysis import Flow, analyse
from auditor.source.flow.settings import EffectiveSettings
from auditor.source.prints import PrintSite, find_print_sites, find_printer_of
from auditor.source.scopes import Scopes
from auditor.submission.entry import read_alone, read_script
from auditor.submission.errors import SubmissionError
from auditor.submission.logs.model import Log, Run
from auditor.submission.logs.reader import read_logs
from auditor.submission.metadata import Metadata, find_metadata, read_metadata
from auditor.submission.readme import Readme, read_readme
from auditor.submission.script import Script
from auditor.submission.tree import FileTree

if TYPE_CHECKING:
    from auditor.run.facts import RunFacts

_Fact = TypeVar("_Fact")
_About = ParamSpec("_About")

_MAX_HELPERS = 30  # ours: a folder with more scripts is a collection of experiments
_TRAINING_SHARDS = re.compile(r"fineweb_train|\btrain_files\b")
_DATE = re.compile(r"20\d\d-\d\d-\d\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path of the repository that a pull request touches; `kind` is added, modified or deleted."""

    path: str
    kind: str


class Submission:
    """One submission folder (or a lone script) and everything read from it.

    `path` is how the user names it (a folder, or its path in the repository). `changes` is what the pull request
    touches in the whole repository, None when the submission was not read from a change. `other_folders` are further
    record folders of the same pull request, `chosen_because` says why this one was taken. `run` is what a run of it
    established, None where none was asked for: nothing is ever run on demand.
    """

    def __init__(
        self,
        path: str,
        files: FileTree,
        *,
        pr: int | None = None,
        commit: str | None = None,
        committed: date | None = None,
        changes: tuple[Change, ...] | None = None,
        other_folders: tuple[str, ...] = (),
        chosen_because: str | None = None,
        entry: str | None = None,
    ) -> None:
        self.path = path
        self.files = files
        self.pr = pr
        self.commit = commit
        self.committed = committed
        self.changes = changes
        self.other_folders = other_folders
        self.chosen_because = chosen_because
        self.entry = entry
        self.run: RunFacts | None = None
        self.facts: dict[Hashable, object] = {}  # see `fact`
        self._printed_lines: dict[tuple[str, int], PrintedLines] = {}

    @cached_property
    def _script(self) -> tuple[Script | None, tuple[Unreadable, ...]]:
        return read_script(self.files, self.entry)

    @cached_property
    def _metadata(self) -> tuple[Metadata | None, tuple[Unreadable, ...]]:
        return read_metadata(self.files)

    @cached_property
    def _logs(self) -> tuple[tuple[Log, ...], tuple[Unreadable, ...]]:
        return read_logs(self.files)

    @cached_property
    def _readme(self) -> tuple[Readme | None, tuple[Unreadable, ...]]:
        return read_readme(self.files)

    @property
    def script(self) -> Script | None:
        """The entry point, unwrapped and parsed; None if the folder has none."""
        return self._script[0]

    @property
    def metadata(self) -> Metadata | None:
        """submission.json; None if there is none or it cannot be read."""
        return self._metadata[0]

    @property
    def metadata_path(self) -> str | None:
        """Where submission.json lies, readable or not."""
        return find_metadata(self.files.paths())

    @property
    def readme(self) -> Readme | None:
        """The README with its run commands and claims."""
        return self._readme[0]

    @property
    def logs(self) -> tuple[Log, ...]:
        """Every training log, in path order."""
        return self._logs[0]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of every log that is not a copy of another."""
        return tuple(run for log in self.logs if log.duplicate_of is None for run in log.runs)

    @cached_property
    def print_sites(self) -> tuple[PrintSite, ...]:
        """Every place in the shipped script that can print a line."""
        return find_print_sites(self.scopes)

    @cached_property
    def helper_print_sites(self) -> Mapping[str, tuple[PrintSite, ...]]:
        """What shipped Python files that the script does not use can print, by path; copies are left out."""
        used = {module.path for module in self.script.modules} if self.script else set()
        helpers: dict[str, Script] = {}
        for path in self.files.paths():
            if path.endswith(".py") and path not in used and (helper := read_alone(self.files, path)):
                helpers.setdefault(helper.main.source, helper)
            if len(helpers) == _MAX_HELPERS:
                break
        return {helper.path: find_print_sites(Scopes.of(helper)) for helper in helpers.values()}

    def printed_lines(self, run: Run) -> PrintedLines:
        """Which lines of one of the submission's runs the shipped script can print."""
        key = run.log, run.index
        if key not in self._printed_lines:
            lines = next(log.lines for log in self.logs if log.path == run.log)
            self._printed_lines[key] = compare_lines(run, lines, self.print_sites)
        return self._printed_lines[key]

    @cached_property
    def headline(self) -> Headline:
        """Where the submitted number comes from."""
        unread = [problem.path for problem in (*self._metadata[1], *self._readme[1], *self._logs[1])]
        return trace_headline(self.metadata, self.readme, self.logs, self.script, self.print_sites, unread)

    @cached_property
    def scopes(self) -> Scopes:
        """The functions of the script: what each defines, calls and binds."""
        return Scopes.of(self.script) if self.script else Scopes(())

    @cached_property
    def configuration(self) -> Configuration:
        """The value that each switch had in the submitted run, and where it comes from."""
        is_record = "non_record" not in self.path
        return resolve_configuration(
            self.script, self.scopes, self.logs, self.readme, self.headline, self.print_sites, is_record
        )

    @cached_property
    def evaluator(self) -> Script | None:
        """The shipped script that prints the submitted number, where the entry point neither does so nor uses it.

        A script that opens the training shards itself is another way to train, no evaluation of what the first trained.
        """
        lines = self.headline.lines
        if not lines or any(line.print_site for line in lines):
            return None
        metric = lines[0].metric
        log = next(log.lines for log in self.logs if log.path == metric.log)
        printers = [path for path, sites in self.helper_print_sites.items() if find_printer_of(sites, metric, log)[0]]
        script = read_script(self.files, printers[0])[0] if len(printers) == 1 else None
        return None if script is None or _TRAINING_SHARDS.search(script.main.source) else script

    @cached_property
    def flow(self) -> Flow | None:
        """What the script does with the validation tokens, in program order; None if there is no source to read.

        A separate script that prints the submitted number is taken to run afterwards.
        """
        if self.script is None or self.script.main.tree is None:
            return None
        return analyse(self.script, EffectiveSettings(self.configuration), self.evaluator)

    @cached_property
    def byte_counts(self) -> Probe | None:
        """How many bytes the script counts for a token of each kind; None if there is no source to read."""
        return probe_byte_counts(self.script, self.scopes) if self.script else None

    @cached_property
    def day(self) -> date | None:
        """The day that the submission is judged by: declared date, else the folder's date, else the commit's."""
        declared = self.metadata.date if self.metadata else None
        for text in (declared or "", self.path):
            if match := _DATE.search(text):
                try:
                    return date.fromisoformat(match.group())
                except ValueError:
                    continue
        return self.committed

    @cached_property
    def digest(self) -> str:
        """SHA-256 over path and content of every file, in path order; unreadable files count by path and reason."""
        whole = hashlib.sha256()
        for path in self.files.paths():
            try:
                content = hashlib.sha256(self.files.read(path)).digest()
            except SubmissionError as error:
                content = error.reason.encode()
            whole.update(path.encode("utf-8", "surrogateescape") + b"\0" + content)
        return whole.hexdigest()

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Everything that could not be read, decoded or parsed."""
        return self.files.problems() + self._script[1] + self._metadata[1] + self._readme[1] + self._logs[1]


def fact(establish: Callable[Concatenate[Submission, _About], _Fact]) -> Callable[Concatenate[Submission, _About], _Fact]:
    """What a rule establishes of a submission by itself: done once, though rules are asked under every ruleset.

    Further arguments, which say what the fact is about, have to be hashable.
    """

    @wraps(establish)
    def kept(submission: Submission, /, *about: _About.args, **more: _About.kwargs) -> _Fact:
        key = (establish, about, tuple(more.items()))
        if key not in submission.facts:
            submission.facts[key] = establish(submission, *about, **more)
        return cast("_Fact", submission.facts[key])

    return kept
