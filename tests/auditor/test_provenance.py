import ast
from dataclasses import replace

import pytest

from auditor.provenance import (
    code_sizes,
    compare_code_size,
    compare_lines,
    count_different_lines,
    find_missing_labels,
    find_nearest_site,
    find_unknown_settings,
)
from auditor.source.prints import find_print_sites
from auditor.source.scopes import Scopes
from auditor.submission.logs.model import Run
from auditor.submission.logs.reader import read_log
from auditor.submission.script import Layer, Module, Script

SOURCE = '''"""A script with an umlaut: ä."""
seed = 1337
lr = 0.02
print(f"final_int8 val_loss:{loss:.4f} val_bpb:{bpb:.4f}")
print(f"final_ttt val_bpb:{evaluate():.4f}")
print(f"Code size: {n} bytes")
for k, v in vars(args).items():
    print(f"{k}: {v}")
'''


def script_of(source: str) -> Script:
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    return Script(path="train_gpt.py", num_bytes=len(source.encode()), layers=(), modules=(module,))


def run_of(text: str) -> Run:
    return read_log("train.log", text.encode()).runs[0]


LINES = "step:1/2 val_loss:2.0000 val_bpb:1.2000\nfinal_int8 val_loss:1.9635 val_bpb:1.1629\n"


@pytest.mark.parametrize(
    "num_bytes",
    [
        pytest.param(len(SOURCE.encode()), id="bytes"),
        pytest.param(len(SOURCE), id="characters"),
        pytest.param(len(SOURCE.replace("\n", "\r\n").encode()), id="other line ends"),
    ],
)
def test_code_size_counts_as_shipped_however_it_was_measured(num_bytes: int) -> None:
    size = compare_code_size(run_of(f"{LINES}Code size: {num_bytes} bytes\n"), code_sizes(script_of(SOURCE), {}), ())
    assert size is not None
    assert size.difference_bytes == 0


def test_characters_do_not_count_where_the_script_counts_bytes() -> None:
    source = SOURCE + 'code_bytes = len(code.encode("utf-8"))\n'
    size = compare_code_size(run_of(f"{LINES}Code size: {len(source)} bytes\n"), code_sizes(script_of(source), {}), ())
    assert size is not None
    assert size.difference_bytes == -1


def test_packed_script_may_log_the_size_of_wrapper_or_payload() -> None:
    layer = Layer(method="exec(lzma(b85))", source=SOURCE, outer_path="train_gpt.py", outer_line=2)
    module = Module(path="train_gpt.py", source_path="train_gpt.py!decoded", source=SOURCE, tree=ast.parse(SOURCE))
    packed = Script(path="train_gpt.py", num_bytes=123, layers=(layer,), modules=(module,))
    for num_bytes, name in ((123, "train_gpt.py"), (len(SOURCE.encode()), "train_gpt.py decoded")):
        size = compare_code_size(run_of(f"{LINES}Code size: {num_bytes} bytes\n"), code_sizes(packed, {}), ())
        assert size is not None
        assert (size.difference_bytes, size.shipped_as) == (0, name)


def test_code_size_of_another_version_is_held_against_the_nearest_text() -> None:
    num_bytes = len(SOURCE.encode()) + 36
    run = run_of(f"{LINES}Code size: {num_bytes} bytes\n")
    size = compare_code_size(run, code_sizes(script_of(SOURCE), {"x.py": 5}), ())
    assert size is not None
    assert (size.difference_bytes, size.shipped_as) == (36, "train_gpt.py")


def test_run_without_code_size_says_nothing() -> None:
    assert compare_code_size(run_of(LINES), code_sizes(script_of(SOURCE), {}), ()) is None


def test_embedded_source_is_compared_line_by_line() -> None:
    long = SOURCE + "".join(f"def f{i}(x):\n    return {i}\n" for i in range(60))
    run = run_of(long.replace("seed = 1337", "seed = 42") + "=" * 100 + "\n" + LINES)
    assert run.source is not None
    assert count_different_lines(run.source, script_of(long)) == 0, "a seed says which run it was"
    assert count_different_lines(run.source, script_of(long.replace("lr = 0.02", "lr = 0.03"))) == 1
    late = replace(run.source, text="\n".join(long.splitlines()[5:40]))
    assert count_different_lines(late, script_of(long)) == 0, "a log that starts late is no difference"


def test_lines_that_nothing_prints_are_found_and_trimmed_ones_told_apart() -> None:
    text = "val_bpb 9.9\nCode size: 5 bytes\nfinal_slot val_bpb:1.1\nfinal_ttt val_bpb:1.1000\nval_bpb 9.9\n"
    source = SOURCE.split("for k")[0].replace("{evaluate():.4f}", "{evaluate():.4f} eval_time:{t:.0f}ms")
    text += "final_int8 val_loss:1.9635 val_bpb:1.1629\nFinal BPB: 1.1629\n"
    printed = compare_lines(run_of(text), text.splitlines(), find_print_sites(Scopes.of(script_of(source))))
    assert [fact.line for fact in printed.unprintable] == [3, 5], "not what a wrapper prints before and after"
    assert [fact.line for fact in printed.cut_off] == [4]


def test_every_line_counts_where_the_script_printed_none() -> None:
    text = "Val BPB: 1.7463\nFinal Val BPB: 1.1248\n"
    sites = find_print_sites(Scopes.of(script_of(SOURCE.split("for k")[0])))
    printed = compare_lines(run_of(text), text.splitlines(), sites)
    assert [fact.line for fact in printed.unprintable] == [1, 2]


def test_hyper_parameter_that_the_script_does_not_have() -> None:
    script = script_of(SOURCE)
    text = f"nohup: ignoring\nCode size: 5 bytes\nlr: 0.02\nqat_start: 0.7\n{LINES}"
    run, sites = run_of(text), find_print_sites(Scopes.of(script))
    printed = compare_lines(run, text.splitlines(), sites)
    unknown = find_unknown_settings(run, printed, script, sites, {"lr"}.__contains__)
    assert [setting.name for setting in unknown] == ["qat_start"]


def test_measured_values_in_the_dress_of_settings_are_none() -> None:
    script = script_of(SOURCE)
    text = f"Code size: 5 bytes\ngrad_norm: 0.31\nwarm_up_seconds: 12.5\nlr: 0.02\n{LINES}"
    run, sites = run_of(text), find_print_sites(Scopes.of(script))
    printed = compare_lines(run, text.splitlines(), sites)
    assert find_unknown_settings(run, printed, script, sites, {"lr"}.__contains__) == ()


def test_nearest_print_and_missing_labels_are_named() -> None:
    sites = find_print_sites(Scopes.of(script_of("def evaluate(): ...\n" + SOURCE)))
    nearest = find_nearest_site(sites, "final_int9 val_loss:1.9635 val_bpb:1.1629")
    assert nearest is not None
    assert nearest.label == "final_int8"
    assert list(find_missing_labels(sites, LINES.splitlines())) == ["final_ttt"]
    assert find_nearest_site(sites, "zzz 1.0") is None
