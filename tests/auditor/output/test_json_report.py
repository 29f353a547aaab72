from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor.finding import Measurement, Suppression, SuppressionKind
from auditor.output import render
from auditor.output.json_report import from_json, to_json
from auditor.report import ReportSet

SCHEMA = json.loads((files("auditor.output") / "report.schema.json").read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """The schema with no key allowed that it does not describe."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    return {"additionalProperties": False} | inner if "properties" in inner else inner


def errors(text: str) -> list[str]:
    found = Draft202012Validator(closed(SCHEMA)).iter_errors(json.loads(text))
    return [f"{error.json_path}: {error.message}" for error in found]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_reports_on_every_fixture_fit_the_schema_and_have_no_key_that_it_does_not_describe(fixture_reports: ReportSet):
    assert errors(render(fixture_reports, (), "json")) == []


def test_every_kind_of_statement_fits_the_schema(samples: Callable[..., Any]):
    assert errors(render(samples().all(), (), "json")) == []


def test_the_schema_refuses_what_is_wrong(samples: Callable[..., Any]):
    data = to_json(samples().all())
    data["reports"][0]["verdict"] = "fine"
    data["reports"][0]["results"][0]["outcome"] = "failed"
    assert [error.split(":")[0] for error in errors(json.dumps(data))] == [
        "$.reports[0].verdict",
        "$.reports[0].results[0].outcome",
    ]


def test_reading_gives_back_what_was_written(samples: Callable[..., Any], fixture_reports: ReportSet):
    for reports in (samples().all(), fixture_reports):
        assert from_json(json.loads(render(reports, (), "json"))) == reports


def test_what_is_derived_is_written_for_readers(samples: Callable[..., Any]):
    report = json.loads(render(samples().all(), (), "json"))["reports"][0]
    results = {result["rule_id"]: result for result in report["results"]}
    assert report["verdict"] == "violation"
    assert report["headline"]["label"] == "final_roundtrip"
    assert results["PG201"]["outcome"] == "fail"
    assert results["PG201"]["other_outcomes"] == {"readme": "fail"}
    assert results["PG201"]["findings"][0]["fingerprint"] == samples().too_big().fingerprint
    assert results["PG005"]["checked"] == ["log"]


def test_what_the_maintainers_decided_is_written_and_read_back(samples: Callable[..., Any]):
    made = samples()
    known = Suppression(kind=SuppressionKind.KNOWN, reason="listed in baseline.json")
    waived = Suppression(kind=SuppressionKind.WAIVED, reason="a showcase", by="maintainer", until="2026-12-31")
    findings = tuple(replace(made.too_big(), suppression=suppression) for suppression in (known, waived))
    report = replace(made.clean(), results=(made.result("PG201", "oversize-artifact", findings=findings),))
    reports = replace(made.set(report), notices=("a waiver expired",))
    text = render(reports, (), "json")
    assert errors(text) == []
    assert from_json(json.loads(text)) == reports


def test_another_version_is_refused(samples: Callable[..., Any]):
    with pytest.raises(ValueError, match="schema_version is 2"):
        from_json(to_json(samples().all()) | {"schema_version": 2})


def test_each_report_stands_on_a_line_of_its_own(samples: Callable[..., Any]):
    lines = render(samples().all(), (), "json").splitlines()
    assert [json.loads(line.removesuffix(","))["verdict"] for line in lines[1:-1]] == [
        "violation",
        "review",
        "clean",
        "error",
    ]


def test_a_name_that_is_no_text_is_written_in_escaped_spelling(samples: Callable[..., Any]):
    text = render(samples(lambda text: text + "\udc80").all(), (), "json")
    assert json.loads(text)["reports"][0]["submission"]["path"] == "records/track_10min_16mb/2026-04-15_Big\\udc80"


def test_a_number_that_json_has_none_for_becomes_null(samples: Callable[..., Any]):
    report = samples().violation()
    finding = replace(samples().too_big(), measurement=Measurement(quantity="p", observed=math.nan, limit=None, unit="1"))
    result = replace(report.results[-1], findings=(finding,))
    text = render(samples().set(replace(report, results=(result,))), (), "json")
    assert json.loads(text)["reports"][0]["results"][0]["findings"][0]["measurement"]["observed"] is None
    assert errors(text) == []
