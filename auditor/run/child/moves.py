"""How operations carry what is known about data: which move it, which overwrite it, and what they write.

Operations that only move data are repeated on the values behind the data, so that there is no rule for each layout. Of
arithmetic on losses (masks, casts, scales) a result keeps the loss of its operand, unless it came out as zero.
"""

from __future__ import annotations

import functools

import torch

from .shadow import LOSSES, TOKENS

aten = torch.ops.aten

# Operation -> which arguments hold the data; masks, indices and sizes are used as they are.
_MOVED = {
    "aten::clone": (0,),
    "aten::_to_copy": (0,),
    "aten::copy_": (0, 1),
    "aten::cat": (0,),
    "aten::stack": (0,),
    "aten::index": (0,),
    "aten::index_select": (0,),
    "aten::index_put_": (0, 2),
    "aten::index_put": (0, 2),
    "aten::gather": (0,),
    "aten::take": (0,),
    "aten::where": (1, 2),
    "aten::masked_select": (0,),
    "aten::masked_fill": (0, 2),
    "aten::masked_fill_": (0, 2),
    "aten::constant_pad_nd": (0, 2),
    "aten::repeat": (0,),
    "aten::roll": (0,),
    "aten::flip": (0,),
    "aten::fill_": (0, 1),
    "aten::slice_scatter": (0, 1),
    "aten::select_scatter": (0, 1),
    "aten::scatter": (0, 3),
    "aten::scatter_": (0, 3),
    "aten::index_copy_": (0, 3),
    "aten::lift_fresh": (0,),
    "aten::lift_fresh_copy": (0,),
    "aten::_unsafe_view": (0,),
    "aten::_reshape_copy": (0,),
    "aten::expand_copy": (0,),
    "aten::contiguous": (0,),
    "aten::unfold_copy": (0,),
}
_PUT = ("aten::copy_", "aten::fill_")
_OVERWRITES = {
    "aten::copy_", "aten::zero_", "aten::fill_", "aten::normal_", "aten::uniform_", "aten::random_", "aten::exponential_",
    "aten::_foreach_zero_", "aten::_foreach_copy_", "aten::bernoulli_", "aten::eye_",
}  # fmt: skip


@functools.cache
def _facts(func):
    """(name, indices of positional arguments that are written, names of keyword ones, is arithmetic by elements)."""
    schema = func._schema
    written = [n for n, each in enumerate(schema.arguments) if each.alias_info is not None and each.alias_info.is_write]
    positional = [n for n in written if not schema.arguments[n].kwarg_only]
    named = [schema.arguments[n].name for n in written]
    return schema.name, positional, named, torch.Tag.pointwise in func.tags


def is_overwrite(func) -> bool:
    """Does the operation replace the content of its first argument?"""
    return _facts(func)[0] in _OVERWRITES


def targets(func, args, kwargs, out):
    """(tensor that was made or written, tensors that it was computed from); lists are taken pair by pair."""
    _, positional, named, _ = _facts(func)
    written = [args[n] for n in positional if n < len(args)] + [kwargs[each] for each in named if each in kwargs]
    results = [*written, *(out if isinstance(out, list | tuple) and not _all_tensors(out) else [out])]
    for result in results:
        if isinstance(result, torch.Tensor):
            yield result, _sources(args, kwargs, None, 0)
        elif isinstance(result, list | tuple):
            for index, each in enumerate(result):
                if isinstance(each, torch.Tensor):
                    yield each, _sources(args, kwargs, index, len(result))


def _all_tensors(values):
    return all(isinstance(each, torch.Tensor) for each in values)


def _sources(args, kwargs, index, length):
    found = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            paired = index is not None and len(value) == length
            found += [each for each in ([value[index]] if paired else value) if isinstance(each, torch.Tensor)]
    return found


def move(shadow, func, args, kwargs, out) -> None:
    """Carry the values behind the data to the result."""
    name, positional, _, pointwise = _facts(func)
    data = _MOVED.get(name)
    if name == "aten::zero_":
        args, data, name = (args[0], 0), (0, 1), "aten::fill_"
        func = aten.fill_.Scalar
    if name in _PUT and _corrects_one(shadow, args):
        return
    if data is not None:
        _replay(shadow, func, args, kwargs, out, data, bool(positional))
    elif pointwise and isinstance(out, torch.Tensor) and out.is_floating_point():
        _arithmetic(shadow, args, out)


def _corrects_one(shadow, args):
    """Is a number put in the place of one loss? It still is the loss of that token, as corrected outside of torch."""
    target, value = args[:2]
    if target.numel() != 1 or (isinstance(value, torch.Tensor) and _has_values(shadow, value)) or not bool(value != 0):
        return False
    numbers = shadow.view(target, LOSSES)
    return numbers is not None and bool((numbers >= 0).all())


def _replay(shadow, func, args, kwargs, out, data, writes) -> None:
    kinds = {
        shadow.get(each).kind for n in data if n < len(args) for each in _tensors(args[n]) if _has_values(shadow, each)
    }
    for kind in sorted(kinds & {TOKENS, LOSSES}):
        replayed = list(args)
        for n in data:
            if n < len(args):
                target = writes and n == 0
                replayed[n] = _behind(shadow, args[n], kind, target)
        options = {key: value for key, value in kwargs.items() if key in ("accumulate", "memory_format")}
        if func._schema.name in ("aten::_to_copy", "aten::lift_fresh", "aten::lift_fresh_copy", "aten::_unsafe_view"):
            result = replayed[0].reshape(out.shape)
        elif func._schema.name == "aten::copy_":
            result = replayed[0].copy_(replayed[1])
        else:
            result = func(*replayed, **options)
        if not writes and isinstance(out, torch.Tensor) and bool((result >= 0).any()):
            shadow.put(out, kind, result)


def _tensors(value):
    values = value if isinstance(value, list | tuple) else (value,)
    return [each for each in values if isinstance(each, torch.Tensor)]


def _has_values(shadow, tensor):
    entry = shadow.get(tensor)
    return entry is not None and entry.values is not None


def _behind(shadow, value, kind, target):
    if isinstance(value, list | tuple):
        return [_behind(shadow, each, kind, False) for each in value]
    if not isinstance(value, torch.Tensor):
        return -1
    if target:
        return shadow.writable(value, kind)
    found = shadow.view(value, kind)
    return torch.full(value.shape, -1, dtype=torch.int64) if found is None else found


def _arithmetic(shadow, args, out) -> None:
    """Losses that were scaled, shifted or masked stay losses."""
    found = None
    for each in args:
        if isinstance(each, torch.Tensor) and (numbers := shadow.view(each, LOSSES)) is not None:
            found = numbers if found is None else torch.maximum(*torch.broadcast_tensors(found, numbers))
    if found is None or torch.broadcast_shapes(found.shape, out.shape) != out.shape:
        return
    numbers = torch.where(out.detach() != 0, found.expand(out.shape), -1)
    if bool((numbers >= 0).any()) or shadow.view(out) is not None:
        shadow.put(out, LOSSES, numbers)
