"""How code counts: three numbers, the day from which each counts, siblings and helpers apart."""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from auditor.rule import RulesetName
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree
from rules.headline_runs import judged_runs
from rules.size.code_count import CodeBytes, count_code

NETWORK = "from torch import nn\nclass GPT(nn.Module):\n    pass\n"
LOG = "Serialized model int8+zlib: 15900000 bytes\n{code}final_exact val_loss:2.0 val_bpb:1.1000\n"
COMPRESSED = "Code size (uncompressed): 500 bytes\nCode size (compressed): 90 bytes\n"


def counted(folder: Path, files: Mapping[str, str], code: str = "", day: str = "2026-04-20") -> CodeBytes:
    metadata = json.dumps({"val_bpb": 1.1, "date": day})
    for name, text in {**files, "submission.json": metadata, "train.log": LOG.format(code=code)}.items():
        (folder / name).write_text(text)
    submission = Submission("records/track_10min_16mb/Toy", DirectoryTree(folder))
    script = submission.script
    assert script is not None
    return count_code(submission, script, judged_runs(submission)[0], date(2026, 5, 2))


def packed(source: str) -> str:
    payload = base64.b85encode(lzma.compress(source.encode())).decode()
    return f"import lzma,base64\nexec(lzma.decompress(base64.b85decode({payload!r})))\n"


def test_readable_script_counts_as_it_is_before_wrappers_counted(tmp_path: Path) -> None:
    code = counted(tmp_path, {"train_gpt.py": NETWORK}, COMPRESSED, day="2026-04-10")
    assert code.counted(RulesetName.PRACTICE) == code.counted(RulesetName.README) == len(NETWORK)
    assert not code.may_be_compressed


def test_would_be_wrapper_counts_from_its_day_on_in_practice_only(tmp_path: Path) -> None:
    source = NETWORK + "#" * 500
    code = counted(tmp_path, {"train_gpt.py": source}, COMPRESSED, day="2026-04-11")
    assert code.counted(RulesetName.PRACTICE) == code.least == 90
    assert code.counted(RulesetName.README) == len(source)
    assert "90 as a compressed wrapper (logged at train.log:3)" in str(code)


def test_smallest_way_of_counting_is_taken(tmp_path: Path) -> None:
    code = counted(tmp_path, {"train_gpt.py": NETWORK}, COMPRESSED.replace("90", "450"))
    assert code.counted(RulesetName.PRACTICE) == len(NETWORK)


def test_unknown_wrapper_leaves_the_least_open(tmp_path: Path) -> None:
    code = counted(tmp_path, {"train_gpt.py": NETWORK})
    assert code.counted(RulesetName.PRACTICE) == len(NETWORK)
    assert code.least == 0


def test_wrapper_size_follows_from_a_total(tmp_path: Path) -> None:
    log = "Code size: 500 bytes\nTotal submission size int8+zlib: 15900123 bytes\n"
    assert counted(tmp_path, {"train_gpt.py": NETWORK}, log).compressed == 123


def test_packed_script_counts_as_shipped(tmp_path: Path) -> None:
    wrapper = packed(NETWORK * 50)
    code = counted(tmp_path, {"train_gpt.py": wrapper}, day="2026-04-03")
    assert (code.source, code.shipped, code.least) == (len(NETWORK) * 50, len(wrapper), len(wrapper))


@pytest.mark.parametrize("module", [NETWORK, "def train(loss):\n    loss.backward()\n"])
def test_sibling_with_the_model_or_the_training_counts(tmp_path: Path, module: str) -> None:
    code = counted(tmp_path, {"train_gpt.py": "import model\n", "model.py": module}, day="2026-04-01")
    assert code.files == ("train_gpt.py", "model.py")
    assert code.counted(RulesetName.PRACTICE) == len("import model\n") + len(module)


def test_helpers_count_only_by_the_words_of_the_readme(tmp_path: Path) -> None:
    files = {"train_gpt.py": "import caps\nload('ngram.cpp')\nopen('table.json')\n", "caps.py": "x = 1\n"}
    code = counted(tmp_path, {**files, "ngram.cpp": "int one();", "table.json": "{}"}, day="2026-04-01")
    assert code.helpers == (("caps.py", 6), ("ngram.cpp", 10))
    assert code.counted(RulesetName.PRACTICE) == len(files["train_gpt.py"])
    assert code.counted(RulesetName.README) == len(files["train_gpt.py"]) + 16


def test_modules_inside_a_wrapper_count_with_it(tmp_path: Path) -> None:
    payload = base64.b85encode(lzma.compress(f"import model---{NETWORK}".encode())).decode()
    wrapper = (
        f"import lzma, base64\nparts = lzma.decompress(base64.b85decode({payload!r})).decode().split('---')\n"
        "for name, text in zip(['run.py', 'model.py'], parts):\n    open('/tmp/' + name, 'w').write(text)\n"
        "exec(open('/tmp/run.py').read())\n"
    )
    code = counted(tmp_path, {"train_gpt.py": wrapper})
    assert code.files == ("train_gpt.py",)
    assert (code.shipped, code.helpers) == (len(wrapper), ())
