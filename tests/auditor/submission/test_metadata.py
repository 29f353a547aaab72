"""submission.json in the spellings that occur."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.errors import SubmissionError
from auditor.submission.metadata import find_metadata, parse_metadata


@pytest.mark.parametrize(
    ("fields", "value", "decimals"),
    [
        ({"val_bpb": 1.0810}, 1.081, 3),
        ({"val_bpb": "1.0810"}, 1.081, 4),
        ({"val_bpb": "~1.08 (3-seed mean)"}, 1.08, 2),
        ({"val_bpb": "1.0810 ± 0.0002"}, 1.081, 4),
        ({"val_bpb": None, "mean_val_bpb": 1.1}, 1.1, 1),
        ({"validation_bpb": 1.3434}, 1.3434, 4),
        ({"val_bpb_3seed_mean": 0.942903, "baseline_bpb": 1.2}, 0.942903, 6),
    ],
)
def test_the_score_is_found_under_its_spellings(fields: dict[str, object], value: float, decimals: int) -> None:
    metadata = parse_metadata("submission.json", json.dumps(fields))
    assert metadata.val_bpb is not None
    assert (metadata.val_bpb.value, metadata.val_bpb.num_decimals) == (value, decimals)


@pytest.mark.parametrize(
    "fields",
    [
        {"val_bpb": None},
        {"val_bpb": "TBD"},
        {"val_bpb": "N/A - see README"},
        {"val_bpb": 0.0},
        {"val_bpb": True},
        {"baseline_bpb": 1.2, "projected_val_bpb": 1.1},
        {"val_loss": 1.9},
        {"alpha_bpb": 1.2, "beta_bpb": 1.3},
    ],
)
def test_a_placeholder_a_projection_or_an_ambiguous_key_is_no_score(fields: dict[str, object]) -> None:
    assert parse_metadata("submission.json", json.dumps(fields)).val_bpb is None


def test_a_score_under_the_loss_key_is_taken_and_told() -> None:
    metadata = parse_metadata("submission.json", json.dumps({"val_loss": 1.1247}))
    assert metadata.val_bpb is not None
    assert metadata.val_bpb.key == "val_loss"
    assert metadata.val_loss is None
    assert "no loss per token is so small" in metadata.problems[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"seed_results": {"42": {"val_bpb": 1.1}, "7": {"val_bpb": 1.2}}},
        {"per_seed": {"seed_42": {"val_bpb": 1.1}, "seed_7": {"val_bpb": 1.2}}},
        {"seed_results": [{"seed": 42, "val_bpb": 1.1}, {"seed": "7", "val_bpb": 1.2}]},
        {"seeds": {"42": 1.1, "7": 1.2}},
        {"seeds": [42, 7], "val_bpb_seeds": [1.1, 1.2]},
        {"seed_42": {"val_bpb": 1.1}, "seed_7": {"val_bpb": 1.2}},
    ],
)
def test_seed_tables_of_every_shape_read_the_same(fields: dict[str, object]) -> None:
    metadata = parse_metadata("submission.json", json.dumps(fields))
    found = {result.seed: result.val_bpb.value for result in metadata.seed_results if result.val_bpb}
    assert found == {42: 1.1, 7: 1.2}
    assert set(metadata.seeds) == {42, 7}


def test_sizes_keep_their_unit() -> None:
    metadata = parse_metadata("submission.json", json.dumps({"bytes_total": "15.9 MB", "bytes_code": "64,426"}))
    assert metadata.bytes_total is not None
    assert metadata.bytes_code is not None
    assert (metadata.bytes_total.value, metadata.bytes_code.value) == (15_900_000, 64_426)
    assert any("15.9 MB" in problem for problem in metadata.problems)


def test_declared_numbers_know_their_line() -> None:
    text = json.dumps({"name": "x", "seed_results": {"42": {"val_bpb": 1.1}}, "val_bpb": 1.1}, indent=1)
    metadata = parse_metadata("submission.json", text)
    assert metadata.val_bpb is not None
    assert metadata.seed_results[0].val_bpb is not None
    lines = text.splitlines()
    assert '"42"' in lines[(metadata.seed_results[0].val_bpb.line or 0) - 2]
    assert lines[(metadata.seed_results[0].val_bpb.line or 0) - 1].strip() == '"val_bpb": 1.1'


def test_retraction_is_kept_in_the_authors_words() -> None:
    metadata = parse_metadata("submission.json", json.dumps({"val_bpb": None, "status": "retracted by the author"}))
    assert metadata.retracted == "status: retracted by the author"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"val_bpb": 1.2,', "line 1"),
        ("[1, 2]", "list"),
        ('"text"', "string"),
        ("", "line 1"),
        ("cat > submission.json <<'EOF'\n{}", "line 1"),
        ("[" * 200_000, "RecursionError"),
    ],
)
def test_what_is_no_json_object_says_what_it_is(text: str, reason: str) -> None:
    with pytest.raises(SubmissionError, match=reason):
        parse_metadata("submission.json", text)


def test_a_key_that_stands_twice_is_told() -> None:
    metadata = parse_metadata("submission.json", '{"val_bpb": 1.1, "val_bpb": 1.2}')
    assert metadata.problems == ("the key 'val_bpb' stands twice; the last one counts",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["val_bpb", "seeds", "seed_results", "42", "seed", "bytes_total", "status"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["val_bpb", "val_loss", "seeds", "seed_results", "bytes_total", "track"]), JSON))
def test_any_shape_is_read_without_a_crash_and_only_finite_scores_come_out(raw: dict[str, object]) -> None:
    metadata = parse_metadata("submission.json", json.dumps(raw))
    assert metadata.val_bpb is None or 0 < abs(metadata.val_bpb.value) < float("inf")


@pytest.mark.parametrize(
    "key", ["bytes_code", "code_bytes", "wrapped_code_bytes", "code_wrapper_bytes", "bytes_train_gpt_self_extracting"]
)
def test_code_bytes_are_found_under_the_names_that_submissions_use(key: str) -> None:
    declared = parse_metadata("submission.json", json.dumps({"code_format": "plain", key: 26420})).bytes_code
    assert (declared.key, declared.value) == (key, 26420)


def test_a_code_size_of_zero_is_a_claim_and_is_kept() -> None:
    assert parse_metadata("submission.json", '{"bytes_code": 0}').bytes_code.value == 0


def test_a_total_with_code_is_no_code_size() -> None:
    assert parse_metadata("submission.json", '{"bytes_total_with_lzma_code": 15948720}').bytes_code is None


def test_each_seed_may_declare_its_own_code_size() -> None:
    metadata = parse_metadata("submission.json", '{"seed_results": {"42": {"val_bpb": 1.1, "code_bytes": 164508}}}')
    assert [result.code_bytes.value for result in metadata.seed_results] == [164508]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 400], ids=["nan", "infinity", "1e999", "400 digits"])
def test_a_number_without_a_finite_value_is_no_score_and_is_told(number: str) -> None:
    metadata = parse_metadata("submission.json", f'{{"val_bpb": {number}, "bytes_total": "1e999"}}')
    assert (metadata.val_bpb, metadata.bytes_total) == (None, None)
    assert [problem for problem in metadata.problems if "val_bpb" in problem and "no finite number" in problem]


def test_a_string_of_very_many_digits_is_no_seed() -> None:
    many = "9" * 5000
    metadata = parse_metadata(
        "submission.json", json.dumps({"seeds": [many, "42"], "seed_results": {many: 1.2, "42": 1.2}})
    )
    assert metadata.seeds == (42,)


def test_of_names_that_differ_in_case_the_one_asked_for_is_read() -> None:
    assert find_metadata(["SUBMISSION.json", "Submission.JSON", "submission.json"]) == "submission.json"
    assert find_metadata(["Submission.json"]) == "Submission.json"


def test_a_list_of_runs_is_what_is_declared_per_seed() -> None:
    raw = {"val_bpb": 1.2, "seeds": [1, 2], "val_bpb_runs": [1.19, 1.21]}
    metadata = parse_metadata("submission.json", json.dumps(raw))
    assert [(row.seed, row.val_bpb and row.val_bpb.value) for row in metadata.seed_results] == [(1, 1.19), (2, 1.21)]
