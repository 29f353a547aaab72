"""Real processes with real torch: small scripts of our own are run, recorded, judged and probed."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

from auditor.run.judge import judge
from auditor.run.probes import probe
from auditor.run.runner import Limits, can_isolate
from auditor.run.session import open_session
from auditor.run.world import BOS_ID
from auditor.submission.locate import locate
from tests.auditor.run import endings

pytestmark = pytest.mark.torch
fenced = pytest.mark.skipif(not can_isolate(), reason="this system gives no namespaces")


@pytest.fixture(scope="session")
def ran(opened):
    @cache
    def run(ending):
        outcome = opened(ending).run()
        return outcome, judge(outcome, opened(ending).world)

    return run


def result(ran, ending, label="final"):
    outcome, judgement = ran(ending)
    assert outcome.failure is None, outcome.log
    (line,) = [each for each in judgement.results if each.metric.label == label]
    return line


def changed(opened, ran, ending, cut):
    judgement = ran(ending)[1]
    return list(probe(opened(ending), judgement.trace, judgement.lines, judgement.results[-1], ["suffix"], [cut]))


def test_a_reported_score_is_the_mean_of_the_recorded_losses_over_our_own_byte_count(ran, opened):
    line = result(ran, endings.PLAIN)
    assert line.recomputed_loss == pytest.approx(line.metric.val_loss, abs=1e-8)
    assert line.recomputed_bpb == pytest.approx(line.metric.val_bpb, abs=1e-8)
    assert line.coverage.num_once == len(opened(endings.PLAIN).world.validation()) - 1
    assert (line.coverage.num_repeated, line.coverage.num_missing, line.early) == (0, 0, ())


def test_training_on_validation_tokens_before_they_are_scored_is_seen_from_the_first_position_on(ran, opened):
    line = result(ran, endings.ADAPT_FIRST)
    tokens = opened(endings.ADAPT_FIRST).world.validation()
    assert set(line.early) == {at for at in range(1, len(tokens)) if tokens[at] != BOS_ID}
    assert line.early[0] == 1


def test_influence_goes_on_through_quantisation_and_the_artifact_file(ran):
    assert len(result(ran, endings.ADAPT_THEN_EXPORT).early) > 8000


def test_training_after_the_reported_score_touches_only_the_scores_that_follow(ran):
    assert result(ran, endings.REPORT_FIRST).early == ()
    assert len(result(ran, endings.REPORT_FIRST, "after").early) > 8000


def test_scoring_with_autograd_on_and_training_on_the_same_graph_afterwards_is_not_training_before_scoring(ran):
    line = result(ran, endings.SCORE_FIRST)
    assert line.with_gradient
    assert line.early == ()
    assert ran(endings.SCORE_FIRST)[1].num_trained_validation == line.coverage.num_once


def test_a_delta_fitted_to_the_tokens_that_it_scores_is_training_before_scoring(ran):
    assert result(ran, endings.SLOT).early[0] == 1


@pytest.mark.parametrize(("ending", "are_kept"), [(endings.SLOT_ON_ADAPTED, True), (endings.SLOT_BESIDE_ADAPTED, False)])
def test_weights_that_saw_a_token_are_seen_beneath_a_delta_fitted_to_it(ran, ending, are_kept):
    line, trace = result(ran, ending), ran(ending)[1].trace
    own = [number for number in line.losses(trace) if trace.own[number]]
    assert len(own) > 8000
    assert {trace.own_in_weights[number] for number in own} == {are_kept}


def test_updates_that_were_thrown_away_or_undone_do_not_count(ran):
    judgement = ran(endings.DISCARDED)[1]
    assert judgement.num_trained_validation > 0
    assert result(ran, endings.DISCARDED).early == ()


def test_targets_that_come_from_neither_split_are_counted_where_they_train(ran):
    assert ran(endings.SHUFFLED)[1].num_trained_unlocated >= 4000
    assert ran(endings.PLAIN)[1].num_trained_unlocated == 0


@pytest.mark.parametrize("ending", [endings.PLAIN, endings.SCORE_FIRST], ids=["plain", "score first"])
def test_replacing_later_tokens_leaves_a_legal_evaluation_identical_bit_by_bit(opened, ran, ending):
    for comparison in changed(opened, ran, ending, 0.5):
        assert (comparison.problem, comparison.num_changed) == (None, 0)
        assert comparison.num_compared > 4000


@pytest.mark.parametrize(
    "ending",
    [
        endings.SHUFFLED,
        endings.LATER_TOKENS_IN_A_LOOP,
        endings.PARAMETERS_SWAPPED_BY_A_HOOK,
        endings.GATE_BUILT_BY_EXEC,
    ],
    ids=["shuffled in numpy", "state of a loop", "hook", "exec"],
)
def test_what_reaches_a_score_from_a_later_token_is_seen_without_knowing_how(opened, ran, ending):
    assert result(ran, ending).early == ()  # the recorder alone does not see it
    assert any(comparison.num_changed for comparison in changed(opened, ran, ending, 0.5))


def probed(opened, ran, ending, kind):
    outcome, judgement = ran(ending)
    assert outcome.failure is None, outcome.log
    (comparison,) = probe(opened(ending), judgement.trace, judgement.lines, judgement.results[-1], [kind])
    return comparison


@pytest.mark.parametrize("ending", [endings.MIXED_IN_NUMPY, endings.MIXED_AS_EXPERTS], ids=["two", "experts"])
def test_losses_are_followed_through_a_mixture_outside_of_torch(ran, opened, ending):
    line = result(ran, ending)
    assert line.sums is not None
    assert line.coverage.num_once == len(opened(ending).world.validation()) - 1


def test_a_loss_stays_that_of_the_model_where_a_table_is_asked_beside_it(ran):
    line = result(ran, endings.TABLE_ASKED)
    assert line.sums is not None
    assert len(line.early) > 8000


def test_a_gate_that_knows_the_target_is_found_where_it_corrects_in_numpy(opened, ran):
    assert probed(opened, ran, endings.MIXED_IN_NUMPY, "target").num_changed == 0
    gated = probed(opened, ran, endings.GATE_IN_NUMPY, "target")
    assert gated.num_changed == gated.num_compared > 50


def test_a_cache_in_c_that_nothing_can_be_seen_of_is_found_by_its_number_alone(opened, ran):
    assert result(ran, endings.CACHE_IN_C).sums is None
    found = probed(opened, ran, endings.CACHE_IN_C, "bound")
    assert found.num_changed > 0
    assert found.text == result(ran, endings.CACHE_IN_C).metric.text  # by which rules know the line
    assert probed(opened, ran, endings.PLAIN, "bound").num_changed == 0


def test_what_is_scored_must_come_from_the_file_that_was_written(opened, ran):
    follows = probed(opened, ran, endings.PLAIN_EXPORT, "artifact")
    assert (follows.problem, follows.num_changed) == (None, 0)
    assert follows.num_compared > 8000
    assert probed(opened, ran, endings.BESIDE_THE_ARTIFACT, "artifact").num_changed > 8000
    assert "writes no file" in probed(opened, ran, endings.PLAIN, "artifact").problem


def test_a_script_that_does_not_repeat_itself_is_not_accused(opened, ran):
    (comparison,) = changed(opened, ran, endings.UNSTEADY, 0.5)
    assert "does not repeat itself" in comparison.problem
    assert comparison.num_changed == 0


def test_a_part_of_the_stream_is_counted_as_a_part(ran, opened):
    coverage = result(ran, endings.PART).coverage
    assert coverage.num_once == 4096
    assert coverage.first_missing == 4097


def test_a_printed_score_that_no_losses_stand_behind_is_not_reconciled(ran):
    line = result(ran, endings.INVENTED)
    assert line.sums is None
    assert line.coverage is None


def test_newer_fstrings_run_and_the_rewriting_is_told(ran):
    outcome, _ = ran(endings.NEWER_PYTHON)
    assert "value 1" in outcome.log
    if sys.version_info < (3, 12):
        assert any(event["t"] == "rewritten" for event in outcome.events)


def test_a_script_that_raises_is_told_with_its_own_error_and_line(ran):
    outcome, judgement = ran(endings.CRASHES)
    assert outcome.failure == "KeyError: 'own bug'"
    (failed,) = [event for event in outcome.events if event["t"] == "failed"]
    assert failed["frames"][-1][:2] == ["train_gpt.py", endings.BASE.count("\n") + 1]
    assert judgement.results == ()


def test_a_failure_that_names_a_file_of_the_run_names_it_as_the_submission_does(tmp_path):
    source = "import os\nraise FileNotFoundError(os.path.abspath('missing.bin'))\n"
    (tmp_path / "train_gpt.py").write_text(source, encoding="utf-8")
    outcome = open_session(next(locate(tmp_path)), tmp_path / "worlds", Path(sys.executable), Limits()).run()
    assert outcome.failure == "FileNotFoundError: missing.bin"


@fenced
def test_the_child_reaches_neither_the_network_nor_the_file_system_nor_the_environment(opened, monkeypatch):
    monkeypatch.setenv("PGOLF_SECRET", "told")
    outcome = opened(endings.REACHES_OUT).run()
    assert outcome.failure is None, outcome.log
    assert "connected" not in outcome.log
    assert "written" not in outcome.log
    assert "parent None" in outcome.log
    assert any(event["t"] == "system" and event["call"] == "socket.connect" for event in outcome.events)
    assert not os.path.exists("/pgolf-was-here")


def test_a_variable_from_the_readme_reaches_the_script_and_steers_no_loader(tmp_path):
    source = "import os\nprint('read', os.environ.get('LD_PRELOAD'))\n"
    (tmp_path / "train_gpt.py").write_text(source, encoding="utf-8")
    (tmp_path / "README.md").write_text("```bash\nLD_PRELOAD=./evil.so python train_gpt.py\n```\n", encoding="utf-8")
    outcome = open_session(next(locate(tmp_path)), tmp_path / "worlds", Path(sys.executable), Limits()).run()
    assert "read ./evil.so" in outcome.log
    assert "ld.so" not in outcome.log


def test_a_script_that_does_not_end_is_stopped_with_all_that_it_started(tmp_path):
    (tmp_path / "train_gpt.py").write_text("import subprocess\nsubprocess.run(['sleep', '86321'])\n", encoding="utf-8")
    session = open_session(next(locate(tmp_path)), tmp_path / "worlds", Path(sys.executable), Limits(seconds=25))
    outcome = session.run()
    assert outcome.failure == "did not end within 25 s"
    left = subprocess.run(["pgrep", "-f", "sleep 86321"], capture_output=True, check=False)
    assert left.stdout == b""
