from __future__ import annotations

import pytest

from auditor.submission.logs.reader import read_log
from rules.budget.hardware import Machine, machine_of
from tests.rules.budget.submissions import SXM, log_text

SCORE = "final val_bpb:1.08012345 eval_time:100000ms"


def machine(text: str) -> Machine:
    log = read_log("train.log", text.encode())
    (run,) = log.runs
    return machine_of(run, log)


@pytest.mark.parametrize(
    ("name", "is_record", "is_other"),
    [
        (SXM, True, False),
        ("NVIDIA H100 SXM5 80GB", True, False),
        ("NVIDIA H100", False, False),
        ("NVIDIA H100 PCIe", False, True),
        ("NVIDIA H100 NVL", False, True),
        ("NVIDIA H200", False, True),
        ("NVIDIA GH200 480GB", False, True),
        ("NVIDIA B200", False, True),
        ("NVIDIA A100-SXM4-80GB", False, True),
        ("NVIDIA GeForce RTX 5090", False, True),
        ("Tesla T4", False, True),
    ],
)
def test_what_a_name_says(name: str, is_record: bool, is_other: bool):
    gpus = machine(log_text(SCORE, gpu=name)).gpus
    assert len(gpus) == 8
    assert {(gpu.is_record, gpu.is_other) for gpu in gpus} == {(is_record, is_other)}


def test_the_place_of_each_fact_is_its_line():
    found = machine(log_text(SCORE))
    assert [gpu.location.line for gpu in found.gpus] == list(range(2, 10))
    assert (found.world_size, found.world_size_at.line) == (8, 10)


def test_a_table_tells_how_many_gpus_a_machine_has_only_from_its_first_row_on():
    row = "|   {}  NVIDIA H100 80GB HBM3          On  |   00000000:1{}:00.0 Off |"
    whole = "\n".join(row.format(index, index) for index in range(4))
    tail = "\n".join(row.format(index, index) for index in range(5, 8))
    assert machine(f"{whole}\n{SCORE}\n").gpus_on_node == 4
    assert machine(f"{tail}\n{SCORE}\n").gpus_on_node is None
    assert machine(f"gpu: NVIDIA H100 80GB HBM3\n{SCORE}\n").gpus_on_node is None


@pytest.mark.parametrize(
    ("world_size", "gpu", "differs"),
    [
        (8, SXM, None),
        (None, None, None),
        (1, SXM, "1 process"),
        (4, None, "4 processes"),
        (8, "NVIDIA A40", "NVIDIA A40"),
    ],
)
def test_how_a_machine_surely_differs(world_size: int | None, gpu: str | None, differs: str | None):
    assert machine(log_text(SCORE, world_size=world_size, gpu=gpu)).differs == differs
