from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

from auditor.output import render
from auditor.report import Outcome, ReportSet
from auditor.rule import Rule
from rules import ALL_RULES

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))


def sarif(reports: ReportSet, rules: tuple[Rule, ...] = ()) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(render(reports, rules, "sarif"))
    assert [f"{error.json_path}: {error.message}" for error in Draft4Validator(SCHEMA).iter_errors(log)] == []
    run: dict[str, Any] = log["runs"][0]
    return run


def test_reports_on_every_fixture_fit_the_official_schema(fixture_reports: ReportSet):
    run = sarif(fixture_reports, ALL_RULES)
    shown = {Outcome.FAIL, Outcome.REVIEW, Outcome.OPEN}
    outcomes = [result.outcome for report in fixture_reports.reports for result in report.results]
    assert {result["properties"]["outcome"] for result in run["results"]} == shown
    assert len(run["results"]) >= sum(outcome in shown for outcome in outcomes)
    assert len(run["properties"]["submissions"]) == len(fixture_reports.reports)


def test_a_level_stands_only_where_the_format_allows_one(fixture_reports: ReportSet):
    kinds = {(result["kind"], result["level"]) for result in sarif(fixture_reports)["results"]}
    assert kinds == {("fail", "error"), ("fail", "warning"), ("open", "none")}


def test_what_passed_and_notes_stand_in_the_properties(samples: Callable[..., Any]):
    run = sarif(samples().all())
    first = run["properties"]["submissions"][0]
    assert {result["ruleId"] for result in run["results"]} == {"PG001", "PG003", "PG004", "PG201"}
    assert first["rulesByOutcome"]["pass"] == ["PG005"]
    assert first["notes"] == [{"ruleId": "PG005", "message": "no val_bpb is declared"}]
    assert first["headline"]["line"] == 21


def test_a_finding_carries_its_places_its_path_and_its_fingerprint(samples: Callable[..., Any]):
    [result] = [result for result in sarif(samples().all())["results"] if result["ruleId"] == "PG201"]
    [physical] = [location["physicalLocation"] for location in result["locations"]]
    [step] = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert physical["artifactLocation"]["uri"] == "records/track_10min_16mb/2026-04-15_Big/train_seed1.log"
    assert physical["region"]["startLine"] == 12
    assert step["location"]["message"]["text"].startswith("the model is written; train_gpt.py!decoded:7")
    assert [place["id"] for place in result["relatedLocations"]] == [1, 2]
    assert result["partialFingerprints"] == {"pgolf/v1": samples().too_big().fingerprint}


def test_decoded_source_is_located_in_the_shipped_file(samples: Callable[..., Any]):
    [result] = [result for result in sarif(samples().all())["results"] if result["ruleId"] == "PG201"]
    physical = result["relatedLocations"][1]["physicalLocation"]
    assert physical["artifactLocation"]["uri"].endswith("/train_gpt.py")
    assert physical["region"] == {"startLine": 2}


def test_rules_are_described_in_full(samples: Callable[..., Any], sample_rules: tuple[Rule, ...]):
    run = sarif(samples().all(), sample_rules)
    [rule] = run["tool"]["driver"]["rules"]
    [result] = [result for result in run["results"] if result["ruleId"] == "PG201"]
    assert result["ruleIndex"] == 0
    assert rule["defaultConfiguration"]["level"] == "error"
    assert all(word in rule["help"]["text"] for word in ("Requirement:", "Detection:", "Limits:", "Remedy:", "2026-03-18"))


def test_an_audit_that_could_not_be_done_did_not_succeed(samples: Callable[..., Any]):
    made = samples()
    assert sarif(made.set(made.clean()))["invocations"][0] == {
        "executionSuccessful": True,
        "toolExecutionNotifications": [],
    }
    assert sarif(made.set(made.error()))["invocations"][0]["executionSuccessful"] is False
    notes = sarif(made.set(made.violation()))["invocations"][0]["toolExecutionNotifications"]
    assert [note["level"] for note in notes] == ["warning", "error"]


def test_paths_become_uris(samples: Callable[..., Any]):
    report = samples().review()
    for path, start in (("a b/c:d", "a%20b/c%3Ad/"), ("/tmp/x", "file:///tmp/x/"), ("n\udc80", "n%80/")):
        moved = replace(report, submission=replace(report.submission, path=path))
        [result] = sarif(samples().set(moved))["results"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith(start)
