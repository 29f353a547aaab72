"""Two naive detectors, as the field has them, to be measured beside ours on the same truth: word grep and shape match.

*Word grep* looks for the practice's usual names anywhere in the shipped source. *Shape match* looks for code of the usual
shape in the syntax tree: a function over validation tokens that steps an optimiser, an exclusive-or of a context with a
multiplied target, a leaf tensor optimised inside a scoring loop. Neither knows order, data flow, reachability, or what was
switched on; that is the point of the comparison. Both see the unpacked source, which is more than most tools do.

``python -m bench.baselines --repo GITDIR --truth FILE`` prints their precision and recall for each truth column.
"""

from __future__ import annotations

import argparse
import ast
import csv
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the repository's root is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from auditor.submission.repository import Repository
from auditor.submission.script import Script
from auditor.submission.submission import Submission
from bench.agreement import Tally
from bench.run_corpus import Row

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_WORDS: Mapping[str, str] = {
    "train_before_score": r"\bttt_adapt|pre_?quant_?(?:\w*_)?ttt|pre_?eval_?ttt|sgd_ttt|test_time_train|dttt",
    "slot": r"\bslot\b|slot_|_slot",
    "ngram_cache": r"n_?gram_?(?:cache|eval|mixer|enabled)|ngram|backoff",
    "target_gate": r"has_match|within_gate|word_gate|starts_new_word|oracle",
    "byte_mixture": r"\bppm|ppm_|byte_mix",
    "two_pass": r"two_?pass|rescore|second_pass",
    "val_in_training": r"val_only|calib\w*[^\n]{0,60}val_(?:tokens|files)|paid_prefix",
    "train_data_at_eval": r"(?:prefill|warm)\w*[^\n]{0,60}train_files|train_(?:oracle|ngram)",
    "network": r"huggingface_hub|snapshot_download|load_dataset|urllib|requests\.get|pip install|wget |curl ",
}
_TRUE_WORD = {"ngram_cache": "hashed_target_lookup_live", "byte_mixture": "live"}
_NETWORK_MODULES = frozenset(["huggingface_hub", "datasets", "requests", "urllib", "urllib3", "httpx", "socket", "aiohttp"])


@dataclass(frozen=True, slots=True)
class Baseline:
    """A naive detector: the truth columns that it would flag for a script."""

    name: str
    flags: Callable[[Script], frozenset[str]]


def word_grep(script: Script) -> frozenset[str]:
    """Columns whose words stand in the source."""
    source = "\n".join(module.source for module in script.modules)
    return frozenset(column for column, words in _WORDS.items() if re.search(words, source, re.IGNORECASE))


def shape_match(script: Script) -> frozenset[str]:
    """Columns whose shape stands somewhere in the syntax tree."""
    trees = [module.tree for module in script.modules if module.tree is not None]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, _FUNCTIONS)]
    return frozenset(column for column, has_shape in _SHAPES.items() if has_shape(nodes, functions))


_Nodes = Sequence[ast.AST]


def _trains_on_validation(nodes: _Nodes, functions: _Nodes) -> bool:
    """A function with a parameter about validation that steps an optimiser and has no evaluation under no_grad before."""
    for function in functions:
        assert isinstance(function, _FUNCTIONS)
        step = min((node.lineno for node in _calls(function, "step")), default=None)
        about_val = any("val" in argument.arg for argument in function.args.args)
        if step is None or not about_val or not list(_calls(function, "backward")):
            continue
        guards = [*_calls(function, "no_grad"), *_calls(function, "inference_mode")]
        if not any(guard.lineno < step for guard in guards):
            return True
    return False


def _optimises_a_leaf_in_a_loop(nodes: _Nodes, functions: _Nodes) -> bool:
    """A loop that makes a tensor with gradients and an optimiser, and steps it."""
    loops = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.For)]
    return any(
        any(
            keyword.arg == "requires_grad"
            for call in ast.walk(loop)
            if isinstance(call, ast.Call)
            for keyword in call.keywords
        )
        and any(_calls(loop, "step"))
        for loop in loops
    )


def _hashes_a_target(nodes: _Nodes, functions: _Nodes) -> bool:
    """``context ^ (target * prime)``, a target being what is named so."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitXor)
        and any(
            isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult) and _names_target(side) for side in _sides(node)
        )
        for node in nodes
    )


def _masks_by_target(nodes: _Nodes, functions: _Nodes) -> bool:
    """A `where` whose condition names the target."""
    return any(
        isinstance(node, ast.Call) and _last_name(node.func) == "where" and node.args and _names_target(node.args[0])
        for node in nodes
    )


def _mixes_bytes(nodes: _Nodes, functions: _Nodes) -> bool:
    """A function named after bytes or PPM with a ``logaddexp`` or a sum of two products, a mixture by its shape."""
    return any(
        isinstance(function, _FUNCTIONS)
        and re.search(r"byte|ppm", function.name) is not None
        and (any(_calls(function, "logaddexp")) or any(_is_mixture(node) for node in ast.walk(function)))
        for function in functions
    )


def _evaluates_twice(nodes: _Nodes, functions: _Nodes) -> bool:
    """A function that sums losses in two loops that do not contain each other."""
    for function in functions:
        loops = [child for child in ast.walk(function) if isinstance(child, ast.For) and _adds_to_loss(child)]
        if any(one.end_lineno is not None and one.end_lineno < other.lineno for one in loops for other in loops):
            return True
    return False


def _calibrates_on_validation(nodes: _Nodes, functions: _Nodes) -> bool:
    """A call with Hessian or calibration in its name that is handed something named after validation."""
    return any(
        isinstance(node, ast.Call)
        and re.search(r"hessian|calib|gptq", _last_name(node.func), re.IGNORECASE) is not None
        and any("val_" in ast.unparse(argument) for argument in node.args)
        for node in nodes
    )


def _loads_training_data_in_evaluation(nodes: _Nodes, functions: _Nodes) -> bool:
    """A function named after evaluation that mentions the training files."""
    return any(
        isinstance(function, _FUNCTIONS)
        and "eval" in function.name
        and any("train_files" in (_last_name(node)) for node in ast.walk(function) if isinstance(node, ast.expr))
        for function in functions
    )


def _imports_network(nodes: _Nodes, functions: _Nodes) -> bool:
    """An import of a library that connects."""
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] in _NETWORK_MODULES for name in names):
            return True
    return False


_SHAPES: Mapping[str, Callable[[_Nodes, _Nodes], bool]] = {
    "train_before_score": _trains_on_validation,
    "slot": _optimises_a_leaf_in_a_loop,
    "ngram_cache": _hashes_a_target,
    "target_gate": _masks_by_target,
    "byte_mixture": _mixes_bytes,
    "two_pass": _evaluates_twice,
    "val_in_training": _calibrates_on_validation,
    "train_data_at_eval": _loads_training_data_in_evaluation,
    "network": _imports_network,
}
BASELINES = (Baseline("word grep", word_grep), Baseline("shape match", shape_match))


def _calls(node: ast.AST, method: str) -> Iterator[ast.Call]:
    return (inner for inner in ast.walk(node) if isinstance(inner, ast.Call) and _last_name(inner.func) == method)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _sides(node: ast.BinOp) -> tuple[ast.expr, ast.expr]:
    return node.left, node.right


def _names_target(node: ast.expr) -> bool:
    names = (_last_name(inner) for inner in ast.walk(node) if isinstance(inner, ast.expr))
    return any(re.fullmatch(r"(?:\w+_)?(?:tgt|target|targets|y|gold)(?:_\w+)?", name) for name in names)


def _is_mixture(node: ast.AST) -> bool:
    products = _sides(node) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) else ()
    return len(products) == 2 and all(isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult) for side in products)


def _adds_to_loss(loop: ast.For) -> bool:
    added = (node.target for node in ast.walk(loop) if isinstance(node, ast.AugAssign))
    return any(isinstance(target, ast.Name) and "loss" in target.id for target in added)


def measure(repository: Repository, rows: Sequence[Row]) -> dict[tuple[str, str], Tally]:
    """The tallies of both baselines by (baseline, truth column)."""
    tallies = {(baseline.name, column): Tally() for baseline in BASELINES for column in _WORDS}
    for row in rows:
        opened = repository.pull_request(int(row["pr"]))
        script = opened.script if isinstance(opened, Submission) else None
        for baseline in BASELINES:
            flagged = baseline.flags(script) if script is not None else frozenset()
            for column in _WORDS:
                truth = row[column] == _TRUE_WORD.get(column, "violation_live")
                tallies[baseline.name, column].add(truth, column in flagged, f"#{row['pr']}")
    return tallies


def print_baselines(repository: Repository, rows: Sequence[Row]) -> None:
    """One line for each baseline and column."""
    print(f"{'baseline':12} {'column':20} {'TP':>4} {'FP':>4} {'FN':>4} {'TN':>4} {'precision':>10} {'recall':>7}")
    for (name, column), counts in measure(repository, rows).items():
        print(
            f"{name:12} {column:20} {counts.true_positives:4} {counts.false_positives:4} "
            f"{counts.false_negatives:4} {counts.true_negatives:4} {counts.precision:10.3f} {counts.recall:7.3f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the baselines' figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, type=Path, help="git directory of the contest with refs/pull/N/head")
    parser.add_argument("--truth", required=True, type=Path, help="tab-separated truth file")
    arguments = parser.parse_args(argv)
    with arguments.truth.open(newline="") as file:
        print_baselines(Repository(arguments.repo), list(csv.DictReader(file, delimiter="\t")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
