"""The borders of torch: what comes in from numpy, lists and files, and what leaves for them, is shown to the recorder."""

from __future__ import annotations

import contextlib

import torch

from . import arrays
from .carried import tensors_below


def watch(recorder) -> None:
    """Begin to watch."""
    _watch_roots(recorder)
    _watch_exits(recorder)
    _watch_files(recorder)
    arrays.install(recorder.summed)


@contextlib.contextmanager
def pause():
    """Operations inside are ours."""
    with torch.utils._python_dispatch._disable_current_modes(), torch.no_grad():
        yield


def _watching() -> bool:
    """Is it the script that runs, and not we on its behalf?"""
    return torch._C._len_torch_dispatch_stack() > 0


def _watch_roots(recorder) -> None:
    def watched(make):
        def wrapper(*arguments, **options):
            made = make(*arguments, **options)
            if _watching():
                with pause():
                    recorder.root(made, arguments[0] if arguments else None)
            return made

        return wrapper

    for name in ("from_numpy", "tensor", "as_tensor", "frombuffer"):
        setattr(torch, name, watched(getattr(torch, name)))


def _watch_exits(recorder) -> None:
    def watched(leave):
        def wrapper(self, *arguments, **options):
            numbers = None
            if _watching():
                with pause():
                    numbers = recorder.leaves(self)
            left = leave(self, *arguments, **options)
            if numbers is None or not isinstance(left, arrays.np.ndarray):
                return left
            return arrays.followed(left, numbers.numpy().copy())

        return wrapper

    for name in ("numpy", "tolist", "__array__"):
        setattr(torch.Tensor, name, watched(getattr(torch.Tensor, name)))


def _watch_files(recorder) -> None:
    save, load = torch.save, torch.load

    def save_(obj, *arguments, **options):
        with pause():
            for each in tensors_below(obj):
                recorder.carried.leaves(each)
        return save(obj, *arguments, **options)

    def load_(*arguments, **options):
        loaded = load(*arguments, **options)
        with pause():
            for each in tensors_below(loaded):
                recorder.root(each)
        return loaded

    torch.save, torch.load = save_, load_
