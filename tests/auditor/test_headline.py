"""Where the submitted number comes from when only a README states it."""

from __future__ import annotations

from auditor.headline import HeadlineKind, trace_headline
from auditor.submission.logs.reader import read_log
from auditor.submission.readme import Readme, find_claims

README = """Results, val_bpb:

| variant | seed | val_bpb |
|---|---|---|
| baseline | 1 | 1.2331 |
| ours | 1 | 1.2213 |
| ours | 2 | 1.2235 |
| **average (ours)** | - | 1.2224 (deviation 0.0011) |
| **average (baseline)** | - | 1.2331 |
"""


def log(name: str, seed: int, val_bpb: float) -> str:
    return f"seed:{seed}\nstep:10/10 val_loss:2.1 val_bpb:1.3000\nfinal val_loss:2.06 val_bpb:{val_bpb}\n"


def test_the_best_mean_of_a_readme_is_its_claim() -> None:
    values = {"base1.log": (1, 1.2331), "base2.log": (2, 1.2333), "ours1.log": (1, 1.2213), "ours2.log": (2, 1.2235)}
    logs = tuple(read_log(name, log(name, *value).encode()) for name, value in values.items())
    readme = Readme(path="README.md", text=README, claims=tuple(find_claims(README)))
    headline = trace_headline(None, readme, logs, None, ())
    assert headline.val_bpb == 1.2224
    assert headline.claimed_in == "README.md:8"
    assert headline.kind is HeadlineKind.MEAN
    assert [line.metric.log for line in headline.lines] == ["ours1.log", "ours2.log"]


def test_a_gap_between_two_scores_is_no_score() -> None:
    text = (
        "| run | val_bpb | roundtrip | gap | vs 1.2244 bpb |\n|---|---|---|---|---|\n"
        "| **mean** | 1.595 | **1.602** | **0.007** | 0.378 |\n"
        "The gap drops from 0.87 to 0.006 bpb. On average 1.602 +/- 0.012 bpb, better by 0.0123 bpb.\n"
        "The gap is small: bpb 1.602 for all. This improves bpb to 1.567 (sliding).\n"
    )
    assert [claim.val_bpb for claim in find_claims(text)] == [1.595, 1.602, 1.602, 1.602, 1.567]


def test_a_readme_without_a_mean_claims_what_it_states_first() -> None:
    text = "val_bpb 1.2213 (sliding: 1.1990)\n"
    readme = Readme(path="README.md", text=text, claims=tuple(find_claims(text)))
    logs = (read_log("a.log", log("a.log", 1, 1.2213).encode()),)
    headline = trace_headline(None, readme, logs, None, ())
    assert (headline.val_bpb, headline.kind) == (1.2213, HeadlineKind.SINGLE)
