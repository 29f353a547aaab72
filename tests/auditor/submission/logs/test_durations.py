from __future__ import annotations

import pytest

from auditor.submission.logs.durations import is_candidate, read_durations
from auditor.submission.logs.lines import Line
from auditor.submission.logs.model import DurationKind


def read(text: str) -> list[tuple[DurationKind, float]]:
    if not is_candidate(text.lower()):
        return []
    return [(duration.kind, duration.seconds) for duration in read_durations(Line(1, text), "train.log", 0)]


@pytest.mark.parametrize(
    ("text", "kind", "seconds"),
    [
        ("stopping_early: wallclock_cap train_time:600015ms step:7000/20000", DurationKind.TRAIN, 600.015),
        ("total_eval_time:508.8s", DurationKind.EVALUATE_TOTAL, 508.8),
        ("legal_ttt val_loss:1.89 val_bpb:1.1192 eval_time:410268ms", DurationKind.EVALUATE, 410.268),
        ("ttt:vl=0.745676 bpb=0.441632 t=455.7s", DurationKind.EVALUATE, 455.7),
        ("sliding val_loss:1.9086 val_bpb:1.1304 stride:16 t:300677ms", DurationKind.EVALUATE, 300.677),
        ("ttt_lora:compile warmup done (122.0s)", DurationKind.WARMUP, 122.0),
        ("GPTQ:collected 67 Hessians in 12.7s", DurationKind.CALIBRATE, 12.7),
        ("prequant_ttt:done in 376.8s (8 gpus)", DurationKind.ADAPT, 376.8),
        ("=== job: Finished eval in 896.4s (exit code: 0) ===", DurationKind.OTHER, 896.4),
    ],
)
def test_what_a_line_is_the_time_of(text: str, kind: DurationKind, seconds: float):
    assert read(text) == [(kind, seconds)]


@pytest.mark.parametrize(
    "text",
    [
        "ttt:chunk=12 elapsed=4.8s",
        "ttt_chunk [12/474] bpb=1.024148 time=762.8s",
        "prequant_ttt:epoch 12/21 val_bpb=1.050014 lr=0.000258 time=15.7s",
        "ttt:short_docs time=18341ms tokens=732712",
        "ttt:long_docs time=381983ms docs=3857",
        "gptq:starting calibration at elapsed=570093ms (budget=600000ms)",
    ],
)
def test_running_and_partial_times_are_no_totals(text: str):
    assert read(text) == []
