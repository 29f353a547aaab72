"""Settings that are fixed take what they switch off with them; settings that stay open stay."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.pack.pack_case import executed, packed_source
from trainer.config import Config, preset
from trainer.pack import pack
from trainer.pack.settings import OPTION_VARIABLES, REFERENCE_VARIABLES, Settings, settings_of

ROOT = Path(__file__).parents[3]
CONFIG = """
    from dataclasses import dataclass, field
    @dataclass(frozen=True)
    class TTTConfig:
        kind: str = "off"
        rank: int = 8
        lr: float = 0.1
        def __post_init__(self):
            if self.rank < 1: raise ValueError(self.rank)
    @dataclass(frozen=True)
    class Config:
        ttt: TTTConfig = field(default_factory=TTTConfig)
"""
MAIN = """
    from own.config import Config, TTTConfig
    class Lora:
        def __init__(self, config: TTTConfig): self.rank = config.rank
        def step(self): return "lora", self.rank
    class Sgd:
        def __init__(self, config: TTTConfig): self.lr = config.lr
        def step(self): return "sgd", self.lr
        def unused(self): return spare()
    def spare(): return 1
    class Run:
        def __init__(self, config: Config, *, watch: object = None):
            self.config = config
            self.lora = Lora(config.ttt) if config.ttt.kind == "lora" else None
            self.watch = watch
        def go(self):
            if self.watch is not None: self.watch(spare())
            if self.lora is not None: return self.lora.step()
            return Sgd(self.config.ttt).step()
    result = Run(Config()).go()
    print(result)
"""


def specialised(tmp_path, kind: str) -> str:
    values = {("TTTConfig", "kind"): kind, ("TTTConfig", "rank"): 3, ("TTTConfig", "lr"): 0.5}
    variables = {("TTTConfig", "lr"): "TTT_LR"}
    settings = Settings(
        fixed={key: value for key, value in values.items() if key not in variables}, variables=variables, values=values
    )
    return packed_source(tmp_path, settings=settings, config=CONFIG, main=MAIN)


def test_the_option_that_is_on_is_the_only_one_left(tmp_path, monkeypatch):
    source = specialised(tmp_path, "sgd")
    assert executed(source)["result"] == ("sgd", 0.5)
    assert not re.search("lora|rank|kind|watch|unused|spare|__post_init__", source, re.IGNORECASE)
    monkeypatch.setenv("TTT_LR", "0.25")
    assert executed(source)["result"] == ("sgd", 0.25)


def test_the_other_option_takes_its_setting_from_the_run(tmp_path):
    source = specialised(tmp_path, "lora")
    assert executed(source)["result"] == ("lora", 3)
    assert not re.search("sgd|Sgd|lr|TTT_LR|watch|environ", source)


def test_settings_and_variables_are_those_of_the_trainer():
    config = Config()
    for section, name in [*REFERENCE_VARIABLES, *OPTION_VARIABLES]:
        assert hasattr(getattr(config, section), name), f"{section}.{name}"
    assert len({*REFERENCE_VARIABLES.values(), *OPTION_VARIABLES.values()}) == len(REFERENCE_VARIABLES | OPTION_VARIABLES)


def test_an_option_that_is_off_has_no_variable():
    assert ("ModelConfig", "bigram_buckets") in settings_of(preset("baseline")).fixed
    assert ("ModelConfig", "bigram_buckets") in settings_of(preset("late-qat")).variables


@pytest.fixture(scope="module")
def baseline() -> str:
    return pack(preset("baseline")).source


def test_options_that_are_off_leave_no_trace(baseline):
    """Except the names of the model's settings, which stand in the header of the artifact."""
    gone = "BigramHash|SmearGate|exclude_self|lora|LateQAT|fake_quant|Averag(er|ing)|swa|ema_|gptq|calibrat|overtone|phased"
    gone += "|_ttt|Adapter|ScoreFirst|Checkpoints|resume|demo|rich|EventLog|svg|About|download|StrEnum.*Severity"
    found = re.search(gone, re.sub(r"class ModelConfig:.*", "", baseline))
    assert found is None, baseline[found.start() - 60 : found.end() + 60]


def test_comments_docstrings_and_annotations_are_gone(baseline):
    assert '"""' not in baseline
    assert "#" not in baseline
    assert "->" not in baseline


PACK_BASELINE = """
import sys
from trainer.config import preset
from trainer.pack import pack
sys.stdout.buffer.write(pack(preset("baseline")).plain)
"""
LIST_HEAVY = """
import sys, cli, trainer.pack
cli.parser()
print(sorted({"torch", "numpy", "sentencepiece"} & set(sys.modules)))
"""


def python(program: str, **variables: str) -> bytes:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout


def test_equal_settings_give_equal_bytes_under_any_hash_seed(baseline):
    assert python(PACK_BASELINE, PYTHONHASHSEED="7") == baseline.encode()


def test_packing_imports_nothing_heavy():
    assert python(LIST_HEAVY) == b"[]\n"
