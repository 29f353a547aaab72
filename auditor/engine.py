"""Runs rules over one submission: in order, isolated from each other, under every ruleset.

A rule that raises is recorded as CRASHED with its traceback and never counts as a pass; the other rules still run. Each
rule is asked once per ruleset, so that a report can show where strict reading and practice differ; facts are shared and
cached on the submission, so that asking twice costs little.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from auditor.excerpts import Excerpts
from auditor.finding import Location, NotApplicable, Statement, Statements
from auditor.report import HeadlineLine, HeadlineSummary, Outcome, Report, RuleResult, SubmissionSummary
from auditor.rule import Rule, Ruleset, RulesetName
from auditor.source.story import tell
from auditor.source.timeline import draw
from auditor.submission.submission import Submission
from auditor.timeline import Timeline


def audit(
    submission: Submission,
    rules: Sequence[Rule],
    ruleset: Ruleset,
    *,
    explain_flow: bool = False,
    timelines: bool = False,
) -> Report:
    """Ask every rule about `submission` and return the report; results are in the order of `rules`.

    With `explain_flow`, the report also tells the evaluation as a story; with `timelines`, it holds what a picture of it is
    drawn from. What a run recorded, if there was one, is drawn in any case.
    """
    excerpts = Excerpts(submission)
    results = tuple(excerpts.complete(run_rule(rule, submission, ruleset)) for rule in rules)
    return Report(
        submission=summarize(submission),
        headline=_headline(submission, excerpts),
        results=results,
        unreadable=submission.unreadable,
        story=_story(submission) if explain_flow else (),
        timelines=tuple(_timelines(submission, from_source=timelines)),
        run=submission.run,
    )


def _story(submission: Submission) -> tuple[str, ...]:
    flow = submission.flow
    return tuple(tell(flow).splitlines()) if flow is not None else ("there is no source that could be read",)


def _timelines(submission: Submission, *, from_source: bool) -> Iterator[Timeline]:
    """Pictures by the source, if asked for, and by the run, if there was one."""
    if from_source and submission.flow is not None:
        drawn = draw(submission.flow.submitted, submission.headline)
        yield from (drawn,) if drawn is not None else ()
    if submission.run is not None and submission.run.timeline is not None:
        yield submission.run.timeline


def run_rule(rule: Rule, submission: Submission, ruleset: Ruleset) -> RuleResult:
    """One rule's result under `ruleset`, with its outcome under the other rulesets beside it."""
    others = (replace(ruleset, name=name) for name in RulesetName if name is not ruleset.name)
    return _ask(rule, submission, ruleset, tuple(_other_outcomes(rule, submission, others)))


def _other_outcomes(
    rule: Rule, submission: Submission, rulesets: Iterable[Ruleset]
) -> Iterable[tuple[RulesetName, Outcome]]:
    for other in rulesets:
        yield other.name, _ask(rule, submission, other, ()).outcome


def _ask(
    rule: Rule, submission: Submission, ruleset: Ruleset, others: tuple[tuple[RulesetName, Outcome], ...]
) -> RuleResult:
    statements = Statements()
    crash = None
    try:
        for statement in _check(rule, submission, ruleset):
            statements.add(statement)
    except Exception:  # noqa: BLE001 - the isolation point: a broken rule is recorded, never a pass, and stops no other
        crash = traceback.format_exc()
    return RuleResult(
        rule_id=rule.id,
        rule=rule.name,
        required=rule.required,
        alternatives=rule.alternatives,
        findings=tuple(statements.findings),
        evidence=tuple(statements.evidence),
        unestablished=tuple(statements.unestablished),
        not_applicable=tuple(statements.not_applicable),
        crash=crash,
        other_outcomes=others,
    )


def _check(rule: Rule, submission: Submission, ruleset: Ruleset) -> Iterable[Statement]:
    in_force = min(authority.since for authority in rule.authority)
    if in_force > ruleset.as_of:
        return (NotApplicable(reason=f"in force only since {in_force}, after {ruleset.as_of}"),)
    return rule.check(submission, ruleset)


def summarize(submission: Submission) -> SubmissionSummary:
    """Which submission this is, for the report's head."""
    script = submission.script
    return SubmissionSummary(
        path=submission.path,
        pr=submission.pr,
        commit=submission.commit,
        script=script.path if script else None,
        code_bytes=script.num_bytes if script else None,
        packed=script.packed if script else False,
        unwrapped=tuple(layer.method for layer in script.layers) if script else (),
        parsed=script is not None and all(module.tree is not None for module in script.modules),
        digest=submission.digest,
        chosen_because=submission.chosen_because,
    )


def _headline(submission: Submission, excerpts: Excerpts) -> HeadlineSummary:
    headline = submission.headline
    first = headline.lines[0] if headline.lines else None
    return HeadlineSummary(
        val_bpb=headline.val_bpb,
        claimed_in=headline.claimed_in,
        label=first.metric.label if first else None,
        log=first.metric.log if first else None,
        line=first.metric.line if first else None,
        kind=headline.kind,
        evaluation=first.evaluation if first else None,
        printable_by_script=first.printable if first else None,
        lines=tuple(
            HeadlineLine(
                log=line.metric.log,
                line=line.metric.line,
                label=line.metric.label,
                seed=line.seed,
                val_bpb=line.val_bpb,
                val_loss=line.metric.val_loss,
                printable_by_script=line.printable,
                text=excerpts.locate(Location(path=line.metric.log, line=line.metric.line)).snippet,
            )
            for line in headline.lines
        ),
        explanation=headline.explanation,
        print_site=excerpts.locate(first.print_site) if first and first.print_site else None,
    )
