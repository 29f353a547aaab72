"""Watches every tensor operation of the script and tells what happens to the validation tokens.

A dispatch mode sees each operation below autograd, forward and backward. Three things are followed (`shadow`): which
token a number is, which token's loss it is, and which validation tokens had a gradient that went into it. Moved data keeps
what it is (`moves`); sums of losses are told with the losses in them, and every read of a number that such sums went into;
a loss tells which of its own tokens had already influenced the numbers that it was computed from. Roots are tensors made
from outside (numpy, lists, buffers): their tokens are recognised by content (`locate`), as are targets that came otherwise.

State that leaves through numpy or a file is recognised by its content when it comes back unchanged (`carried`); losses are
followed through numpy arrays (`arrays`).

Told, not judged: the parent decides. Not covered: state that is repacked outside of torch, what influences Python numbers
(`kept` tells those of the script's lines), processes beside the ranks (a loss that leaves is told), influence of tokens as
inputs only, scripts that take the mode away.
"""

from __future__ import annotations

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

from . import borders, moves
from .carried import Carried
from .locate import Locator
from .places import script_place
from .rows import checksums, costs_and_masses
from .shadow import LOSSES, TOKENS, Shadow, bits, is_whole, mask_of

aten = torch.ops.aten
_MAX_SUM_HOLDER = 1 << 16  # elements; larger tensors are no accumulators
_MIN_CLASSES = 256  # a table with fewer columns holds no scores of a vocabulary
_INTEGERS = {torch.int64, torch.int32, torch.int16, torch.uint8, torch.uint16, torch.int8, torch.uint32}


def in_backward() -> bool:
    """Is autograd computing gradients?"""
    return torch._C._current_graph_task_id() != -1


def tensors_in(values):
    """The tensors among arguments or results, lists opened."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (each for each in value if isinstance(each, torch.Tensor))


class Recorder(TorchDispatchMode):
    """Emits events about losses of validation tokens, sums of them, reads of the sums, gradients and steps."""

    def __init__(self, emit, validation, training, first=0) -> None:
        super().__init__()
        self.emit = emit
        self.locator = Locator(validation, training)
        self.size = self.locator.num_validation
        self.shadow = Shadow()
        self.carried = Carried(self.shadow)
        self.num_losses = self.num_sums = first  # numbered from here on
        self._sinks = {
            aten.nll_loss_forward.default: self._loss,
            aten.nll_loss2d_forward.default: self._loss,
            aten.nll_loss_backward.default: self._loss_gradient,
            aten.nll_loss2d_backward.default: self._loss_gradient,
            aten.gather.default: self._pick,
            aten.index.Tensor: self._pick_indexed,
            aten.sum.default: self._sum,
            aten.sum.dim_IntList: self._sum,
            aten.nansum.default: self._sum,
            aten.mean.default: self._sum,
            aten.mean.dim: self._sum,
            aten.scatter_add_.default: self._sum_into,
            aten.scatter_add.default: self._sum_into,
            aten.index_add_.default: self._sum_into,
            aten.dot.default: self._sum,
            aten.logsumexp.default: self._sum,
            aten.amax.default: self._sum,
            aten._local_scalar_dense.default: self._read,
        }

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # nothing is compiled here; else each operation would go through a compiler's guard

    def install(self) -> None:
        """Begin to watch."""
        borders.watch(self)
        register_optimizer_step_post_hook(self._step)
        self.__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        shadow = self.shadow
        inputs = list(tensors_in(args))
        if kwargs:
            inputs += tensors_in(kwargs.values())
        held = [entry for each in inputs if (entry := shadow.get(each)) is not None]
        sink = self._sinks.get(func)
        if not held and sink != self._loss:
            return func(*args, **kwargs)
        out = func(*args, **kwargs)
        self._follow(func, args, kwargs, out, held)
        if sink is not None:
            sink(func, args, kwargs, out)
        elif func.namespace not in ("aten", "prim", "prims"):
            self._custom(args, out)
        return out

    def _follow(self, func, args, kwargs, out, held) -> None:
        """Carry what the inputs hold to the results and to what was written."""
        overwrites = moves.is_overwrite(func)
        if overwrites or any(entry.influence or entry.sums for entry in held):
            for target, sources in moves.targets(func, args, kwargs, out):
                self._mark(target, sources, overwrites)
        if overwrites or any(entry.values is not None for entry in held):
            moves.move(self.shadow, func, args, kwargs, out)

    def _mark(self, target, sources, overwrites) -> None:
        """Note which gradients and sums went into a tensor: added to what it holds, or instead if all is overwritten."""
        entry = self.shadow.get(target)
        others = [other for each in sources if (other := self.shadow.get(each)) is not None]
        if overwrites:
            others = [other for other in others if other is not entry]
        influence = 0
        for other in others:
            influence |= other.influence
        is_holder = not in_backward() and target.numel() <= _MAX_SUM_HOLDER and target.is_floating_point()
        sums = frozenset().union(*(other.sums for other in others)) if is_holder else frozenset()
        if entry is None:
            if not influence and not sums:
                return
            entry = self.shadow.at(target)
        if overwrites and is_whole(target):
            entry.influence, entry.sums = influence, sums
        else:
            entry.influence |= influence
            entry.sums |= sums

    def places(self, target):
        """The places of target tokens: followed, else recognised; None if they are unknown."""
        places = self.shadow.view(target, TOKENS)
        if places is None or not bool((places >= 0).any()):
            places = self.locator.locate(target)
            if places is not None:
                self.shadow.put(target, TOKENS, places)
        return places

    def _loss(self, func, args, kwargs, out) -> None:
        """Cross-entropy: a loss for each element, and a sum of them if it reduces."""
        scores, target, _weight, reduction, ignored = (*args, *(None,) * 5)[:5]
        scored = target != ignored
        places = self.places(target)
        if places is None:
            self.emit({"t": "unlocated", "count": int(scored.sum()), "gradient": torch.is_grad_enabled()})
            return
        classes = min(scores.dim() - 1, 1)
        each = -scores.gather(classes, target.clamp(min=0).unsqueeze(classes)).squeeze(classes)
        self._unlocated(places, scored)
        numbers = self._losses(torch.where(scored, places, -1), each, scores, classes)
        if numbers is None:
            return
        if reduction == 0:
            self.shadow.put(out[0], LOSSES, numbers)
        else:
            self._tell_sum(numbers, each, out[0])

    def _unlocated(self, places, scored) -> None:
        count = int((scored & (places < 0)).sum())
        if count:
            self.emit({"t": "unlocated", "count": count, "gradient": torch.is_grad_enabled(), "of": int(scored.sum())})

    def _losses(self, places, values, scores, classes=-1, masses=None):
        """Number the losses of validation tokens and tell them; None if there are none.

        `classes` is the dimension of the vocabulary in `scores`, None where there are no scores by token; `masses` is what
        each row of scores adds up to as probabilities, None where they are normalised by the operation or are none.
        """
        counted = (places >= 0) & (places < self.size)
        count = int(counted.sum())
        if not count:
            return None
        numbers = torch.full(places.shape, -1, dtype=torch.int64)
        numbers[counted] = torch.arange(self.num_losses, self.num_losses + count)
        positions = places[counted]
        event = {"t": "losses", "first": self.num_losses, "positions": positions.tolist()}
        event["values"] = values.reshape(places.shape)[counted].to(torch.float64).tolist()
        if classes is not None:
            event["rows"] = checksums(scores, classes)[counted.reshape(-1)].tolist()
        if masses is not None:
            event["masses"] = masses[counted.reshape(-1)].tolist()
        entry = self.shadow.get(scores)
        if entry is not None and entry.influence:
            any_way, in_weights = mask_of(entry.influence, 2 * self.size).view(2, -1)
            event["influenced"] = int(any_way.sum())
            event["own"] = any_way[positions].nonzero().reshape(-1).tolist()
            event["own_in_weights"] = in_weights[positions].nonzero().reshape(-1).tolist()
        event["gradient"] = torch.is_grad_enabled()
        self.num_losses += count
        self.emit(event)
        return numbers

    def _pick(self, func, args, kwargs, out) -> None:
        """``scores.gather(-1, targets)``: the scores of the realised tokens."""
        scores, dim, index = args[:3]
        if scores.is_floating_point() and dim % max(scores.dim(), 1) == scores.dim() - 1:
            self._picked(scores, index, out)

    def _pick_indexed(self, func, args, kwargs, out) -> None:
        """``scores[rows, targets]``; under tokens, ``table[before, targets]``, it is a table that is asked."""
        scores, indices = args[:2]
        if not scores.is_floating_point() or scores.dim() < 2 or len(indices) != scores.dim() or indices[-1] is None:
            return
        others = [each for each in indices[:-1] if each is not None]
        if any(self.shadow.view(each, TOKENS) is not None for each in others):
            return
        rows = func(scores, indices[:-1]) if others else scores
        if rows.numel() == out.numel() * rows.shape[-1]:
            self._mark(rows, [scores], True)
            self._picked(rows, indices[-1], out)

    def _picked(self, scores, index, out) -> None:
        places = self.shadow.view(index, TOKENS)
        if places is not None and scores.shape[-1] >= _MIN_CLASSES and places.numel() == out.numel():
            costs, masses = costs_and_masses(scores, out)
            numbers = self._losses(places.reshape(out.shape), costs, scores, masses=masses)
            if numbers is not None:
                self.shadow.put(out, LOSSES, numbers)

    def _custom(self, args, out) -> None:
        """An operation of the script's own that takes targets: a loss for each forward, gradients backward."""
        if any(self.shadow.view(each, LOSSES) is not None for each in tensors_in((out,))):
            return
        given = [each for each in tensors_in(args) if each.dtype in _INTEGERS]
        for target in given:
            places = self.shadow.view(target, TOKENS)
            if places is None:
                continue
            if in_backward():
                self._tell_gradient(places[places >= 0], list(tensors_in((out,))))
                continue
            for result in tensors_in((out,)):
                if result.is_floating_point() and result.numel() == target.numel():
                    scores = next((each for each in tensors_in(args) if each.is_floating_point()), result)
                    by_token = scores.dim() > 1 and scores.numel() == target.numel() * scores.shape[-1]
                    numbers = self._losses(places.reshape(result.shape), result, scores, -1 if by_token else None)
                    if numbers is not None:
                        self.shadow.put(result, LOSSES, numbers)
                    return

    def kernel(self, given, written) -> None:
        """A kernel ran: what it wrote depends on all that it was given."""
        with borders.pause():
            influence = self.shadow.influence_of(given)
            for each in written:
                if influence and each.is_floating_point():
                    self.shadow.at(each).influence |= influence
            self._custom(given, written)

    def _sum(self, func, args, kwargs, out) -> None:
        numbers = self.shadow.view(args[0], LOSSES)
        if numbers is None and len(args) > 1 and isinstance(args[1], torch.Tensor):
            numbers = self.shadow.view(args[1], LOSSES)
        if numbers is None:
            return
        if out.dim() and len(args) > 1 and (own := _one_each(numbers, args[1], out)) is not None:
            self.shadow.put(out, LOSSES, own)  # terms of a mixture
        elif func not in (aten.logsumexp.default, aten.amax.default):
            self._tell_sum(numbers, args[0], out)

    def _sum_into(self, func, args, kwargs, out) -> None:
        numbers = self.shadow.view(args[3], LOSSES)
        if numbers is not None:
            self._tell_sum(numbers, args[3], out)
        if in_backward() and (places := self.shadow.view(args[2], TOKENS)) is not None:
            self._tell_gradient(places[(places >= 0) & (args[3] != 0)], [out])

    def _tell_sum(self, numbers, values, out) -> None:
        counted = numbers >= 0
        if not bool(counted.any()):
            return
        event = {"t": "sum", "id": self.num_sums, "losses": ranges(numbers[counted].tolist()), "place": script_place()}
        event["values"] = values.reshape(numbers.shape)[counted].to(torch.float64).tolist()
        self.emit(event)
        entry = self.shadow.at(out)
        entry.sums |= {self.num_sums}
        self.num_sums += 1

    def _read(self, func, args, kwargs, out) -> None:
        entry = self.shadow.get(args[0])
        if entry is None:
            return
        numbers = self.shadow.view(args[0], LOSSES)
        if numbers is not None and int(numbers) >= 0:
            self._tell_sum(numbers.reshape(1), args[0].reshape(1), args[0])
            entry = self.shadow.get(args[0])
        if entry.sums:
            self.emit({"t": "read", "value": float(out), "sums": ranges(sorted(entry.sums)), "place": script_place()})

    def _loss_gradient(self, func, args, kwargs, out) -> None:
        gradient, _scores, target, _weight, _reduction, ignored = args[:6]
        places = self.shadow.view(target, TOKENS)
        if places is None:
            return
        wanted = (target != ignored) & (places >= 0) & (gradient != 0)
        self._tell_gradient(places[wanted], [out])

    def _tell_gradient(self, places, results) -> None:
        positions = places[places < self.size]
        if not len(positions):
            return
        self.emit({"t": "gradient", "positions": ranges(sorted(set(positions.tolist()))), "place": script_place()})
        influence = bits(positions, self.size)
        for result in results:
            if result.is_floating_point():
                self.shadow.at(result).influence |= influence

    def _step(self, optimizer, _arguments, _options) -> None:
        changed = [each for group in optimizer.param_groups for each in group["params"]]
        if influence := self.shadow.influence_of(changed):
            event = {"t": "step", "optimizer": type(optimizer).__name__, "influence": self._count(influence)}
            event["free"] = not any(isinstance(each, torch.nn.Parameter) for each in changed)
            if not event["free"]:
                self.shadow.keep(changed, self.size)
            self.emit(event | {"place": script_place()})

    def _count(self, influence) -> int:
        return (influence & ((1 << self.size) - 1)).bit_count()

    def summed(self, numbers, values) -> None:
        """Losses were added up outside of torch, to a number that is read at once."""
        place, number = script_place(), self.num_sums
        losses, held = ranges(numbers.tolist()), values.tolist()
        self.emit({"t": "sum", "id": number, "losses": losses, "values": held, "place": place})
        self.emit({"t": "read", "value": float(values.sum()), "sums": [[number, 1]], "place": place})
        self.num_sums += 1

    def root(self, tensor, source=None) -> None:
        """Recognise what a tensor holds that was made from outside."""
        self.carried.comes(tensor)
        numbers = getattr(source, "numbers", None)
        if numbers is not None and numbers.shape == tensor.shape:
            self.shadow.put(tensor, LOSSES, torch.from_numpy(numbers))
            return
        if tensor.dtype in _INTEGERS and self.shadow.view(tensor) is None:
            places = self.locator.locate(tensor)
            if places is not None:
                self.shadow.put(tensor, TOKENS, places)

    def leaves(self, tensor):
        """Tell the losses of a tensor whose content goes outside of torch; their numbers, None if there are none."""
        self.carried.leaves(tensor)
        numbers = self.shadow.view(tensor, LOSSES)
        if numbers is None or not bool((numbers >= 0).any()):
            return None
        event = {"t": "leaves", "losses": ranges(numbers[numbers >= 0].tolist())}
        event["values"] = tensor.detach()[numbers >= 0].to(torch.float64).tolist()
        self.emit(event)
        return numbers


def _one_each(numbers, dims, out):
    """The one loss that each element of a reduction is made of; None if it is more than one anywhere."""
    if not isinstance(dims, list | tuple | int):
        return None
    own = numbers.amax(dims, keepdim=True)
    if not bool(((numbers < 0) | (numbers == own)).all()):
        return None
    return own.reshape(out.shape)


def ranges(numbers):
    """Whole numbers as [first, count] pairs of neighbours."""
    found = []
    for number in numbers:
        if found and found[-1][0] + found[-1][1] == number:
            found[-1][1] += 1
        else:
            found.append([number, 1])
    return found
