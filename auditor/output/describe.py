"""What there is to say about a rule, gathered once: `explain`, the generated page and SARIF show the same parts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass

from auditor.finding import Basis
from auditor.rule import Rule, RulesetName, Status

SECTIONS = ("Requirement", "Detection", "Limits", "Remedy")
_SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):\s*", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """A rule's public record as text. `sections` are the docstring's, one paragraph each, without line breaks."""

    id: str
    name: str
    family: str
    summary: str
    sections: Mapping[str, str]
    status: Mapping[RulesetName, Status]
    authorities: tuple[str, ...]
    required: tuple[str, ...]
    alternatives: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole record as plain paragraphs."""
        said = [f"{title}: {body}" for title, body in self.sections.items()]
        return "\n\n".join([self.summary, *said, *(f"Authority: {authority}" for authority in self.authorities)])

    @property
    def markdown(self) -> str:
        """The whole record as Markdown, without a heading of its own. The text is ours, so nothing is escaped."""
        parts = [self.summary]
        parts += [f"**{title}.** {body}" for title, body in self.sections.items()]
        parts.append("**Authority.**\n\n" + "\n".join(f"- {authority}" for authority in self.authorities))
        return "\n\n".join(parts)


def describe(rule: Rule) -> RuleText:
    """The record of `rule`, from its docstring and class attributes. ValueError if the docstring lacks a section."""
    summary, *rest = _SECTION.split(inspect.cleandoc(type(rule).__doc__ or ""))
    sections = {title: sentence(_one_line(body)) for title, body in zip(rest[::2], rest[1::2], strict=True)}
    if missing := [title for title in SECTIONS if title not in sections]:
        raise ValueError(f"the docstring of {type(rule).__name__} has no section {', '.join(missing)}")
    return RuleText(
        id=rule.id,
        name=rule.name,
        family=rule.family,
        summary=_one_line(summary),
        sections=sections,
        status={ruleset: rule.status[ruleset] for ruleset in RulesetName},
        authorities=tuple(authorities(rule)),
        required=tuple(basis for basis in Basis if basis in rule.required),
        alternatives=tuple(basis for basis in Basis if basis in rule.alternatives),
    )


def authorities(rule: Rule) -> list[str]:
    """Who says so, where and since when, oldest first."""
    ordered = sorted(rule.authority, key=lambda authority: authority.since)
    return [f"{authority.level} ({authority.since}): {authority.reference}" for authority in ordered]


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def sentence(text: str) -> str:
    """`text` with a capital first letter, unless it begins with a name such as ``submission.json``."""
    return f"{text[:1].upper()}{text[1:]}" if text.split(maxsplit=1)[0].isalpha() else text


def needed(text: RuleText) -> str:
    """The evidence that a pass needs: ``source, or all of it from run``."""
    required = " and ".join(text.required)
    return f"{required}, or all of it from {' or '.join(text.alternatives)}" if text.alternatives else required
