"""The effective configuration of whole small submissions: which source decides a switch, and what is said to disagree."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.finding import Confidence
from auditor.source.configuration import Configuration, Origin
from auditor.submission.submission import Submission
from auditor.submission.tree import DirectoryTree

Configure = Callable[..., Configuration]

SCRIPT = """
    import os
    class Hyperparameters:
        seed = int(os.environ.get("SEED", 1337))
        ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
        ttt_epochs = int(os.environ.get("TTT_EPOCHS", 3))
    def log0(text):
        print(text)
    def eval_val(args):
        return 1.2
    def main():
        args = Hyperparameters()
        log0(f"seed:{args.seed}")
        if args.ttt_enabled:
            log0(f"ttt:start epochs={args.ttt_epochs}")
            train(args)
        bpb = eval_val(args)
        log0(f"final val_loss:{bpb:.4f} val_bpb:{bpb:.4f}")
        log0("done")
    main()
"""
ENDING = "final val_loss:2.0000 val_bpb:1.2000\ndone\n"


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def make(script: str = SCRIPT, readme: str = "", log: str = "", **files: str) -> Configuration:
        (tmp_path / "train_gpt.py").write_text(textwrap.dedent(script))
        if readme:
            (tmp_path / "README.md").write_text(textwrap.dedent(readme))
        if log:
            (tmp_path / "train.log").write_text(log)
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(textwrap.dedent(text))
        (tmp_path / "submission.json").write_text(json.dumps({"val_bpb": 1.2}))
        return Submission("records/x", DirectoryTree(tmp_path)).configuration

    return make


def value(configuration: Configuration, name: str, owner: str | None = "args") -> object:
    resolved = configuration.attribute(owner, name)
    assert resolved is not None, f"{name} is unknown"
    return resolved.value


def test_default_where_nothing_else_is_said(configure: Configure) -> None:
    resolved = configure().attribute("args", "ttt_enabled")
    assert resolved is not None
    assert (resolved.value, resolved.origin, resolved.confidence) == (True, Origin.DEFAULT, Confidence.MEDIUM)
    assert resolved.location is not None
    assert (resolved.location.path, resolved.location.line) == ("train_gpt.py", 5)


def test_command_beats_default_and_names_its_line(configure: Configure) -> None:
    found = configure(readme="Run:\n```\nTTT_ENABLED=0 torchrun --nproc_per_node=8 train_gpt.py\n```\n")
    resolved = found.attribute("args", "ttt_enabled")
    assert resolved is not None
    assert (resolved.value, resolved.origin) == (False, Origin.COMMAND)
    assert str(resolved.location) == "README.md:3"
    variable = found.environment("TTT_ENABLED")
    assert variable is not None
    assert variable.value == "0"


def test_printed_hyperparameter_beats_the_command_and_both_are_told(configure: Configure) -> None:
    found = configure(
        readme="```\nTTT_ENABLED=0 torchrun train_gpt.py\n```\n",
        log=f"seed:1337\nttt_enabled: True\n{ENDING}",
    )
    assert value(found, "ttt_enabled") is True
    (disagreement,) = found.disagreements
    assert disagreement.name == "ttt_enabled"
    assert (disagreement.chosen.origin, str(disagreement.chosen.location)) == (Origin.LOG, "train.log:2")
    assert (disagreement.other.value, disagreement.other.origin) == (False, Origin.COMMAND)
    variable = found.environment("TTT_ENABLED")
    assert variable is not None
    assert (variable.value, variable.origin) == ("1", Origin.LOG)


def test_value_printed_under_other_words_is_found_through_its_print(configure: Configure) -> None:
    found = configure(log=f"seed:7\nttt:start epochs=9\n{ENDING}")
    assert value(found, "ttt_epochs") == 9
    assert value(found, "seed") == 7
    assert [each.name for each in found.disagreements] == ["ttt_epochs"]  # seeds differ between runs by design


def test_missing_label_turns_a_default_off(configure: Configure) -> None:
    found = configure(log=f"seed:1337\n{ENDING}")
    resolved = found.attribute("args", "ttt_enabled")
    assert resolved is not None
    assert (resolved.value, resolved.origin) == (False, Origin.LOG)
    assert str(resolved.location) == "train_gpt.py:15"


def test_printed_label_turns_a_switch_on(configure: Configure) -> None:
    script = SCRIPT.replace('"TTT_ENABLED", "1"', '"TTT_ENABLED", "0"')
    assert value(configure(script), "ttt_enabled") is False
    assert value(configure(script, log=f"seed:1337\nttt:start epochs=3\n{ENDING}"), "ttt_enabled") is True


def test_missing_label_says_nothing_in_a_log_that_breaks_off(configure: Configure) -> None:
    script = SCRIPT.replace('log0("done")', 'log0("done")\n        if args.late: log0("late")').replace(
        "seed = int", 'late = os.environ.get("LATE", "1") == "1"\n        seed = int'
    )
    found = configure(script, log=f"seed:1337\nttt:start epochs=3\n{ENDING}")
    assert value(found, "late") is True


def test_missing_label_says_nothing_in_a_log_of_another_script(configure: Configure) -> None:
    log = "seed:1337\nother_label val_loss:2.0000 val_bpb:1.2000\ndone\n"
    assert value(configure(log=log), "ttt_enabled") is True


def test_conditional_piece_of_a_text_tells_the_switch(configure: Configure) -> None:
    script = SCRIPT.replace('log0("done")', "log0(f\"eval:start{' with slot' if args.slot else ''}\")").replace(
        "seed = int", 'slot = os.environ.get("SLOT", "0") == "1"\n        seed = int'
    )
    start = "seed:1337\nttt:start epochs=3\nfinal val_loss:2.0000 val_bpb:1.2000\n"
    assert value(configure(script, log=f"{start}eval:start with slot\n"), "slot") is True
    assert value(configure(script, log=f"{start}eval:start\n"), "slot") is False


@pytest.mark.parametrize(
    ("lines", "first", "last", "expected"),
    [
        ("ttt:start epochs=3\n", 15, 16, True),
        ("", 15, 16, False),
        ("ttt:start epochs=3\n", 19, 19, True),
        ("ttt:start epochs=3\n", 1, 3, None),
    ],
)
def test_printed(configure: Configure, lines: str, first: int, last: int, expected: bool | None) -> None:
    found = configure(log=f"seed:1337\n{lines}{ENDING}")
    assert found.printed("train_gpt.py", first, last) is expected


def test_print_that_goes_to_the_log_file_only_is_not_missed_on_the_console(configure: Configure) -> None:
    script = SCRIPT.replace("def log0(text):", "def log0(text, console=True):").replace(
        'ttt_epochs}")', 'ttt_epochs}", console=False)'
    )
    assert configure(script, log=f"seed:1337\n{ENDING}").printed("train_gpt.py", 15, 16) is None


def test_prelude_of_a_wrapper_is_read(configure: Configure) -> None:
    import base64
    import lzma

    payload = base64.b85encode(lzma.compress(textwrap.dedent(SCRIPT).encode())).decode()
    wrapper = f"""
        import os, lzma, base64
        os.environ.setdefault("TTT_ENABLED", "0")
        exec(lzma.decompress(base64.b85decode("{payload}")))
    """
    resolved = configure(wrapper).attribute("h", "ttt_enabled")
    assert resolved is not None
    assert (resolved.value, resolved.origin) == (False, Origin.PRELUDE)


def test_script_that_sets_a_variable_itself_beats_the_command(configure: Configure) -> None:
    script = SCRIPT.replace("import os", 'import os\n    os.environ["TTT_ENABLED"] = "0"')
    found = configure(script, readme="```\nTTT_ENABLED=1 torchrun train_gpt.py\n```\n")
    assert value(found, "ttt_enabled") is False
    (disagreement,) = found.disagreements
    assert (disagreement.chosen.origin, disagreement.other.origin) == (Origin.SCRIPT, Origin.COMMAND)


def test_setdefault_in_a_runner_yields_to_the_command(configure: Configure) -> None:
    runner = """
        import os
        os.environ.setdefault("TTT_ENABLED", "0")
        os.environ.setdefault("TTT_EPOCHS", "5")
        from inner import main
        main()
    """
    files = {"inner__py": SCRIPT.replace("\n    main()\n", "\n")}
    found = configure(runner, readme="```\nTTT_ENABLED=1 torchrun train_gpt.py\n```\n", **files)
    assert value(found, "ttt_enabled") is True
    assert value(found, "ttt_epochs") == 5


def test_readme_table_counts_where_no_command_sets_the_variable(configure: Configure) -> None:
    readme = """
        | variable | value |
        |---|---|
        | `TTT_ENABLED` | `0` |
        | TTT_EPOCHS | 3 to 5 |

        ```
        TTT_EPOCHS=7 torchrun train_gpt.py
        ```
    """
    found = configure(readme=readme)
    resolved = found.attribute("args", "ttt_enabled")
    assert resolved is not None
    assert (resolved.value, resolved.origin, resolved.confidence) == (False, Origin.README, Confidence.MEDIUM)
    assert value(found, "ttt_epochs") == 7


def test_of_several_commands_the_one_that_fits_the_log_is_taken(configure: Configure) -> None:
    readme = """
        ```
        TTT_EPOCHS=1 TTT_ENABLED=0 torchrun --nproc_per_node=8 train_gpt.py
        ```
        ```
        TTT_EPOCHS=4 torchrun --nproc_per_node=8 train_gpt.py
        ```
        ```
        TTT_EPOCHS=4 python other.py
        ```
    """
    found = configure(readme=readme, log=f"seed:1337\nttt_epochs: 4\nttt:start epochs=4\n{ENDING}")
    assert found.command is not None
    assert found.command.environment == {"TTT_EPOCHS": "4"}
    assert found.disagreements == ()


def test_submission_runs_on_eight_gpus_wherever_its_log_is_from(configure: Configure) -> None:
    script = """
        import os
        def eval_val(args, rank, world_size):
            default = "1" if world_size > 1 else "0"
            use_ngram = bool(int(os.environ.get("NGRAM_CACHE", default)))
            return use_ngram
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        cache = world_size > 1
        print(f"world_size:{world_size}")
        print(f"final val_bpb:{1.2:.4f}")
    """
    found = configure(script, log="world_size:1\nfinal val_bpb:1.2000\n")
    assert value(found, "cache", None) is True
    variable = found.environment("NGRAM_CACHE")
    assert variable is not None
    assert variable.value == "1"


def test_variable_that_nobody_reads_is_told(configure: Configure) -> None:
    found = configure(readme="```\nTTT_ENABLED=1 TTT_MODE=lora torchrun train_gpt.py\n```\n")
    assert found.unread == ("TTT_MODE",)


def test_crash_of_the_configuration_is_told_with_its_line(configure: Configure) -> None:
    script = """
        import os
        def _e(k, d, t=str):
            v = os.environ.get(k, str(d))
            if t == bool: return bool(int(v))
            return t(v)
        class Hyperparameters:
            good = _e("GOOD", 1, bool)
            bad = _e("BAD", False, bool)
    """
    found = configure(script)
    assert value(found, "good") is True
    assert found.attribute("args", "bad") is None
    (failure,) = found.failures
    assert failure.location.line == 5
    assert "int('False')" in failure.reason


def test_unknown_stays_unknown(configure: Configure) -> None:
    found = configure("import os, uuid\nclass H:\n    run = os.environ.get('RUN', str(uuid.uuid4()))\n")
    assert found.attribute("h", "run") is None
    assert found.attribute("h", "absent") is None
    assert found.environment("RUN") is None
    assert found.environment("ABSENT") is None


def test_arguments_of_the_command_line(configure: Configure) -> None:
    script = """
        import argparse
        def parse():
            p = argparse.ArgumentParser()
            g = p.add_argument_group("ttt")
            g.add_argument("--ttt-epochs", type=int, default=3)
            g.add_argument("--no-ttt", dest="ttt", action="store_false")
            g.add_argument("--slot", action="store_true")
            return p.parse_args()
        args = parse()
    """
    found = configure(script, readme="```\ntorchrun train_gpt.py --ttt-epochs 5 --slot | tee log.txt\n```\n")
    epochs = found.attribute("args", "ttt_epochs")
    assert epochs is not None
    assert (epochs.value, epochs.origin) == (5, Origin.COMMAND)
    assert value(found, "ttt") is True
    assert value(found, "slot") is True


def test_expression_in_a_function_is_evaluated_with_its_names(configure: Configure) -> None:
    script = """
        import os
        class H:
            ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
            order = 7
        def evaluate(h, depth=2):
            on = h.ttt_enabled and os.environ.get("NGRAM", "0") == "1"
            return on, h.order * depth, depth, unseen
        evaluate(H())
    """
    found = configure(script, readme="```\nNGRAM=1 torchrun train_gpt.py\n```\n")
    scope = next(scope for scope in found.scopes.all if scope.name == "evaluate")
    (returned,) = scope.returns
    on, order, depth, unseen = (found.evaluate(node, scope) for node in returned.elts)  # type: ignore[attr-defined]
    assert on is not None
    assert (on.value, on.origin) == (True, Origin.COMMAND)
    assert order is not None
    assert order.value == 14
    assert depth is not None
    assert depth.value == 2
    assert unseen is None

    def local(name: str) -> object:
        return {"depth": 5}[name]

    changed = found.evaluate(returned.elts[1], scope, local)  # type: ignore[attr-defined]
    assert changed is not None
    assert changed.value == 35
