"""The record folder: every number is a log's, and what no log carries is refused."""

import argparse
import json
import statistics
from datetime import date

import pytest

from trainer.record import About, add_record_parser, read_log, render_submission, write_record

SCRIPT = b"print('a script')\n"
ABOUT = About(
    name="Tiny: late QAT", author="A. Nyone", github_id="anyone", blurb="Late QAT and SWA, lr 0.025.",
    track="non_record_16mb", day=date(2026, 5, 1),
)  # fmt: skip
SCORES = {1337: ("1.96353693", "1.16292025"), 42: ("1.96453693", "1.16352025"), 7: ("1.96253693", "1.16212025")}


def log_text(seed: int = 1337, **changes: str) -> str:
    val_loss, val_bpb = SCORES[seed]
    lines = {
        "torch": "Running PyTorch 2.9.1+cu128",
        "device": "device:NVIDIA H100 80GB HBM3",
        "train_loader": "train_loader:dataset:fineweb10B_sp1024 train_shards:80",
        "val_loader": "val_loader:shards pattern=data/fineweb_val_*.bin tokens:62021632",
        "params": "model_params:22368841",
        "world": "world_size:8 grad_accum_steps:1",
        "settings": "train_batch_tokens:786432 matrix_lr:0.025",
        "seed_line": f"seed:{seed}",
        "step": "step:500/20000 val_loss:2.3788 val_bpb:1.4089 train_time:48833ms step_avg:97.67ms",
        "stop": "stopping_early: wallclock_cap train_time:600015ms step:5464/20000",
        "model": "Serialized model int6+zstd: 15884217 bytes in 20.1s",
        "code": f"Code size: {len(SCRIPT)} bytes",
        "total": f"Total submission size int6+zstd: {15884217 + len(SCRIPT)} bytes",
        "first": "final_int6_zstd_roundtrip val_loss:1.9000 val_bpb:1.1000 eval_time:100000ms",
        "first_exact": "final_int6_zstd_roundtrip_exact val_loss:1.90000000 val_bpb:1.10000000",
        "last": f"final_sgd_ttt val_loss:{float(val_loss):.4f} val_bpb:{float(val_bpb):.4f} eval_time:235968ms",
        "last_exact": f"final_sgd_ttt_exact val_loss:{val_loss} val_bpb:{val_bpb}",
    }
    assert set(changes) <= set(lines)
    return "".join(f"{line}\n" for line in (lines | changes).values() if line)


@pytest.fixture
def runs(tmp_path):
    """Write one run folder per text and return their paths."""

    def write(*texts: str):
        folders = []
        for index, text in enumerate(texts):
            folder = tmp_path / f"run{index}"
            folder.mkdir()
            (folder / "train.log").write_text(text)
            folders.append(folder)
        return folders

    (tmp_path / "train_gpt.py").write_bytes(SCRIPT)
    return write


def record(tmp_path, paths, compare=None, **changes):
    values = {field: getattr(ABOUT, field) for field in ABOUT.__slots__} | changes
    return write_record(paths, tmp_path / "train_gpt.py", About(**values), tmp_path / "records", compare)


def test_the_folder_holds_script_logs_readme_and_json_with_the_logs_numbers(tmp_path, runs):
    folder = record(tmp_path, runs(*(log_text(seed) for seed in SCORES)))
    assert folder == tmp_path / "records" / "track_non_record_16mb" / "2026-05-01_Tiny_late_QAT"
    logs = {f"train_seed{seed}.log" for seed in SCORES}
    assert {file.name for file in folder.iterdir()} == {"README.md", "submission.json", "train_gpt.py"} | logs
    assert (folder / "train_gpt.py").read_bytes() == SCRIPT
    assert (folder / "train_seed42.log").read_text() == log_text(42)
    submission = json.loads((folder / "submission.json").read_text())
    assert submission["seed_results"]["42"] == {
        "val_bpb": 1.16352025, "val_loss": 1.96453693, "artifact_bytes": 15884217 + len(SCRIPT), "train_time_s": 600.015,
        "eval_time_s": 235.968, "steps": 5464, "val_tokens": 62021632,
    }  # fmt: skip
    assert submission["seeds"] == [7, 42, 1337]
    assert submission["bytes_code"] == len(SCRIPT)
    assert submission["bytes_total"] == 15884217 + len(SCRIPT)
    assert submission["hardware"] == "8x NVIDIA H100 80GB HBM3"
    assert submission["evaluation"] == "final_sgd_ttt"
    assert (submission["author"], submission["github_id"], submission["date"]) == ("A. Nyone", "anyone", "2026-05-01")


def test_mean_and_sample_standard_deviation_are_over_the_seeds(tmp_path, runs):
    logs = [read_log(path) for path in runs(*(log_text(seed) for seed in SCORES))]
    submission = render_submission(logs, ABOUT)
    bpbs = [float(val_bpb) for _, val_bpb in SCORES.values()]
    assert submission["val_bpb"] == pytest.approx(sum(bpbs) / 3, abs=1e-8)
    assert submission["val_bpb_std"] == pytest.approx(statistics.stdev(bpbs), abs=1e-8)


def test_one_seed_has_no_standard_deviation_and_the_readme_says_so(tmp_path, runs):
    folder = record(tmp_path, runs(log_text()))
    submission = json.loads((folder / "submission.json").read_text())
    assert submission["val_bpb"] == 1.16292025
    assert "val_bpb_std" not in submission
    assert "One seed only" in (folder / "README.md").read_text()


def test_the_score_is_that_of_the_last_evaluation_not_of_the_best(tmp_path, runs):
    (path,) = runs(log_text())
    assert read_log(path).val_bpb == 1.16292025


def test_the_readme_states_every_seed_and_a_command_that_names_the_script(tmp_path, runs):
    readme = (record(tmp_path, runs(log_text(1337), log_text(42))) / "README.md").read_text()
    assert "| 1337 | 1.16292025 | 1.96353693 |" in readme
    assert "| 42 | 1.16352025 |" in readme
    assert "SEED=42 torchrun --standalone --nproc_per_node=8 train_gpt.py" in readme


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("seed_line", "no line that tells seed"),
        ("train_loader", "no line that tells dataset"),
        ("val_loader", "no line that tells val_tokens"),
        ("code", "no line that tells code_bytes"),
        ("model", "no line that tells model_bytes"),
        ("total", "no line that tells total_bytes"),
        ("world", "no line that tells world_size"),
        ("device", "no line that tells device"),
        ("stop", "no line that tells train_time_ms"),
        ("last", "no line that tells eval_time"),
    ],
)
def test_a_fact_that_the_log_does_not_carry_ends_it(tmp_path, runs, line, reason):
    with pytest.raises(ValueError, match=rf"train\.log: the log has {reason}"):
        record(tmp_path, runs(log_text(**{line: ""})))
    assert not (tmp_path / "records").exists()


def test_a_run_that_was_not_evaluated_has_no_score(tmp_path, runs):
    with pytest.raises(ValueError, match="the run was not evaluated"):
        record(tmp_path, runs(log_text(first_exact="", last_exact="")))


def test_an_undefined_score_is_no_score(tmp_path, runs):
    with pytest.raises(ValueError, match="the run was not evaluated"):
        record(tmp_path, runs(log_text(first_exact="", last_exact="final_sgd_ttt_exact val_loss:nan val_bpb:nan")))


def test_a_fact_told_twice_with_different_values_ends_it(tmp_path, runs):
    with pytest.raises(ValueError, match="different values of seed: 1337, 42"):
        record(tmp_path, runs(log_text() + "seed:42\n"))


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ((log_text(), log_text()), "a seed counts once"),
        ((log_text(), log_text(42, settings="train_batch_tokens:786432 matrix_lr:0.02")), "another configuration"),
        ((log_text(), log_text(42, params="model_params:22368842")), "another configuration"),
        ((log_text(), log_text(42, last="", last_exact="")), "runs of one script"),
        ((log_text(total="Total submission size int6+zstd: 15884217 bytes"),), "are not 15884217"),
        (
            (log_text(code="Code size: 99 bytes", total="Total submission size int6+zstd: 15884316 bytes"),),
            "another script",
        ),
        (
            (
                log_text(
                    model="Serialized model int6+lzma: 16000000 bytes",
                    total=f"Total submission size int6+lzma: {16000000 + len(SCRIPT)} bytes",
                ),
            ),
            "over the cap of 16,000,000 bytes by 18",
        ),
        ((), "at least one run"),
    ],
)
def test_runs_that_are_not_one_submission_are_refused(tmp_path, runs, texts, reason):
    with pytest.raises(ValueError, match=reason):
        record(tmp_path, runs(*texts))
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"world": "world_size:1 grad_accum_steps:8"},
        {"device": "device:x86_64"},
        {"train_loader": "train_loader:dataset:demo-v1 train_shards:1"},
        {"stop": "stopping_early: wallclock_cap train_time:601200ms step:5464/20000"},
        {"last": "final_sgd_ttt val_loss:1.9635 val_bpb:1.1629 eval_time:600001ms"},
    ],
)
def test_the_record_track_needs_its_hardware_and_times_in_the_log(tmp_path, runs, change):
    paths = runs(log_text(**change))
    with pytest.raises(ValueError, match=r"track 10min_16mb .*use --track non_record_16mb"):
        record(tmp_path, paths, track="10min_16mb")
    assert record(tmp_path, paths).exists()


def test_a_score_on_other_data_says_so(tmp_path, runs):
    folder = record(tmp_path, runs(log_text(train_loader="train_loader:dataset:demo-v1 train_shards:1")))
    assert json.loads((folder / "submission.json").read_text())["dataset"] == "demo-v1"
    readme = (folder / "README.md").read_text()
    assert "`demo-v1`, which is **not** the contest's" in readme
    assert "\nDATA_PATH=path/to/demo-v1 TOKENIZER_PATH=path/to/demo-v1/tokenizer.model SEED=1337 torchrun " in readme


def test_the_step_that_crosses_the_time_limit_is_within_it(tmp_path, runs):
    assert record(tmp_path, runs(log_text()), track="10min_16mb").parent.name == "track_10min_16mb"


@pytest.mark.parametrize("blurb", ["bpb 1.1500", "fits into 15,000,000 bytes", "beats 1.2244 by far", "in 15884000 bytes"])
def test_precise_numbers_that_no_log_carries_are_refused(tmp_path, runs, blurb):
    with pytest.raises(ValueError, match="which no log carries"):
        record(tmp_path, runs(log_text()), blurb=blurb)


@pytest.mark.parametrize("blurb", ["bpb 1.1629 at lr 0.025", "15,884,217 bytes; mean 1.16322025", "WD 0.04, 11 layers"])
def test_numbers_of_the_logs_and_their_means_may_be_said(tmp_path, runs, blurb):
    assert record(tmp_path, runs(log_text(1337), log_text(42)), blurb=blurb).exists()


def test_the_script_is_the_one_that_every_run_left_beside_its_log(tmp_path, runs):
    paths = runs(log_text(1337), log_text(42))
    for path in paths:
        (path / "train_gpt.py").write_bytes(SCRIPT)
    folder = write_record(paths, None, ABOUT, tmp_path / "records")
    assert (folder / "train_gpt.py").read_bytes() == SCRIPT
    (paths[1] / "train_gpt.py").write_bytes(SCRIPT[::-1])
    with pytest.raises(ValueError, match=r"run0/train_gpt.py: another script than .*run1/train_gpt.py"):
        write_record(paths, None, ABOUT, tmp_path / "others")
    (paths[1] / "train_gpt.py").unlink()
    with pytest.raises(ValueError, match=r"run1/train_gpt.py: not there; name the script .* with --script"):
        write_record(paths, None, ABOUT, tmp_path / "others")


def test_the_readme_shows_every_evaluation_and_what_the_last_gained(tmp_path, runs):
    readme = (record(tmp_path, runs(log_text())) / "README.md").read_text()
    assert "| seed | `final_int6_zstd_roundtrip` | `final_sgd_ttt` | last against first |" in readme
    assert "| 1337 | 1.10000000 | 1.16292025 | +0.06292025 |" in readme


def test_a_comparison_gets_the_scores_of_the_logs_and_stands_in_the_readme(tmp_path, runs):
    seen = []
    compare = lambda scores: seen.extend(scores) or ["Better than the row."]  # noqa: E731
    folder = record(tmp_path, runs(log_text(1337), log_text(42)), compare)
    assert seen == [(1.96453693, 1.16352025), (1.96353693, 1.16292025)]
    assert "## Against the leaderboard\n\nBetter than the row." in (folder / "README.md").read_text()


def test_a_score_on_other_data_compares_with_no_row(tmp_path, runs):
    paths = runs(log_text(train_loader="train_loader:dataset:demo-v1 train_shards:1"))
    with pytest.raises(ValueError, match="scored on demo-v1, which compares with no row"):
        record(tmp_path, paths, lambda scores: [])


def test_runs_may_have_read_the_same_data_from_different_folders(tmp_path, runs):
    elsewhere = "val_loader:shards pattern=/mnt/other/fineweb_val_*.bin tokens:62021632"
    assert record(tmp_path, runs(log_text(1337), log_text(42, val_loader=elsewhere))).exists()


def test_nothing_is_overwritten(tmp_path, runs):
    paths = runs(log_text())
    folder = record(tmp_path, paths)
    (folder / "README.md").write_text("edited")
    with pytest.raises(ValueError, match="exists already"):
        record(tmp_path, paths)
    assert (folder / "README.md").read_text() == "edited"


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path, runs):
    (tmp_path / "records").write_text("in the way")
    with pytest.raises(ValueError, match="cannot be written"):
        record(tmp_path, runs(log_text()))


@pytest.mark.parametrize("name", ["...", "", "x" * 101])
def test_a_name_that_makes_no_folder_is_refused(tmp_path, runs, name):
    with pytest.raises(ValueError, match="--name"):
        record(tmp_path, runs(log_text()), name=name)


@pytest.mark.parametrize("path", ["missing", "empty"])
def test_a_run_without_a_log_is_named(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=path):
        read_log(tmp_path / path)


def test_the_command_prints_the_folder_and_tells_refusals_without_a_traceback(tmp_path, runs, capsys):
    parser = argparse.ArgumentParser()
    add_record_parser(parser.add_subparsers(), lambda row, scores: [])
    (path,) = runs(log_text())
    words = ["record", str(path), "--script", str(tmp_path / "train_gpt.py"), "--name", "Tiny", "--author", "A"]
    words += ["--github-id", "a", "--blurb", "b", "--date", "2026-05-01", "--records", str(tmp_path / "records")]
    arguments = parser.parse_args(words)
    assert arguments.run(arguments) == 0
    assert capsys.readouterr().out.strip().endswith("2026-05-01_Tiny")
    assert arguments.run(arguments) == 2
    assert "exists already" in capsys.readouterr().err
