"""Completes the places that findings point to: the text that stands there, and for decoded source the shipped file.

Rules name a file and a line; quoting it is the same for all of them, so it is done here, once, for findings only (what was
found in order is not quoted). A report then holds all that a reader needs, and no format has to open a file. A line of a
minified script can have megabytes, so quotes are cut. What a rule already quoted is left as it is.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace

from auditor.finding import Finding, Location, Step
from auditor.report import RuleResult
from auditor.submission.errors import SubmissionError
from auditor.submission.submission import Submission

DECODED = "!decoded"  # what follows a file's name in the path of the source that it decodes to
_MAX_LINES = 6  # ours: a call that prints a line hardly ever has more
_MAX_CHARACTERS = 400  # ours: of one quoted line


class Excerpts:
    """Quotes lines of one submission."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self._files: dict[str, tuple[str, ...]] = {}

    def complete(self, result: RuleResult) -> RuleResult:
        """`result` with every place of its findings completed."""
        return replace(result, findings=tuple(map(self._finding, result.findings))) if result.findings else result

    def _finding(self, finding: Finding) -> Finding:
        return replace(
            finding,
            location=self.locate(finding.location) if finding.location else None,
            related=tuple((self.locate(location), text) for location, text in finding.related),
            steps=tuple(Step(location=self.locate(step.location), text=step.text) for step in finding.steps),
        )

    def locate(self, location: Location) -> Location:
        """`location` with its text and, in decoded source, the shipped file."""
        quoted = replace(location, snippet=self._quote(location)) if location.snippet is None else location
        shipped, mark, _ = location.path.partition(DECODED)
        if not mark or location.outer_path is not None:
            return quoted
        layers = self.submission.script.layers if self.submission.script else ()
        lines = [layer.outer_line for layer in layers if layer.outer_path == shipped]
        return replace(quoted, outer_path=shipped, outer_line=lines[0] if lines else None)

    def _quote(self, location: Location) -> str | None:
        if location.line is None:
            return None
        last = min(location.end_line or location.line, location.line + _MAX_LINES - 1)
        lines = self._lines(location.path)[location.line - 1 : last]
        quoted = textwrap.dedent("\n".join(line.expandtabs(4).rstrip() for line in lines)).split("\n")
        return "\n".join(line[:_MAX_CHARACTERS] for line in quoted) or None

    def _lines(self, path: str) -> tuple[str, ...]:
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: str) -> tuple[str, ...]:
        """The lines of a file or of decoded source; none where it cannot be read."""
        script = self.submission.script
        for module in script.modules if script else ():
            if module.source_path == path:
                return tuple(module.source.split("\n"))
        for log in self.submission.logs:
            if log.path == path:
                return log.lines
        try:
            return tuple(self.submission.files.read(path).decode("utf-8", "replace").split("\n"))
        except (SubmissionError, KeyError):
            return ()
