"""The record track's leaderboard as the organisers kept it: one row per listed run, oldest first.

Source: the leaderboard table of README.md on the organisers' branch of 2 May 2026, and the per-seed scores in the
submission.json or README of each row's folder. A row is data about the contest; no rule looks at who submitted it. Rows
listed with one published score have one seed. Not covered: reproductions that organisers ran but did not publish, which
is why some p-values printed on the board cannot be recomputed from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from auditor.stats import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the name of its run, the day printed on the board, and the val_bpb of every seed behind it."""

    name: str
    day: date
    val_bpb: tuple[float, ...]

    @property
    def sample(self) -> Sample:
        """The row's seeds as a sample."""
        return Sample.of(self.val_bpb)


ROWS = (
    Row("Naive Baseline", date(2026, 3, 18), (1.2243657,)),
    Row("fp16 Embed", date(2026, 3, 18), (1.21972502,)),
    Row("int6 mixed precision", date(2026, 3, 18), (1.214745,)),
    Row("2048 seq length", date(2026, 3, 18), (1.20576485,)),
    Row("4k seq length", date(2026, 3, 19), (1.20143417,)),
    Row("Lora TTT", date(2026, 3, 19), (1.1929,)),
    Row("Sliding Window Eval", date(2026, 3, 19), (1.19250007,)),
    Row("Muon WD + 10 layer", date(2026, 3, 19), (1.17558517, 1.17423973, 1.17443456)),
    Row("Mixed Quant + Sliding Window Eval", date(2026, 3, 19), (1.16301431,)),
    Row("10L Int6 QAT + Zstd MLP2.6x", date(2026, 3, 19), (1.15861696,)),
    Row("SmearGate + OrthoInit + Muon WD", date(2026, 3, 19), (1.1556,)),
    Row("11L MLP3x + Int6 QAT", date(2026, 3, 20), (1.15055135, 1.15020896, 1.14970047)),
    Row("Int6 MLP3x + SmearGate + BigramHash", date(2026, 3, 20), (1.14597222, 1.14656085, 1.1449177)),
    Row("10L Int5-MLP + BigramHash(10240)", date(2026, 3, 20), (1.14271, 1.14298, 1.14260)),
    Row("11L Efficient Partial XSA", date(2026, 3, 20), (1.13071416,)),
    Row("11L XSA4 + EMA + Int6 MLP3x", date(2026, 3, 20), (1.12707468, 1.12835808, 1.12862486)),
    Row("11L Partial RoPE + LN Scale + EMA + XSA4", date(2026, 3, 21), (1.12484502, 1.12526734, 1.12498291)),
    Row("11L EMA + GPTQ-lite + warmdown3500", date(2026, 3, 22), (1.12278022, 1.12356596, 1.12360306)),
    Row("LeakyReLU² + Legal Score-First TTT + Parallel Muon", date(2026, 3, 23), (1.11922988, 1.11888882, 1.12002032)),
    Row("11L AR Self-Gen GPTQ + XSA", date(2026, 3, 25), (1.1150812, 1.11437394, 1.11475014)),
    Row("Coprime-Stride Loader + Full GPTQ + XSA-all", date(2026, 3, 29), (1.1118, 1.1127, 1.1121)),
    Row("Rascal", date(2026, 3, 30), (1.11018163, 1.10979099, 1.10986874)),
    Row("Parallel Residuals + Mini Depth Recurrence", date(2026, 3, 31), (1.10658225, 1.10774252, 1.10443581)),
    Row("4096-Vocab + Larger Model + High WD", date(2026, 4, 1), (1.09744, 1.09795, 1.09816)),
    Row("MuonEq-R + Depth Recurrence + All-Int6 GPTQ", date(2026, 4, 3), (1.09057, 1.09084, 1.0923)),
    Row("SP4096 + Depth Recurrence + Parallel Residuals", date(2026, 4, 4), (1.08938974, 1.08982552, 1.08993367)),
    Row("SP8192 + GPTQ Embeddings + SDClip", date(2026, 4, 5), (1.08554, 1.08664, 1.08463, 1.08554, 1.08578)),
    Row("SP8192 + Parallel Residuals + Hessian-Aware SDClip", date(2026, 4, 6), (1.08301, 1.08363, 1.08399)),
    Row("SP8192 + QK-Gain 5 + Legal Score-First TTT", date(2026, 4, 6), (1.08209788, 1.083148, 1.08313564)),
    Row("SP8192 + Parallel Residuals + Score-First TTT", date(2026, 4, 8), (1.08261339, 1.082226, 1.0816993)),
    Row("SP8192 + 3-Layer Recurrence + Legal TTT", date(2026, 4, 9), (1.08079, 1.08103, 1.08118)),
    Row("SP8192 + Muon 0.97 + Legal Score-First TTT", date(2026, 4, 9), (1.07928348, 1.07996676, 1.08024795)),
    Row("Improved Parallel Residuals + CUTLASS EVT", date(2026, 4, 11), (1.07506048, 1.07645101, 1.07585093)),
    Row("VarLen Attention + Doc-Independent Legal TTT", date(2026, 4, 11), (1.07258208, 1.07324696, 1.07426259)),
    Row("VarLenAttn + PhasingTTT", date(2026, 4, 13), (1.07216564, 1.07300174, 1.07325147)),
    Row("VarLen Attention + Multi-Phase Global SGD TTT", date(2026, 4, 14), (1.0728, 1.07134, 1.07164)),
    Row("SmearGate + Attention Output Gate + Legal TTT", date(2026, 4, 16), (1.07221, 1.07057, 1.07139)),
    Row("CaseOps Tokenizer + Tapered WD + Phased TTT", date(2026, 4, 19), (1.0680582, 1.06806595, 1.06727867)),
    Row("SP8192 + CaseOps + GatedAttn + Phased TTT", date(2026, 4, 19), (1.0661, 1.06473, 1.06563)),
    Row(
        "CaseOps + MLPClip12 + SmearGate/LoRA-TTT",
        date(2026, 4, 22),
        (1.06356801, 1.0641313, 1.06466993, 1.06509678, 1.06516558),
    ),
    Row("PolarNS + MIN_LR + SparseAttnGate + Warm-A TTT", date(2026, 4, 23), (1.064, 1.06308, 1.06297)),
    Row("BOS-Fixed SmearGate + LQER Asymmetric", date(2026, 4, 27), (1.06128183, 1.06086831, 1.06220261)),
    Row("BOS-Fixed SmearGate + LQER + 9-Hparam Stack", date(2026, 4, 27), (1.05989454, 1.06124613, 1.06208695)),
    Row("AWQ-Lite GPTQ + AsymLogit", date(2026, 4, 29), (1.05867499, 1.05939426, 1.06024251)),
    Row("Long-Context No-Q/V TTT + QK-Gain 5.25", date(2026, 4, 30), (1.0582472, 1.05846113, 1.05895276)),
    Row("Progressive Context Growth + Short-Doc TTT", date(2026, 4, 30), (1.05740567, 1.05730104, 1.05807084)),
    Row("Calib32 Token-Only N-gram + AsymLogit", date(2026, 5, 1), (1.05662016, 1.05610947, 1.05679341)),
)


def find_row(name: str, rows: Iterable[Row] = ROWS) -> Row:
    """The row of this name, or the only one whose name has it as a part, in any case. ValueError with what is near."""
    rows = tuple(rows)
    if exact := [row for row in rows if row.name == name]:
        return exact[0]
    found = [row for row in rows if name.casefold() in row.name.casefold()]
    if len(found) == 1:
        return found[0]
    known = ", ".join(repr(row.name) for row in found or rows[-5:])
    problem = f"{len(found)} rows have it in their name" if found else "no row has it in its name"
    raise ValueError(f"{name!r}: {problem} on the leaderboard: {known}{'' if found else ' are its last'}")


def leader_before(day: date, rows: Iterable[Row] = ROWS) -> Row | None:
    """The best row listed on an earlier day than `day`; None before the first. Rows of the same day do not count."""
    return min((row for row in rows if row.day < day), key=lambda row: row.sample.mean, default=None)
