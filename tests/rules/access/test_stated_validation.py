"""What a submission says of its own training data: only what cannot mean anything else, and nothing that it denies."""

from pathlib import Path

import pytest

from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from rules.access.stated_validation import stated_validation_use


def stated(folder: Path, readme: str = "# Name\n", metadata: str = '{"val_bpb": 1.1}') -> list[str]:
    (folder / "README.md").write_text(readme)
    (folder / "submission.json").write_text(metadata)
    return [what for what, _ in stated_validation_use(Submission("records/name", DirectoryTree(folder)))]


@pytest.mark.parametrize(
    "sentence",
    [
        "Val-only training, then int8.",
        "The network is trained entirely on the validation shard.",
        "We train only on the public validation set for ten minutes.",
        "ln -s /data/fineweb_val_000000.bin /data/all/fineweb_train_000000.bin",
    ],
)
def test_training_on_validation_that_is_stated_is_found(sentence: str, tmp_path: Path):
    assert len(stated(tmp_path, readme=f"# Name\n\n{sentence}\n")) == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "This is not val-only training.",
        "The network is never trained only on the validation shard.",
        "Test-time training on validation tokens that were scored before.",
        "You can't cheat by training on the validation set before you evaluate on the validation set.",
        "ln -s /data/fineweb_val_000000.bin /data/all/fineweb_val_000000.bin",
        'No validation data in training, e.g. by compressing it into your 16mb with "paid prefix".',
    ],
)
def test_what_is_denied_or_quoted_or_means_test_time_training_is_not(sentence: str, tmp_path: Path):
    assert not stated(tmp_path, readme=f"# Name\n\n{sentence}\n")


def test_a_paid_prefix_counts_where_the_submission_describes_itself(tmp_path: Path):
    assert stated(tmp_path, metadata='{"name": "Paid prefix + 7 layers", "val_bpb": 1.02}')
    assert not stated(tmp_path, metadata='{"name": "No paid prefix", "val_bpb": 1.1}')
