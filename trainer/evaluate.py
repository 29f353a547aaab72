"""Exact bits per byte of a model on the whole validation split.

    val_bpb = sum of nats / (ln 2 x sum of bytes)

Both sums are kept apart in float64, over all tokens and all processes, and divided once at the end; a mean of means
would weigh short windows and long ones alike. Every token but the first of the stream is scored once (see windows.py),
the tail included. Windows are padded on the right to one length, which a causal model cannot see, so that all batches
have one shape.

A model that is learning from validation tokens (ttt.py) is refused: scoring it here would give tokens a second look.
Not covered: models that need more than the token ids of one window.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from trainer.config import EvalConfig
from trainer.data import ValidationTokens
from trainer.distributed import rank, world_size
from trainer.events import EventLog, Report, Score
from trainer.tokens import ByteTable
from trainer.windows import Window, share_of_rank, sliding_windows

# Called with the positions of scored tokens in the stream and their losses in nats, for each batch of this process.
ScoreObserver = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalResult:
    """Sums over scored tokens, and how long it took."""

    sum_nats: float
    num_tokens: int
    num_bytes: int
    seconds: float

    @property
    def val_loss(self) -> float:
        """Nats per token."""
        return self.sum_nats / self.num_tokens

    @property
    def val_bpb(self) -> float:
        """Bits per byte of text."""
        return self.sum_nats / (math.log(2.0) * self.num_bytes)


def log_result(log: Callable[[str], None], label: str, result: EvalResult) -> None:
    """Log a final result in two lines of the reference's format: rounded with the time taken, and exact."""
    log(f"{label} val_loss:{result.val_loss:.4f} val_bpb:{result.val_bpb:.4f} eval_time:{1000 * result.seconds:.0f}ms")
    log(f"{label}_exact val_loss:{result.val_loss:.8f} val_bpb:{result.val_bpb:.8f}")


class Evaluator:
    """Scores models on one validation stream. ValueError if the tokens are not of the tokenizer's vocabulary."""

    def __init__(
        self,
        validation: ValidationTokens,
        table: ByteTable,
        config: EvalConfig,
        *,
        device: torch.device | str = "cpu",
        on_scores: ScoreObserver | None = None,
    ) -> None:
        table.check(validation.tokens)
        self.validation = validation
        self.config = config
        self.device = torch.device(device)
        self._table = table.to(device)
        self._on_scores = on_scores
        self._document_starts: Sequence[int] = (
            validation.document_starts(table.bos_token_id) if config.document_aware else ()
        )

    def full_pass(self, model: nn.Module, label: str = "full_pass", events: EventLog | None = None) -> EvalResult:
        """Score everything in windows side by side: fast, with half the context on average."""
        return self._evaluate(model, self.config.seq_len, label, events)

    def sliding(self, model: nn.Module, label: str = "sliding", events: EventLog | None = None) -> EvalResult:
        """Score everything in overlapping windows, `stride` tokens each."""
        return self._evaluate(model, self.config.stride, label, events)

    def _evaluate(self, model: nn.Module, stride: int, label: str, events: EventLog | None) -> EvalResult:
        refuse_adapted(model)
        started = time.perf_counter()
        sum_nats, num_tokens, num_bytes = self.score(model, 0, self.validation.num_targets, stride=stride)
        result = EvalResult(
            sum_nats=sum_nats, num_tokens=num_tokens, num_bytes=num_bytes, seconds=time.perf_counter() - started
        )
        if events is not None:
            report_single_state(label, result, events)
        return result

    def score(self, model: nn.Module, first: int, last: int, *, stride: int) -> tuple[float, int, int]:
        """Nats, tokens and bytes of the positions `first` to `last`, summed over all processes.

        All processes call it together; each scores its share of the windows. Gradients are off, and the model is in
        evaluation mode for as long as it takes.
        """
        totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        was_training = model.training
        model.eval()
        with torch.no_grad():
            windows = self._share(first, last, stride)
            while batch := list(itertools.islice(windows, self.config.batch_sequences)):
                totals += self._score_batch(model, batch)
        model.train(was_training)
        if world_size() > 1:
            dist.all_reduce(totals)
        sum_nats, num_tokens, num_bytes = totals.tolist()
        return sum_nats, round(num_tokens), round(num_bytes)

    def _windows(self, first: int, last: int, stride: int) -> Iterator[Window]:
        return sliding_windows(
            first, last, seq_len=self.config.seq_len, stride=stride, document_starts=self._document_starts
        )

    def _share(self, first: int, last: int, stride: int) -> Iterator[Window]:
        if world_size() == 1:
            return self._windows(first, last, stride)
        num_windows = sum(1 for _ in self._windows(first, last, stride))
        share = share_of_rank(num_windows, rank(), world_size())
        return itertools.islice(self._windows(first, last, stride), share.start, share.stop)

    def _score_batch(self, model: nn.Module, windows: Sequence[Window]) -> Tensor:
        """Nats, tokens and bytes that these windows score; float64 (3,)."""
        start_B1, score_start_B1, end_B1 = np.array(windows, dtype=np.int64).T[:, :, None]
        position_BT = start_B1 + np.arange(self.config.seq_len)
        is_scored_BT = torch.from_numpy((position_BT >= score_start_B1) & (position_BT < end_B1)).to(self.device)
        inside_BT = np.where(position_BT < end_B1, position_BT, end_B1 - 1)
        x_BT, y_BT = (self._tokens(inside_BT + shift) for shift in (0, 1))
        logits_NV = model(x_BT)[is_scored_BT].float()
        nats_N = F.cross_entropy(logits_NV, y_BT[is_scored_BT], reduction="none").double()
        bytes_N = self._table.count(x_BT[is_scored_BT], y_BT[is_scored_BT])
        if self._on_scores is not None:
            self._on_scores(torch.from_numpy(position_BT)[is_scored_BT.cpu()] + 1, nats_N)
        return torch.stack((nats_N.sum(), is_scored_BT.sum().double(), bytes_N.sum().double()))

    def _tokens(self, position_BT: np.ndarray) -> Tensor:
        tokens_BT = self.validation.tokens[position_BT].astype(np.int64)
        return torch.from_numpy(tokens_BT).to(self.device, non_blocking=True)


def report_single_state(label: str, result: EvalResult, events: EventLog) -> None:
    """Record a result for which one unchanged state scored every token."""
    score = events.emit(
        Score(
            split="validation",
            tokens=(1, result.num_tokens + 1),
            state="weights",
            grad_mode="no_grad",
            sum_nats=result.sum_nats,
            num_bytes=result.num_bytes,
        )
    )
    report(label, result, (score, score), events)


def report(label: str, result: EvalResult, scores: tuple[int, int], events: EventLog) -> None:
    """Record a result and the scores that it sums."""
    events.emit(
        Report(
            label=label,
            val_loss=result.val_loss,
            val_bpb=result.val_bpb,
            num_tokens=result.num_tokens,
            num_bytes=result.num_bytes,
            scores=scores,
        )
    )


# Models that are learning from validation tokens, by their first parameter, which a compiled wrapper shares.
_adapted: WeakIdKeyDictionary = WeakIdKeyDictionary()


def mark_adapted(model: nn.Module, *, adapted: bool) -> None:
    """Remember that this model learns from validation tokens, or that its weights were restored."""
    key = next(model.parameters())
    if adapted:
        refuse_adapted(model)
        _adapted[key] = True
    else:
        del _adapted[key]


def refuse_adapted(model: nn.Module) -> None:
    """ValueError if the model has learned from validation tokens and was not restored since."""
    if next(model.parameters()) in _adapted:
        raise ValueError("this model is learning from validation tokens; restore its weights before it is scored again")
