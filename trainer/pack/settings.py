"""Turns the settings of a run into the settings of its script: what is fixed, and what the environment may change.

The script keeps the configuration's dataclasses, with the run's values as defaults. A setting that the contest's reference
reads from an environment variable is read from that variable; so are the sizes of options that are on, under the names that
scripts of the contest commonly use. Everything else is fixed, and its value takes the place of every use, so that options
that are off can be left out. A field that nothing reads any more goes, except those of the model, which are written into
the artifact. The checks of values go too: they were made when the script was packed.

Not covered: TIE_EMBEDDINGS of the reference, which is a switch, and VAL_BATCH_SIZE, which it counts in tokens.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping

from trainer.config import Config
from trainer.pack.constants import to_node, to_value

Field = tuple[str, str]  # (section, setting)

REFERENCE_VARIABLES: Mapping[Field, str] = {
    ("data", "path"): "DATA_PATH",
    ("data", "tokenizer_path"): "TOKENIZER_PATH",
    ("data", "train_batch_tokens"): "TRAIN_BATCH_TOKENS",
    ("data", "seq_len"): "TRAIN_SEQ_LEN",
    ("run", "seed"): "SEED",
    ("run", "log_every"): "TRAIN_LOG_EVERY",
    ("eval", "val_every"): "VAL_LOSS_EVERY",
    ("schedule", "iterations"): "ITERATIONS",
    ("schedule", "max_wallclock_seconds"): "MAX_WALLCLOCK_SECONDS",
    ("schedule", "warmup_steps"): "WARMUP_STEPS",
    ("schedule", "warmdown_iters"): "WARMDOWN_ITERS",
    ("model", "vocab_size"): "VOCAB_SIZE",
    ("model", "num_layers"): "NUM_LAYERS",
    ("model", "model_dim"): "MODEL_DIM",
    ("model", "num_heads"): "NUM_HEADS",
    ("model", "num_kv_heads"): "NUM_KV_HEADS",
    ("model", "mlp_mult"): "MLP_MULT",
    ("model", "qk_gain_init"): "QK_GAIN_INIT",
    ("model", "rope_base"): "ROPE_BASE",
    ("model", "logit_softcap"): "LOGIT_SOFTCAP",
    ("model", "embedding_init_std"): "TIED_EMBED_INIT_STD",
    ("optimizer", "matrix_lr"): "MATRIX_LR",
    ("optimizer", "tied_embed_lr"): "TIED_EMBED_LR",
    ("optimizer", "embed_lr"): "EMBED_LR",
    ("optimizer", "head_lr"): "HEAD_LR",
    ("optimizer", "scalar_lr"): "SCALAR_LR",
    ("optimizer", "muon_momentum"): "MUON_MOMENTUM",
    ("optimizer", "muon_momentum_start"): "MUON_MOMENTUM_WARMUP_START",
    ("optimizer", "muon_momentum_warmup_steps"): "MUON_MOMENTUM_WARMUP_STEPS",
    ("optimizer", "muon_ns_steps"): "MUON_BACKEND_STEPS",
    ("optimizer", "beta1"): "BETA1",
    ("optimizer", "beta2"): "BETA2",
    ("optimizer", "adam_eps"): "ADAM_EPS",
    ("optimizer", "grad_clip_norm"): "GRAD_CLIP_NORM",
}
# Sizes of options; zero is off, and an option that is off has no size.
OPTION_VARIABLES: Mapping[Field, str] = {
    ("eval", "seq_len"): "EVAL_SEQ_LEN",
    ("eval", "stride"): "EVAL_STRIDE",
    ("eval", "batch_sequences"): "EVAL_BATCH_SEQS",
    ("ttt", "chunk_tokens"): "TTT_CHUNK_TOKENS",
    ("model", "bigram_buckets"): "BIGRAM_VOCAB_SIZE",
    ("model", "bigram_dim"): "BIGRAM_DIM",
}
# Tables of options, by the setting that says which of their rows are wanted.
TABLES: Mapping[str, Field] = {"COMPRESSORS": ("QuantConfig", "compression")}
DATA_PATH = "./data/datasets/fineweb10B_sp{vocab_size}"  # where the contest's own script looks without a setting
TOKENIZER_PATH = "./data/tokenizers/fineweb_{vocab_size}_bpe.model"
SECTIONS = frozenset(["Config", *(type(getattr(Config(), each.name)).__name__ for each in dataclasses.fields(Config))])
WRITTEN_WHOLE = frozenset({"ModelConfig"})  # its fields are the header of the artifact


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """`fixed` is the value of (class, field) where it is fixed; `variables` the environment variable of the others."""

    fixed: dict[Field, object]
    variables: Mapping[Field, str]
    values: Mapping[Field, object]


def settings_of(config: Config) -> Settings:
    """What is fixed in a script of this configuration, by the names of the classes."""
    values: dict[Field, object] = {}
    variables: dict[Field, str] = {}
    for section in dataclasses.fields(config):
        part = getattr(config, section.name)
        for each in dataclasses.fields(part):
            key = (type(part).__name__, each.name)
            values[key] = _default(config, section.name, each.name)
            name = REFERENCE_VARIABLES.get((section.name, each.name))
            option = OPTION_VARIABLES.get((section.name, each.name))
            if name is None and option is not None and values[key]:
                name = option
            if name is not None:
                variables[key] = name
    fixed = {key: value for key, value in values.items() if key not in variables}
    return Settings(fixed=fixed, variables=variables, values=values)


def _default(config: Config, section: str, name: str) -> object:
    """The value of a setting; the paths of the demo data are nobody else's, so the contest's stand for them."""
    value = getattr(getattr(config, section), name)
    if not value and (section, name) == ("data", "path"):
        return DATA_PATH.format(vocab_size=config.model.vocab_size)
    if not value and (section, name) == ("data", "tokenizer_path"):
        return TOKENIZER_PATH.format(vocab_size=config.model.vocab_size)
    return value


def specialise(tree: ast.Module, settings: Settings) -> None:
    """Give the classes of the settings the values of one run, in place: fields get defaults, their checks go."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in SECTIONS:
            node.body = [each for each in node.body if getattr(each, "name", "") != "__post_init__"]
            for each in node.body:
                match each:
                    case ast.AnnAssign(target=ast.Name(id=name)) if (node.name, name) in settings.values:
                        each.value = _value(settings, (node.name, name))


def narrow_tables(tree: ast.Module, settings: Settings) -> None:
    """Leave out the rows of tables of options that the settings do not name, in place."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table) if name in TABLES:
                wanted = settings.fixed[TABLES[name]]
                rows = list(zip(table.keys, table.values, strict=True))
                kept = [(key, value) for key, value in rows if key is not None and to_value(key) in wanted]  # type: ignore[operator]
                table.keys, table.values = [key for key, _ in kept], [value for _, value in kept]


def _value(settings: Settings, key: Field) -> ast.expr:
    variable = settings.variables.get(key)
    return to_node(settings.values[key]) if variable is None else _from_environment(variable, settings.values[key])


def _from_environment(variable: str, value: object) -> ast.expr:
    """`int(os.environ.get("NAME", 3))`; text needs no conversion."""
    asked = f"os.environ.get({variable!r}, {value!r})"
    text = asked if isinstance(value, str) else f"{type(value).__name__}({asked})"
    return ast.parse(text, mode="eval").body


def drop_unread_fields(tree: ast.Module, is_read: Callable[[str, str], bool]) -> None:
    """Leave out the fields of settings that nothing reads, in place; `is_read` is asked for class and field."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in SECTIONS - WRITTEN_WHOLE:
            node.body = [each for each in node.body if not _is_unread_field(node.name, each, is_read)] or [ast.Pass()]


def _is_unread_field(owner: str, member: ast.stmt, is_read: Callable[[str, str], bool]) -> bool:
    match member:
        case ast.AnnAssign(target=ast.Name(id=name)):
            return not is_read(owner, name)
    return False
