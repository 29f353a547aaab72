from auditor.submission.errors import SubmissionError
from auditor.submission.logs.model import DurationKind, SizeKind
from auditor.submission.logs.reader import is_log_path, read_log, read_logs

LOG = """\
seed:7
train_loader:dataset:fineweb10B_sp1024 train_shards:80
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632
world_size:8 grad_accum_steps:1
step:0/900 val_loss:6.9300 val_bpb:4.1000 train_time:0ms step_avg:0.01ms
step:800/900 train_loss:2.1000 train_time:500000ms step_avg:625.00ms
step:850/900 val_loss:2.0000 val_bpb:1.2500 train_time:599900ms step_avg:705.00ms
stopping_early: wallclock_cap train_time:599912ms step:850/900
Serialized model: 50000000 bytes
Code size: 50123 bytes
Total submission size: 50050123 bytes
Serialized model int8+zlib: 15000000 bytes (payload:20000000 raw_torch:20000500 payload_ratio:3.00x)
Total submission size int8+zlib: 15050123 bytes
final_int8_zlib_roundtrip val_loss:2.0100 val_bpb:1.2560 eval_time:12345ms
final_int8_zlib_roundtrip_exact val_loss:2.01000001 val_bpb:1.25600002
"""


class Files:
    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents

    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.contents))

    def size(self, path: str) -> int:
        return len(self.contents[path])

    def read(self, path: str) -> bytes:
        if len(self.contents[path]) > 10_000:
            raise SubmissionError(path, "too large")
        return self.contents[path]


def test_the_reference_shape() -> None:
    (run,) = read_log("train.log", LOG.encode()).runs
    assert (run.seed, run.world_size, run.num_steps, run.stopped_early) == (7, 8, 850, True)
    assert run.train_seconds is not None
    assert (run.train_seconds.seconds, run.train_seconds.line) == (599.912, 8)
    last = run.metrics[-1]
    assert (last.label, last.key, last.val_bpb, last.num_decimals) == (
        "final_int8_zlib_roundtrip_exact",
        "val_bpb",
        1.25600002,
        8,
    )
    assert (last.line, last.val_loss) == (15, 2.01000001)
    assert run.metrics[0].label == "step"
    assert [metric.step for metric in run.metrics] == [0, 850, None, None]
    assert run.metrics[2].eval_seconds == 12.345
    assert {size.kind: size.num_bytes for size in run.sizes} == {
        SizeKind.MODEL_RAW: 50000000,
        SizeKind.CODE: 50123,
        SizeKind.TOTAL_RAW: 50050123,
        SizeKind.MODEL: 15000000,
        SizeKind.TOTAL: 15050123,
    }
    tokens = run.count("val_tokens")
    assert tokens is not None
    assert tokens.value == 62021632
    assert DurationKind.EVALUATE in {duration.kind for duration in run.durations}


def test_a_log_that_cannot_be_read_does_not_hide_the_others() -> None:
    files = Files({"a.log": b"x" * 20_000, "b.log": LOG.encode(), "c.log": LOG.encode(), "README.md": LOG.encode()})
    logs, unreadable = read_logs(files)
    assert [(log.path, log.duplicate_of) for log in logs] == [("b.log", None), ("c.log", "b.log")]
    assert [(item.path, item.reason) for item in unreadable] == [("a.log", "too large")]


def test_which_files_are_logs() -> None:
    assert all(map(is_log_path, ("train.log", "a/train_seed1.txt", "logs/run7", "run.out", "train.log.gz", "train_log")))
    assert not any(
        map(is_log_path, ("README.md", "requirements.txt", "train_gpt.py", "logs/train_gpt.py", "submission.json"))
    )
