"""PG802: the submitted score covers only a part of the validation split."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from datetime import date

from auditor.finding import (
    Basis,
    Confidence,
    Evidence,
    Finding,
    Location,
    Measurement,
    NotApplicable,
    Statement,
    Unestablished,
)
from auditor.rule import Authority, AuthorityLevel, Rule, Ruleset, Status, everywhere
from auditor.submission.submission import Submission
from rules.confront import confront
from rules.limits import CLEARLY_PARTIAL, LAUNCH, MAX_BYTES_PER_TOKEN, SUBSET_10K_TOKENS
from rules.metric.identity import ScoredLine, scored_lines
from rules.metric.split import Split, shown_bytes, split_of
from rules.run_facts import part_scored

_LIMIT_NAME = re.compile(r"(max_val_tokens|val_max_tokens|val_tokens?_limit|val_token_cap|max_eval_tokens|eval_max_tokens)")
_OWN_LIMIT = re.compile(r"(?=.*(?:val|eval))(?=.*(?:max|limit|cap))\w*tokens?(?:_\w+)?")
_FULL_CLAIM = re.compile(r"full[_ -]?(fineweb[_ -]?)?val", re.IGNORECASE)


class PartialValidation(Rule):
    """The submitted score covers only a part of the validation split.

    Requirement: every token of the fineweb_val split (its first 50,000 documents) is scored, the tail included up to
    one partial window.

    Detection: the bytes behind the submitted line, printed or by the identity tokens * val_loss / (ln 2 * val_bpb), fall
    short of the split; or, without a usable loss, fewer tokens were scored than any tokenizer needs for that much text.
    Trimming to the sequence length and one dropped window stay inside the tolerance. Where no total can be computed, a
    setting that truncates validation asks for a person; and so does a limit on tokens that is on, below the count that
    the log names, and read by the very function whose result is submitted: that count is then the loader's.

    Limits: a score on other text of the right size is not noticed, nor is a subset whose log prints neither token nor
    byte counts. A log that reports one rank's share under the name of the whole looks like a subset.

    Remedy: score the whole split and report that; keep subset scores out of submission.json.
    """

    id = "PG802"
    name = "partial-validation"
    family = "single pass"
    authority = (
        Authority(AuthorityLevel.README, "score is taken on the full fineweb_val split", LAUNCH),
        Authority(
            AuthorityLevel.ORGANISER, "missing evidence of a full-split score excludes a row (#1902)", date(2026, 4, 29)
        ),
    )
    status = everywhere(Status.VIOLATION)
    required = frozenset({Basis.LOG})

    def check(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        """Hold every line of the headline against the size of the split; alike findings are stated once."""
        yield from confront(self, submission, ruleset, self._by_logs(submission, ruleset), part_scored)

    def _by_logs(self, submission: Submission, ruleset: Ruleset) -> Iterator[Statement]:
        if submission.headline.kind == "none":
            yield NotApplicable(reason="no val_bpb is claimed")
            return
        lines, split = scored_lines(submission), split_of(ruleset)
        short = [line for line in lines if _is_short(line, split)]
        if short:
            yield self._short(short, submission, ruleset)
        limit = None if short else _own_limit(submission, lines)
        if limit is not None:
            message, location = limit
            yield self.finding(
                ruleset, message, basis=Basis.SOURCE, status=Status.REVIEW, location=location, anchor="own limit"
            )
            return
        whole = next((line for line in lines if line not in short and _covers(line, split)), None)
        if whole is not None:
            message = f"`{whole.metric.label}` covers {split.described_whole}"
            yield Evidence(basis=Basis.LOG, message=message, location=_location(whole))
        if not short and (whole is None or not all(_covers(line, split) for line in lines)):
            yield self._unknown(submission, ruleset)

    def _short(self, lines: list[ScoredLine], submission: Submission, ruleset: Ruleset) -> Finding:
        first, split = lines[0], split_of(ruleset)
        claim = _full_claim(submission)
        message = _described(first, split) + (f", although {claim}" if claim else "")
        num_bytes = _num_bytes(first)
        clearly = num_bytes is None or num_bytes < CLEARLY_PARTIAL.value * split.num_bytes
        certain = first.in_headline and clearly
        if not clearly:
            message += ", or its bytes are undercounted"
        return self.finding(
            ruleset,
            message,
            basis=Basis.LOG,
            status=None if certain else Status.REVIEW,
            confidence=Confidence.HIGH if certain else Confidence.MEDIUM,
            location=_location(first),
            related=tuple((_location(line), _described(line, split)) for line in lines[1:]),
            measurement=Measurement(
                quantity="validation bytes scored", observed=num_bytes, limit=split.num_bytes, unit="bytes"
            )
            if num_bytes is not None
            else None,
            remedy="score the whole validation split",
            anchor="subset",
        )

    def _unknown(self, submission: Submission, ruleset: Ruleset) -> Statement:
        setting = _truncation(submission)
        if setting is None:
            return Unestablished(message="the log does not say how many bytes of the validation split were scored")
        message, location = setting
        return self.finding(ruleset, message, basis=Basis.FILES, status=Status.REVIEW, location=location, anchor="setting")


def _num_bytes(line: ScoredLine) -> float | None:
    if line.printed_bytes is not None and line.printed_bytes != line.num_tokens:
        return line.printed_bytes
    return line.num_bytes.high if line.num_bytes else None


def _is_short(line: ScoredLine, split: Split) -> bool:
    num_bytes = _num_bytes(line)
    if num_bytes is not None:
        return num_bytes < split.whole.low
    return line.num_tokens is not None and line.num_tokens * MAX_BYTES_PER_TOKEN.value < split.whole.low


def _covers(line: ScoredLine, split: Split) -> bool:
    num_bytes = _num_bytes(line)
    return num_bytes is not None and num_bytes >= split.whole.low


def _described(line: ScoredLine, split: Split) -> str:
    num_bytes = _num_bytes(line)
    known = ", the preparation with 10,000 documents" if line.num_tokens == SUBSET_10K_TOKENS.value else ""
    whole = shown_bytes(split.num_bytes)
    if num_bytes is None:
        return f"`{line.metric.label}` was scored on {line.num_tokens:,} tokens{known}: too few for {whole} of text"
    counted = line.metric.num_tokens if line.printed_bytes is not None else line.num_tokens
    tokens = f" ({counted:,} tokens{known})" if counted else ""
    return f"`{line.metric.label}` was scored on {shown_bytes(num_bytes)}{tokens} of the split's {whole}"


def _own_limit(submission: Submission, lines: Sequence[ScoredLine]) -> tuple[str, Location | None] | None:
    """A limit below the logged count that the evaluation of the headline reads itself, and where it is set."""
    counted = max((line.num_tokens or 0 for line in lines if line.in_headline), default=0)
    for function in dict.fromkeys(line.evaluation for line in submission.headline.lines if line.evaluation):
        for node in submission.scopes.attributes_of(function):
            if not _OWN_LIMIT.fullmatch(node.attr.lower()):
                continue
            found = submission.configuration.attribute(ast.unparse(node.value), node.attr)
            if found and isinstance(found.value, int) and 0 < found.value < counted:
                message = f"`{function}` reads {node.attr}, which was {found.value:,}; the log counts {counted:,} tokens"
                return message, found.location
    return None


def _truncation(submission: Submission) -> tuple[str, Location] | None:
    """A setting that is on and truncates validation, in a log or in a run command."""
    for run in submission.runs:
        for name, setting in (run.settings or {}).items():
            if _LIMIT_NAME.fullmatch(name) and setting.value.isdigit() and int(setting.value) > 0:
                return f"the run set {name}={setting.value}", Location(path=setting.log, line=setting.line)
    for command in submission.readme.commands if submission.readme else ():
        for name, value in command.environment.items():
            if _LIMIT_NAME.fullmatch(name.lower()) and value.isdigit() and int(value) > 0:
                return f"the run command sets {name}={value}", Location(path=command.path, line=command.line)
    return None


def _full_claim(submission: Submission) -> str | None:
    """A statement in submission.json that the whole split was scored."""
    metadata = submission.metadata
    claims = (key for key, value in metadata.raw.items() if _FULL_CLAIM.search(key) and value is True) if metadata else ()
    key = next(iter(claims), None)
    return f"submission.json says {key}: true" if key else None


def _location(line: ScoredLine) -> Location:
    return Location(path=line.metric.log, line=line.metric.line, snippet=line.metric.text)
