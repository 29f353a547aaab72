"""Toy scale: which of the script's environment variables are set to which sizes, and which switches are kept.

Switches keep the value of the submitted run (its effective configuration); sizes that the script reads shrink so that
training takes two steps and evaluation covers a small validation stream completely. The number of layers stays, since other
settings refer to layers by index. Every override is told with the value it replaces.

Not covered: sizes that a script hard-codes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.run.world import World
from auditor.source.configuration import Configuration, Origin

_SUBMITTED = (Origin.LOG, Origin.COMMAND, Origin.PRELUDE, Origin.README)
_SEQUENCE = ("TRAIN_SEQ_LEN", "EVAL_SEQ_LEN", "ROPE_TRAIN_SEQ_LEN", "TTT_EVAL_SEQ_LEN", "SEQ_LEN", "TTT_TRAIN_SEQ_LEN")
_TOY_SIZES: Mapping[str, str] = dict.fromkeys(_SEQUENCE, "256") | {
    "ITERATIONS": "2",
    "WARMUP_STEPS": "0",
    "MAX_WALLCLOCK_SECONDS": "0",  # schedules then follow the iterations
    "TRAIN_BATCH_TOKENS": "2048",
    "TRAIN_LOG_EVERY": "1",
    "VAL_LOSS_EVERY": "0",
    "EVAL_BATCH_SEQS": "16",
    "VAL_BATCH_SIZE": "16384",
    "VAL_BATCH_TOKENS": "16384",
    "MODEL_DIM": "64",
    "EMBEDDING_DIM": "64",
    "EMBED_DIM": "64",
    "NUM_HEADS": "4",
    "NUM_KV_HEADS": "2",
    "VE_DIM": "16",
    "BITNET_GROUP_SIZE": "64",
    "BIGRAM_VOCAB_SIZE": "512",
    "BIGRAM_DIM": "16",
    "TRIGRAM_VOCAB_SIZE": "512",
    "TRIGRAM_DIM": "16",
    "GPTQ_CALIBRATION_BATCHES": "1",
    "GPTQ_CALIB_BATCHES": "1",
    "GPTQ_CALIB_SAMPLES": "2",
    "GPTQ_RESERVE_SECONDS": "0",
    "TTT_CHUNK_TOKENS": "2048",
    "TTT_CHUNK_SIZE": "64",
    "TTT_BATCH_SIZE": "16",
    "TTT_LORA_RANK": "8",
    "PHASED_TTT_PREFIX_DOCS": "20",
    "GLOBAL_TTT_CHUNK_TOKENS": "2048",
}
_PER_HEAD = 16  # MODEL_DIM / NUM_HEADS
_REPEATS = re.compile(r"(?:TTT|SLOT|ADAPT|LORA|QUANT|SGD)\w*_(?:EPOCHS|STEPS|ITERS)$")  # how often something is repeated
_MAX_REPEATS = 3
_BEGINS = re.compile(r"_START_STEP$")  # at which step of the training something begins, so that it does
_BATCHES = re.compile(r"(?:SLIDING|EVAL|TTT|SLOT)\w*BATCH(?:_SIZE|_SEQS)?$")  # sequences that are scored at once
_STRIDES = re.compile(r"(?:EVAL|SLIDING|WINDOW|TTT|SLOT)\w*_STRIDE$")  # a part of a sequence
_TOY_STRIDE = "64"
_WARM_UPS = re.compile(r"(?:CACHE|NGRAM|MIXER|PPM)\w*_(?:MIN_TOKENS|WARMUP_(?:BYTES|TOKENS))$")  # before a cache is asked
_CHUNKS = re.compile(r"(?:NGRAM|CACHE|EVAL|TTT)\w*_CHUNK(?:_TOKENS)?$")
_BUCKETS = re.compile(r"BUCKETS$")  # few, so that hash tables are as full as they are at full scale
_MOST = (
    (re.compile(r"^ROPE_DIMS$"), _PER_HEAD),
    (_REPEATS, _MAX_REPEATS),
    (_BEGINS, 1),
    (_BATCHES, 16),
    (_CHUNKS, 2048),
    (_WARM_UPS, 1024),
    (_BUCKETS, 1024),
)
_SHARES = re.compile(r"train_batch_tokens\s*//\s*(\d+)")  # a part of the batch must still be a sequence for each micro-step
_MAX_SHARES = 8
_NEVER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "RUN_ID", "PATH", "HOME", "MASTER_ADDR", "MASTER_PORT")
_EARLIER = re.compile(r"EVAL_ONLY$|CHECKPOINT(?:_PATH)?$|^RESUME|_CKPT$|^LOAD_")
_WORD_FOR_NOTHING = re.compile(r"\(\w+\)|<\w+>")  # a log's "(none)" was no value of a variable
_TOO_SLOW = {"FUSED_CE_ENABLED": "0"}  # a fused kernel over the vocabulary, interpreted


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One environment variable of the run: `submitted` is the value that it replaces, None where that is unknown."""

    name: str
    value: str
    submitted: str | None
    why: str


def overrides(configuration: Configuration, world: World, sources: Sequence[str] = ()) -> tuple[Override, ...]:
    """The variables to set, by name. `sources` are the texts of the script's modules."""
    found = {
        each.name: each
        for each in _all(configuration, world)
        if not (_names_a_file(each, sources) or _WORD_FOR_NOTHING.fullmatch(each.value))
    }
    shares = max((int(match[1]) for text in sources for match in _SHARES.finditer(text)), default=1)
    batch = found.get("TRAIN_BATCH_TOKENS")
    if batch is not None and shares > 1:
        found[batch.name] = dataclasses.replace(batch, value=str(int(batch.value) * min(shares, _MAX_SHARES)))
    return tuple(found[name] for name in sorted(found))


def _names_a_file(override: Override, sources: Sequence[str]) -> bool:
    """Does a variable name a file of an earlier run, or a place of another machine? Then the script must use its own."""
    if override.value.startswith(("/", "~")):
        return True
    if not _EARLIER.search(override.name):
        return False
    by_default_none = re.compile(rf"""["']{override.name}["'],\s*(?:""|'')""")
    return override.value not in ("0", "1") or any(by_default_none.search(text) for text in sources)


def _all(configuration: Configuration, world: World) -> Iterator[Override]:
    for name in configuration.names():
        resolved = configuration.environment(name)
        value = None if resolved is None else str(resolved.value)
        if name in _NEVER or name.startswith("PYTORCH_"):
            continue
        if (size := _size(name, value)) is not None:
            yield Override(name=name, value=size, submitted=value, why="toy size")
        elif name in _TOO_SLOW:
            yield Override(name=name, value=_TOO_SLOW[name], submitted=value, why="its kernel is too slow when interpreted")
        elif resolved is not None and resolved.origin in _SUBMITTED and value is not None:
            yield Override(name=name, value=value, submitted=value, why=f"as submitted ({resolved.origin.value})")
    yield from _places(world)


def _size(name: str, value: str | None) -> str | None:
    toy = _TOY_STRIDE if _STRIDES.search(name) else _TOY_SIZES.get(name)
    if toy is not None:
        return None if _is_zero(value) else toy  # a size of zero is a switch
    most = next((most for pattern, most in _MOST if pattern.search(name)), None)
    if most is None or value is None or not value.isdigit() or int(value) <= most:
        return None
    return str(most)


def _is_zero(value: str | None) -> bool:
    try:
        return value is not None and float(value) == 0
    except ValueError:
        return False


def _places(world: World) -> Iterator[Override]:
    why = "the toy world"
    places = {"DATA_DIR": "./data/", "DATA_PATH": f"./{world.dataset}", "TOKENIZER_PATH": f"./{world.tokenizer}"}
    places |= {"VOCAB_SIZE": str(world.vocab_size), "RUN_ID": "toy"}
    for name, value in places.items():
        yield Override(name=name, value=value, submitted=None, why=why)
