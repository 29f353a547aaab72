"""Test-time training that cannot learn from a token before its score is fixed.

The validation stream is cut into chunks. `ScoreFirst` scores the next chunk with the state the model has now, adds the
sums to its ledger, and only then gives out a `Scored`: the sole object that holds tokens to learn from, and the sole
object that an adapter accepts. There is no other order to call things in. Nobody else can make a `Scored`, each belongs
to the pass that made it, and a model that adapts cannot be scored by another pass until its weights are restored, so no
token gets a second look either. Several epochs over a chunk are taken after its score, which stays as it is. The last
chunk is not learned from: nothing is left that could profit.

Windows of a chunk reach back before it for context, as in the sliding evaluation; those tokens are scored already. With
several processes each scores its share of a chunk's windows; the `Scored` exists when all sums are in. Then each takes
its share of every batch and gradients are averaged, so all processes keep one state.

Two adapters: SGD on all weights, and low-rank deltas on the linear maps (LoRA, one set for the whole stream; not the
variant with one set per document). Both leave the model as they found it. What this cannot stop is a program that reads
the validation tokens past this module; the auditor looks for that.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import TTTConfig
from trainer.data import Tokens
from trainer.distributed import average_gradients, rank, world_size
from trainer.evaluate import EvalResult, Evaluator, mark_adapted, report
from trainer.events import EventLog, Score, Update
from trainer.windows import share_of_rank

Log = Callable[[str], None]
IGNORED = -100  # target of a padded position
LORA_SEED = 0
LORA_BETAS = (0.9, 0.95)


class Scored:
    """Tokens of one chunk together with their score. Given out by `ScoreFirst.score_chunk`, and by nothing else."""

    __slots__ = ("__weakref__", "_tokens", "index", "is_last", "score")

    index: int
    is_last: bool
    score: Score
    _tokens: Tokens

    def __init__(self) -> None:
        raise TypeError("a Scored is made by scoring: ScoreFirst.score_chunk")

    def __init_subclass__(cls) -> None:
        raise TypeError("Scored cannot be subclassed")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Scored cannot be changed: {name}")

    @property
    def tokens(self) -> Tokens:
        """The token before the chunk, and the chunk: all but the last are inputs, all but the first are targets."""
        return self._tokens.copy()


class ScoreFirst:
    """One pass over the validation stream, chunk after chunk. The only maker of `Scored`."""

    def __init__(self, evaluator: Evaluator, chunk_tokens: int, events: EventLog | None = None) -> None:
        self.evaluator = evaluator
        self.events = events
        self._chunk_tokens = chunk_tokens
        self._started = time.perf_counter()
        self._ledger: list[Score] = []
        self._event_numbers: list[int] = []
        self._given_out: weakref.WeakSet[Scored] = weakref.WeakSet()

    @property
    def num_chunks(self) -> int:
        """Chunks of the stream; the last may be shorter."""
        return -(-self.evaluator.validation.num_targets // self._chunk_tokens)

    @property
    def ledger(self) -> tuple[Score, ...]:
        """The scores so far, in order; they are final."""
        return tuple(self._ledger)

    @property
    def seconds(self) -> float:
        """Since the pass began."""
        return time.perf_counter() - self._started

    def score_chunk(self, index: int, adapter: Adapter) -> Scored:
        """Score a chunk with the state as it is, fix its sums, and give out its tokens.

        ValueError for any but the next chunk, so that none is scored twice, and if the adapter learns from another pass.
        """
        if index != len(self._ledger) or index >= self.num_chunks:
            raise ValueError(
                f"chunk {index} of {self.num_chunks} cannot be scored: {len(self._ledger)} are, in order and once"
            )
        if adapter.scorer is not self:
            raise ValueError("this adapter learns from another pass: its state may have seen what this pass scores")
        first = index * self._chunk_tokens
        last = min(first + self._chunk_tokens, self.evaluator.validation.num_targets)
        stride = self.evaluator.config.stride
        sum_nats, num_tokens, num_bytes = self.evaluator.score(adapter.model, first, last, stride=stride)
        if num_tokens != last - first:
            raise RuntimeError(f"chunk {index} has {last - first} tokens, {num_tokens} were scored")
        score = Score(
            split="validation",
            tokens=(first + 1, last + 1),
            state=adapter.state,
            grad_mode="no_grad",
            sum_nats=sum_nats,
            num_bytes=num_bytes,
        )
        self._ledger.append(score)
        if self.events is not None:
            self._event_numbers.append(self.events.emit(score))
        return self._give_out(score, index, self.evaluator.validation.tokens[first : last + 1])

    def _give_out(self, score: Score, index: int, tokens: Tokens) -> Scored:
        scored = object.__new__(Scored)
        contents = {"score": score, "index": index, "is_last": index == self.num_chunks - 1, "_tokens": tokens}
        for name, value in contents.items():
            object.__setattr__(scored, name, value)
        self._given_out.add(scored)
        return scored

    def check(self, scored: Scored) -> None:
        """TypeError unless this very object was given out by this pass."""
        if type(scored) is not Scored:
            raise TypeError(f"only scored tokens can be learned from: Scored expected, not {type(scored).__name__}")
        if scored not in self._given_out:
            raise TypeError("this Scored was not given out by this pass: it is copied, forged, or of another pass")

    def running_result(self) -> EvalResult:
        """The sums of the chunks scored so far."""
        return EvalResult(
            sum_nats=sum(score.sum_nats for score in self._ledger),
            num_tokens=sum(score.tokens[1] - score.tokens[0] for score in self._ledger),
            num_bytes=sum(score.num_bytes for score in self._ledger),
            seconds=self.seconds,
        )

    def result(self, label: str) -> EvalResult:
        """The sums of all chunks, reported under this label; ValueError before the last is scored."""
        if len(self._ledger) < self.num_chunks:
            raise ValueError(f"only {len(self._ledger)} of {self.num_chunks} chunks are scored")
        result = self.running_result()
        if self.events is not None:
            report(label, result, (self._event_numbers[0], self._event_numbers[-1]), self.events)
        return result


class Adapter:
    """Learns from scored chunks. Made by `adapting`, which also restores the model."""

    def __init__(
        self,
        model: nn.Module,
        scorer: ScoreFirst,
        config: TTTConfig,
        parameters: list[nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.model = model
        self.scorer = scorer
        self.num_steps = 0
        self._config = config
        self._parameters = parameters
        self._optimizer = optimizer

    @property
    def state(self) -> str:
        """Names the state for the record of events: the artifact's weights and so many steps."""
        return f"weights+{self.num_steps}"

    def learn(self, scored: Scored) -> None:
        """Take the configured epochs over a scored chunk.

        TypeError for anything but a `Scored` of this adapter's own pass; ValueError for the last chunk, or if the loss
        is not finite.
        """
        self.scorer.check(scored)
        if scored.is_last:
            raise ValueError(f"chunk {scored.index} is the last: nothing is left to score after learning from it")
        before = self.num_steps
        for _ in range(self._config.epochs):
            for x_BT, y_BT in self._batches(scored.tokens):
                self._step(x_BT, y_BT)
        if self.scorer.events is not None:
            steps = self.num_steps - before
            self.scorer.events.emit(
                Update(split="validation", tokens=scored.score.tokens, state=self.state, num_steps=steps)
            )

    def _batches(self, tokens: Tokens) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of each step, all processes together; rows of the evaluation's length, the last padded."""
        seq_len = self.scorer.evaluator.config.seq_len
        num_rows = -(-(len(tokens) - 1) // seq_len)
        padding = (0, num_rows * seq_len - (len(tokens) - 1))
        x_RT = np.pad(tokens[:-1].astype(np.int64), padding).reshape(num_rows, seq_len)
        y_RT = np.pad(tokens[1:].astype(np.int64), padding, constant_values=IGNORED).reshape(num_rows, seq_len)
        for first in range(0, num_rows, self._config.batch_sequences):
            rows = slice(first, first + self._config.batch_sequences)
            yield torch.from_numpy(x_RT[rows]), torch.from_numpy(y_RT[rows])

    def _step(self, x_BT: Tensor, y_BT: Tensor) -> None:
        """One step on the mean loss of the whole batch, of which this process computes its share of rows."""
        share = share_of_rank(len(x_BT), rank(), world_size())
        num_targets = int((y_BT != IGNORED).sum())
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)
        if share:
            device = self.scorer.evaluator.device
            x_RT, y_RT = (part_BT[share.start : share.stop].to(device) for part_BT in (x_BT, y_BT))
            with torch.enable_grad():
                logits_NV = self.model(x_RT).float().flatten(0, 1)
                sum_nats = F.cross_entropy(logits_NV, y_RT.flatten(), ignore_index=IGNORED, reduction="sum")
                (sum_nats * (world_size() / num_targets)).backward()
        average_gradients(self._parameters)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._config.grad_clip_norm or float("inf"))
        if not torch.isfinite(norm):
            raise ValueError(f"test-time training diverged after {self.num_steps} steps: gradient norm {float(norm)}")
        self._optimizer.step()
        self.num_steps += 1


@contextmanager
def adapting(model: nn.Module, scorer: ScoreFirst, config: TTTConfig) -> Iterator[Adapter]:
    """An adapter of the configured kind on this model; at the end the model is bit for bit as it was.

    While it lasts, every other evaluation of the model is refused. The model stays in evaluation mode: rounding of
    weights in the forward pass (QAT) has no place here.
    """
    mark_adapted(model, adapted=True)
    was_training = model.training
    model.eval()
    attach = _attach_sgd if config.kind == "sgd" else _attach_lora
    try:
        with attach(model, config) as (parameters, optimizer):
            yield Adapter(model, scorer, config, parameters, optimizer)
    finally:
        model.train(was_training)
        mark_adapted(model, adapted=False)


Attached = tuple[list[nn.Parameter], torch.optim.Optimizer]


@contextmanager
def _attach_sgd(model: nn.Module, config: TTTConfig) -> Iterator[Attached]:
    parameters = list(model.parameters())
    saved = [parameter.detach().clone() for parameter in parameters]
    try:
        yield parameters, torch.optim.SGD(parameters, lr=config.lr, momentum=config.momentum)
    finally:
        with torch.no_grad():
            for parameter, before in zip(parameters, saved, strict=True):
                parameter.copy_(before)
                parameter.grad = None


@contextmanager
def _attach_lora(model: nn.Module, config: TTTConfig) -> Iterator[Attached]:
    """Each linear map gets a low-rank delta, zero at first; the weights themselves are frozen."""
    generator = torch.Generator().manual_seed(LORA_SEED)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    deltas: list[nn.Parameter] = []
    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            down_RI = torch.empty(config.rank, module.in_features).uniform_(-bound, bound, generator=generator)
            up_OR = torch.zeros(module.out_features, config.rank)
            down, up = (nn.Parameter(factor.to(module.weight.device)) for factor in (down_RI, up_OR))
            hooks.append(module.register_forward_hook(partial(_add_delta, down, up)))
            deltas += [down, up]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield deltas, torch.optim.Adam(deltas, lr=config.lora_lr, betas=LORA_BETAS)
    finally:
        for hook in hooks:
            hook.remove()
        for parameter in trainable:
            parameter.requires_grad_(True)


def _add_delta(down_RI: Tensor, up_OR: Tensor, module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
    (x,) = args
    return output + F.linear(F.linear(x, down_RI.to(x.dtype)), up_OR.to(x.dtype))


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names, types and values of all weights: equal if and only if they are, bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def evaluate_with_ttt(
    model: nn.Module,
    evaluator: Evaluator,
    config: TTTConfig,
    *,
    label: str,
    events: EventLog | None = None,
    log: Log = lambda line: None,
) -> EvalResult:
    """Score the whole stream, learning from each chunk once its score is fixed; one log line states each chunk."""
    scorer = ScoreFirst(evaluator, config.chunk_tokens, events)
    digest = weights_digest(model)
    log(f"ttt:{config.kind} chunks:{scorer.num_chunks} chunk_tokens:{config.chunk_tokens} weights:{digest[:16]}")
    with adapting(model, scorer, config) as adapter:
        for index in range(scorer.num_chunks):
            scored = scorer.score_chunk(index, adapter)
            scored_at = scorer.seconds
            if not scored.is_last:
                adapter.learn(scored)
            log(_chunk_line(scorer, scored, scored_at, adapter))
    if weights_digest(model) != digest:
        raise RuntimeError("the weights after test-time training are not those before it")
    log(f"ttt:weights restored:{digest[:16]}")
    return scorer.result(label)


def _chunk_line(scorer: ScoreFirst, scored: Scored, scored_at: float, adapter: Adapter) -> str:
    first, last = scored.score.tokens
    learned = "no, it is the last" if scored.is_last else f"{scorer.seconds:.2f}s"
    return (
        f"ttt_chunk:{scored.index + 1}/{scorer.num_chunks} tokens:{first}-{last - 1} scored:{scored_at:.2f}s "
        f"with:{scored.score.state} grad_mode:{scored.score.grad_mode} "
        f"loss:{scored.score.sum_nats / (last - first):.4f} running_bpb:{scorer.running_result().val_bpb:.4f} "
        f"learned:{learned} steps:{adapter.num_steps}"
    )
