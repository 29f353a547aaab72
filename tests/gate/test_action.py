"""The action's own steps, run as a workflow runs them: a stranger's checkout around them, nothing in the environment.

Only the step that `uses:` another action (the installation of Python) is left out. The environment is built with pip from
this checkout, so that these tests need a package index.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator

from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parent.parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = [step for step in ACTION["runs"]["steps"] if "run" in step]
SARIF = json.loads((ROOT / "tests/auditor/output/schemas/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
_INDEX = re.compile(r"PIP_|SSL_|HTTPS?_PROXY|REQUESTS_CA", re.IGNORECASE)  # how this machine reaches a package index


@dataclass(frozen=True)
class Ran:
    """What a step left behind."""

    status: int
    log: str
    outputs: Mapping[str, str]
    summary: str


class Runner:
    """Runs the action's steps over one checkout, each with files of its own for outputs and summary."""

    def __init__(self, temp: Path, action: Path) -> None:
        self.temp = temp
        self.action = action
        self.temp.mkdir()

    def step(self, index: int, workspace: Path, event: Mapping[str, str], **inputs: str) -> Ran:
        """Run one `run:` step with `inputs` as a workflow gives them; those that are not given have their defaults."""
        output, summary = self.temp / "output", self.temp / "summary"
        output.write_text("")
        summary.write_text("")
        given = {name: str(entry.get("default", "")) for name, entry in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.temp),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_ACTION_PATH": str(self.action),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            **{name: value for name, value in os.environ.items() if _INDEX.match(name)},
            **event,
            **{name: _filled_in(text, given) for name, text in STEPS[index].get("env", {}).items()},
        }
        script = _filled_in(STEPS[index]["run"], {})
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return Ran(done.returncode, done.stdout + done.stderr, outputs, summary.read_text())


def _filled_in(text: str, inputs: Mapping[str, str]) -> str:
    """A text with its expressions replaced; those that are no input raise KeyError."""
    return re.sub(r"\$\{\{ *inputs\.([\w-]+) *\}\}", lambda match: inputs[match[1]], text)


def need_package_index() -> None:
    """Skip where pip could not install what the light core needs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "rich"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A runner on which the action's first step was done: the light core installed from a copy of this checkout."""
    need_package_index()
    root = tmp_path_factory.mktemp("runner")
    action = root / "action"
    shutil.copytree(ROOT, action, ignore=shutil.ignore_patterns(".git", ".*_cache", ".venv", "build", "*.egg-info"))
    runner = Runner(root / "temp", action)
    workspace = root / "empty"
    workspace.mkdir()
    _set_traps(workspace, root)
    done = runner.step(0, workspace, {})
    assert done.status == 0, done.log
    assert not (root / "sprung").exists()
    return runner


def _set_traps(workspace: Path, root: Path) -> None:
    """Modules in the checkout with the names of what the steps import, and a file of settings for pip."""
    spring = f"open({str(root / 'sprung')!r}, 'w').write(__name__)\n"
    for name in ("venv", "pip", "cli", "auditor", "json", "sitecustomize", "usercustomize", "rich", "ensurepip"):
        (workspace / f"{name}.py").write_text(spring)
    (workspace / "setup.py").write_text(spring)
    (workspace / "pip.conf").write_text("[global]\nno-index = true\n")


@pytest.fixture
def contest(tmp_path: Path) -> Workshop:
    """A checkout as a host makes one of a pull request: the base is known as a remote branch only."""
    workshop = Workshop(tmp_path / "contest")
    workshop.git("update-ref", "refs/remotes/origin/main", "HEAD")
    workshop.branch("change")
    return workshop


EVENT = {"GITHUB_BASE_REF": "main", "GITHUB_EVENT_NAME": "pull_request"}


def good(contest: Workshop) -> None:
    folder = contest.fixture("PG001-good_printed_by_the_script", "2026-04-15_Good")
    contest.write(f"{folder}/README.md", "# A record\n")


def test_a_good_record_passes(runner: Runner, contest: Workshop) -> None:
    good(contest)
    contest.commit("a record")
    done = runner.step(1, contest.path, EVENT)
    assert (done.status, done.outputs["exit-code"], done.outputs["verdict"]) == (0, "0", "clean"), done.log
    assert "::error" not in done.log
    assert done.log.splitlines()[-1] == "pgolf: 1 submission: 1 clean"
    assert "Good: clean" in done.summary.splitlines()[0]
    _check_sarif(done, {"open"})


def test_a_cheating_record_fails_at_its_line(runner: Runner, contest: Workshop) -> None:
    folder = contest.fixture("PG701-bad_train_then_score", "2026-04-15_Cheat")
    contest.commit("a record")
    done = runner.step(1, contest.path, EVENT)
    assert (done.status, done.outputs["exit-code"], done.outputs["verdict"]) == (1, "1", "violation"), done.log
    (line,) = [line for line in done.log.splitlines() if "title=PG701 train-before-score" in line]
    assert re.match(rf"::error file={folder}/train_gpt\.py,line=\d+,title=PG701", line)
    assert "##### PG701 train-before-score: fails" in done.summary
    assert "Fingerprint" in done.summary
    run = _check_sarif(done, {"fail", "open"})
    (result, *_) = [result for result in run["results"] if result["ruleId"] == "PG701"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"{folder}/train_gpt.py"


def test_a_change_of_the_root_script_as_well_needs_a_person(runner: Runner, contest: Workshop) -> None:
    good(contest)
    contest.write("train_gpt.py", "print('edited')\n")
    contest.commit("a record, and the script of the repository")
    done = runner.step(1, contest.path, EVENT)
    assert (done.status, done.outputs["verdict"]) == (0, "review"), done.log
    assert any(line.startswith("::warning ") and "modifies train_gpt.py" in line for line in done.log.splitlines())
    assert "PG103 changes-outside-folder: needs a person" in done.summary
    for inputs in ({"fail_on": "review"}, {"ruleset": "readme"}):
        assert runner.step(1, contest.path, EVENT, **inputs).outputs["exit-code"] == "1"
    assert runner.step(1, contest.path, EVENT, fail_on="review", ignore="PG103").outputs["exit-code"] == "0"


def test_a_change_without_a_record_passes_and_says_so(runner: Runner, contest: Workshop) -> None:
    contest.write("README.md", "# another title\n")
    contest.commit("words")
    done = runner.step(1, contest.path, EVENT)
    assert (done.status, done.outputs["exit-code"], done.outputs["verdict"]) == (0, "0", "none"), done.log
    assert "nothing to audit" in done.summary
    assert any(line.startswith("::warning ") and "nothing to audit" in line for line in done.log.splitlines())
    assert _check_sarif(done, set())["results"] == []


def test_waivers_and_baseline_come_from_the_base(runner: Runner, contest: Workshop) -> None:
    contest.fixture("PG304-bad_one_gpu", "2026-04-15_Cheat")
    contest.write("known.json", '{"schema_version": 1, "findings": []}\n')
    contest.commit("a record, and a baseline of its own")
    done = runner.step(1, contest.path, EVENT, baseline="known.json")
    assert (done.status, done.outputs["verdict"]) == (2, "error")
    assert "::error title=pgolf::pgolf: known.json: the base holds no such file" in done.log
    assert "could not audit" in done.summary
    found = json.loads(Path(runner.step(1, contest.path, EVENT).outputs["sarif"]).read_text())["runs"][0]["results"]
    known = [
        {
            "submission": result["properties"]["submission"],
            "rule_id": result["ruleId"],
            "fingerprint": result["partialFingerprints"]["pgolf/v1"],
            "severity": result["level"],
        }
        for result in found
        if result["kind"] == "fail"
    ]
    contest.git("checkout", "-q", "main")
    contest.write("known.json", json.dumps({"schema_version": 1, "findings": known}))
    contest.commit("adopt the gate")
    contest.git("update-ref", "refs/remotes/origin/main", "HEAD")
    contest.git("checkout", "-q", "change")
    done = runner.step(1, contest.path, EVENT, baseline="known.json")
    assert (done.status, done.outputs["verdict"]) == (0, "violation"), done.log
    assert "known" in done.log.splitlines()[-1]


def test_inputs_are_never_part_of_a_command(runner: Runner, contest: Workshop, tmp_path: Path) -> None:
    good(contest)
    contest.commit("a record")
    touch = f"touch {tmp_path}/sprung"
    for name in ("base", "ruleset", "fail_on", "ignore", "waivers", "baseline"):
        assert runner.step(1, contest.path, EVENT, **{name: f"--output=x$({touch})`{touch}`; {touch} #"}).status == 2
    assert not (tmp_path / "sprung").exists()
    assert not (contest.path / "x").exists()


def test_nothing_of_the_checkout_is_imported(runner: Runner, contest: Workshop) -> None:
    good(contest)
    _set_traps(contest.path, contest.path.parent)
    contest.commit("a record between traps")
    done = runner.step(1, contest.path, EVENT | {"PYTHONPATH": str(contest.path)})
    assert done.outputs["exit-code"] == "0", done.log
    assert not (contest.path.parent / "sprung").exists()


def test_an_event_without_a_base_asks_for_one(runner: Runner, contest: Workshop) -> None:
    done = runner.step(1, contest.path, {})
    assert (done.status, done.outputs["exit-code"]) == (2, "2")
    assert "set the input 'base'" in done.log
    good(contest)
    contest.commit("a record")
    assert runner.step(1, contest.path, {}, base="HEAD^").outputs["verdict"] == "clean"


def test_a_checkout_in_a_folder_and_a_chosen_file(runner: Runner, contest: Workshop) -> None:
    good(contest)
    contest.commit("a record")
    sarif = contest.path.parent / "chosen.sarif"
    done = runner.step(1, contest.path.parent, EVENT, path="contest", sarif_file=str(sarif))
    assert done.outputs["sarif"] == str(sarif)
    _check_sarif(done, {"open"})


def test_every_step_takes_its_inputs_from_the_environment() -> None:
    for step in STEPS:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])
    for step in ACTION["runs"]["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])


def _check_sarif(done: Ran, kinds: set[str]) -> dict[str, Any]:
    """The run in the SARIF report, which fits the official schema and has results of these kinds."""
    log = json.loads(Path(done.outputs["sarif"]).read_text())
    assert [error.message for error in Draft4Validator(SARIF).iter_errors(log)] == []
    (run,) = log["runs"]
    assert {result["kind"] for result in run["results"]} == kinds
    return dict(run)
