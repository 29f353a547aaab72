"""The leaderboard's data against what the organisers printed about it."""

from datetime import date

import pytest

from auditor.stats import welch_less
from rules.leaderboard import ROWS, find_row, leader_before

PRINTED_P_VALUES = [  # the p-values on the board that rest on the seeds in the rows' own folders
    ("CaseOps + MLPClip12 + SmearGate/LoRA-TTT", "SP8192 + CaseOps + GatedAttn + Phased TTT", "0.063"),
    ("SP8192 + Muon 0.97 + Legal Score-First TTT", "SP8192 + 3-Layer Recurrence + Legal TTT", "0.020"),
    ("Improved Parallel Residuals + CUTLASS EVT", "SP8192 + Muon 0.97 + Legal Score-First TTT", "0.001"),
    ("Calib32 Token-Only N-gram + AsymLogit", "Progressive Context Growth + Short-Doc TTT", "0.014"),
]


def row(name):
    return next(row for row in ROWS if row.name == name)


@pytest.mark.parametrize(("name", "previous", "printed"), PRINTED_P_VALUES)
def test_p_values_on_the_board_follow_from_the_seeds(name, previous, printed):
    p_value = welch_less(row(name).sample, row(previous).sample).p_value
    assert p_value == pytest.approx(float(printed), abs=0.00051)


def test_rows_are_in_order_and_named_once():
    days = [row.day for row in ROWS]
    assert days == sorted(days)
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_leader_is_the_best_row_of_an_earlier_day():
    assert leader_before(date(2026, 3, 18)) is None
    assert leader_before(date(2026, 3, 19)).name == "2048 seq length"
    assert leader_before(date(2026, 4, 28)).sample.mean == pytest.approx(1.06107587, abs=1e-8)
    assert leader_before(date(2026, 4, 27)).name == "PolarNS + MIN_LR + SparseAttnGate + Warm-A TTT"


def test_every_row_is_found_by_its_name_and_by_a_part_that_only_it_has() -> None:
    assert [find_row(row.name) for row in ROWS] == list(ROWS)
    assert find_row("naive base").name == "Naive Baseline"


@pytest.mark.parametrize(("name", "reason"), [("CaseOps", "rows have it"), ("nothing", "no row has it")])
def test_a_name_that_is_no_row_s_or_several_rows_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        find_row(name)
