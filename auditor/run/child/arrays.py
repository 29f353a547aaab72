"""Follows losses through numpy: an array that knows, for each element, which token's loss it is made from.

Scripts that mix a model with counts take losses to numpy, turn them into probabilities, mix, take logarithms and add up. An
array that comes from losses is therefore a `Followed`: arithmetic by elements, selections and copies keep the numbers, and
what adds up tells which losses went in, with the values that they had there. Arrays that a script makes to be filled in are
`Followed` from the start, without numbers. All else about them is numpy's own.

Not covered: single elements (Python numbers), lists, and what C code writes.
"""

from __future__ import annotations

import functools

import numpy as np

_FILLED_LATER = ("zeros", "empty", "full")
_REBUILT = ("array", "asarray", "ascontiguousarray", "asanyarray")
_MOVED = {np.where: (1, 2), np.concatenate: (0,), np.stack: (0,), np.hstack: (0,), np.vstack: (0,), np.copy: (0,)}
_VIEWS = ("reshape", "ravel", "flatten", "squeeze", "transpose", "swapaxes", "take", "repeat", "copy", "astype")
_UNMOVED_OPTIONS = ("dtype", "casting", "subok", "order", "copy")
_tell = []  # where sums are told


class Followed(np.ndarray):
    """An array with, for each element, the number of the loss that it is made from (-1: none), or None for no losses."""

    numbers = None

    def __array_finalize__(self, parent):
        numbers = getattr(parent, "numbers", None)
        self.numbers = numbers if numbers is not None and numbers.shape == self.shape else None

    def __getitem__(self, key):
        out = super().__getitem__(key)
        if self.numbers is not None and isinstance(out, Followed):
            out.numbers = self.numbers[_plain(key)]
        return out

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        numbers = getattr(value, "numbers", None)
        if numbers is not None:
            if self.numbers is None:
                self.numbers = np.full(self.shape, -1, dtype=np.int64)
            self.numbers[_plain(key)] = numbers

    @property
    def T(self):  # noqa: N802 - numpy's name
        """Transposed."""
        return self.transpose()

    def __array_ufunc__(self, function, method, *inputs, out=None, **options):
        if out is not None:
            options["out"] = tuple(_plain(each) for each in out)
        result = getattr(function, method)(*(_plain(each) for each in inputs), **{k: _plain(v) for k, v in options.items()})
        if method == "reduce":
            return _reduced(function, inputs[0], result, options.get("axis", 0), bool(options.get("keepdims")))
        if method == "__call__" and function.nout == 1:
            numbers = _joined(inputs, np.shape(result))
            if out is not None:
                if isinstance(out[0], Followed) and numbers is not None:
                    out[0].numbers = numbers
                return out[0]
            if numbers is not None and isinstance(result, np.ndarray) and result.dtype.kind == "f":
                return followed(result, numbers)
        return result

    def __array_function__(self, function, types, args, kwargs):
        data = _MOVED.get(function)
        if data is None:
            return super().__array_function__(function, types, args, kwargs)
        result = function(*(_plain(each) for each in args), **{key: _plain(value) for key, value in kwargs.items()})
        if not isinstance(result, np.ndarray) or len(args) <= max(data):
            return result
        moved = [_numbers(each, result.shape) if n in data else _plain(each) for n, each in enumerate(args)]
        options = {key: value for key, value in kwargs.items() if key not in _UNMOVED_OPTIONS}
        numbers = function(*moved, **options)
        if function is np.where:  # a number put in the place of a loss stays the loss of its token; zero is a mask
            either = np.maximum(np.broadcast_to(moved[1], numbers.shape), np.broadcast_to(moved[2], numbers.shape))
            numbers = np.where((numbers < 0) & (result != 0), either, numbers)
        return followed(result, numbers)


def _view(name):
    method = getattr(np.ndarray, name)

    @functools.wraps(method)
    def moved(self, *arguments, **options):
        out = method(self, *arguments, **options)
        if self.numbers is not None and isinstance(out, Followed):
            out.numbers = self.numbers.copy() if name in ("copy", "astype") else method(self.numbers, *arguments, **options)
        return out

    return moved


for _name in _VIEWS:
    setattr(Followed, _name, _view(_name))


def followed(array, numbers=None):
    """An array as one that is followed."""
    out = np.ndarray.view(array, Followed)
    out.numbers = numbers
    return out


def _plain(value):
    if isinstance(value, Followed):
        return np.ndarray.view(value, np.ndarray)
    if type(value) in (list, tuple):
        return type(value)(_plain(each) for each in value)
    return value


def _numbers(value, shape):
    if isinstance(value, list | tuple):
        return [_numbers(each, np.shape(each)) for each in value]
    numbers = getattr(value, "numbers", None)
    return np.full(np.shape(value), -1, dtype=np.int64) if numbers is None else numbers


def _joined(inputs, shape):
    """The numbers of a result by elements; None if no input has any or they do not fit."""
    held = [each.numbers for each in inputs if getattr(each, "numbers", None) is not None]
    if not held:
        return None
    try:
        return functools.reduce(np.maximum, (np.broadcast_to(each, shape) for each in held)).copy()
    except ValueError:
        return None


def _reduced(function, array, result, axis, keepdims):
    """What a reduction gives: terms of one loss stay that loss (a mixture); else, if it adds up, losses were summed."""
    numbers = getattr(array, "numbers", None)
    if numbers is None or not bool((numbers >= 0).any()):
        return result
    if axis is not None and np.shape(result):
        own = numbers.max(axis=axis, keepdims=True)
        if bool(((numbers < 0) | (numbers == own)).all()):
            return followed(result, own if keepdims else own.squeeze(axis))
    if function is np.add:
        for tell in _tell:
            tell(numbers[numbers >= 0], _plain(array)[numbers >= 0])
    return result


def install(tell) -> None:
    """Follow from here on; `tell(numbers, values)` is called for each sum."""
    _tell.append(tell)
    for name in _FILLED_LATER:
        setattr(np, name, _fillable(getattr(np, name)))
    for name in _REBUILT:
        setattr(np, name, _rebuilt(getattr(np, name)))


def _fillable(make):
    @functools.wraps(make)
    def made(*arguments, **options):
        array = make(*arguments, **options)
        return followed(array) if type(array) is np.ndarray and array.ndim and array.dtype.kind == "f" else array

    return made


def _rebuilt(make):
    """Conversions that would drop what is known."""

    @functools.wraps(make)
    def made(value, *arguments, **options):
        array = make(value, *arguments, **options)
        numbers = getattr(value, "numbers", None)
        if isinstance(numbers, np.ndarray) and type(array) is np.ndarray and array.shape == numbers.shape:
            return followed(array, numbers)
        return array

    return made
