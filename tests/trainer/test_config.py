"""Settings: presets, overrides, and the three kinds of mistakes that are errors."""

from __future__ import annotations

import dataclasses
import json

import pytest

from trainer.config import PRESETS, Config, apply_overrides, describe_settings, from_dict, ineffective, preset, to_dict


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name):
    config = preset(name)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_overrides_are_parsed_by_the_type_of_the_setting():
    config = apply_overrides(
        preset("tiny"),
        ["model.num_layers=3", "quant.clip_search=off", "quant.compression=zstd, lzma", "run.name=x", "ttt.lr=1e-3"],
    )
    assert (config.model.num_layers, config.quant.clip_search, config.run.name, config.ttt.lr) == (3, False, "x", 0.001)
    assert config.quant.compression == ("zstd", "lzma")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("run.sed=3", "did you mean seed"),
        ("modell.num_layers=3", "did you mean model"),
        ("model.num_layers", "section.key=value"),
        ("model.num_layers=three", "must be an integer"),
        ("ttt.lr=fast", "must be a number"),
        ("quant.qat=maybe", "must be true or false"),
        ("quant.gptq=sometimes", "must be one of off, self, train"),
        ("model.num_heads=5", "must divide 96"),
        ("model.xsa_layers=9", "0 to num_layers"),
        ("eval.stride=0", "must be 1 to seq_len"),
        ("data.train_batch_tokens=1000", "must be a multiple"),
        ("quant.compression=zip", "must name at least one of"),
        ("schedule.clock=wallclock", None),
    ],
)
def test_mistakes_name_the_value_and_the_reason(assignment, message):
    if message is None:
        apply_overrides(preset("tiny"), [assignment])
        return
    with pytest.raises(ValueError, match=message):
        apply_overrides(preset("tiny"), [assignment])


@pytest.mark.parametrize(
    ("name", "assignments"),
    [
        ("tiny", ["quant.calibration_tokens=5"]),
        ("tiny", ["ttt.rank=4"]),
        ("tiny", ["ttt.kind=off", "ttt.epochs=2"]),
        ("tiny", ["optimizer.embed_lr=1"]),
        ("baseline", ["model.bigram_dim=64"]),
        ("baseline", ["model.bos_token_id=2"]),
        ("baseline", ["quant.qat_lr_factor=1"]),
        ("baseline", ["model.output_init=scaled"]),
    ],
)
def test_a_setting_without_effect_is_an_error(name, assignments):
    with pytest.raises(ValueError, match="has no effect"):
        apply_overrides(preset(name), assignments)


def test_a_setting_takes_effect_with_the_option_that_it_refines():
    config = apply_overrides(preset("baseline"), ["model.bigram_dim=64", "model.bigram_buckets=512"])
    assert (config.model.bigram_dim, config.model.bigram_buckets) == (64, 512)


def test_every_condition_names_a_setting():
    config = Config()
    for section in dataclasses.fields(config):
        for setting in dataclasses.fields(getattr(config, section.name)):
            ineffective(config, section.name, setting.name)


def test_every_setting_has_a_sentence():
    assert all(sentence for _, _, sentence in describe_settings(Config()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["model"].update(colour=1), "unknown setting 'colour'"),
        (lambda d: d["model"].pop("vocab_size"), "missing"),
        (lambda d: d["run"].update(seed="1"), "must be of type int"),
        (lambda d: d["run"].update(seed=True), "must be of type int"),
        (lambda d: d.update(extra={}), "unknown setting 'extra'"),
    ],
)
def test_a_damaged_configuration_is_refused(change, message):
    data = to_dict(preset("tiny"))
    change(data)
    with pytest.raises(ValueError, match=message):
        from_dict(data)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="late-qat"):
        preset("lateqat")
