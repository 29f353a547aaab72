"""Triton kernels through Triton's own interpreter, where Triton is installed; else imports of it fail as they would.

The interpreter keeps bfloat16 as bare 16-bit integers and computes with those, which gives nonsense. Kernels therefore
run on float32 copies of their bfloat16 arguments, and are shown a language whose bfloat16 is float32. What they write is
told to the recorder, which does not see into them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from importlib.machinery import PathFinder

import torch

from .borders import pause

_INTERPRETER = "triton.runtime.interpreter"
_recorders: list = []


def install(emit) -> None:
    """Make kernels run on the CPU, as soon as Triton is imported."""
    if importlib.util.find_spec("triton") is None:
        emit({"t": "missing", "what": "triton"})
    elif _INTERPRETER in sys.modules:
        _patch(sys.modules[_INTERPRETER], emit)
    else:
        sys.meta_path.insert(0, _Finder(emit))


def tell(recorder) -> None:
    """Let a recorder know of what kernels write."""
    _recorders.append(recorder)


class _Finder:
    """Patches the interpreter when it is imported."""

    def __init__(self, emit) -> None:
        self.emit = emit

    def find_spec(self, name, path=None, target=None):
        """The real module, patched after it was loaded."""
        if name != _INTERPRETER:
            return None
        spec = PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            _patch(module, self.emit)

        spec.loader.exec_module = exec_module
        return spec


class _Language(types.ModuleType):
    """`triton.language` as it is at the time of asking, with float32 for bfloat16."""

    def __init__(self, real) -> None:
        super().__init__(real.__name__)
        object.__setattr__(self, "_real", real)

    def __getattribute__(self, name):
        real = object.__getattribute__(self, "_real")
        return real.float32 if name == "bfloat16" else getattr(real, name)


def _patch(interpreter, emit) -> None:
    emit({"t": "standin", "what": "triton interpreter"})
    call = interpreter.GridExecutor.__call__

    def launch(self, *arguments, **options):
        with pause():
            copies = _Copies()
            given = [copies.of(each) for each in arguments]
            named = {key: copies.of(value) for key, value in options.items()}
            before = copies.fingerprints()
        with _language(self.fn):
            call(self, *given, **named)
        with pause():
            copies.restore()
            written = copies.written(before)
        for recorder in _recorders:
            recorder.kernel(copies.tensors, written)

    interpreter.GridExecutor.__call__ = launch


@contextlib.contextmanager
def _language(function):
    """Show a kernel the language without bfloat16."""
    names = function.__globals__
    real = {key: value for key, value in names.items() if getattr(value, "__name__", "") == "triton.language"}
    for key, value in real.items():
        names[key] = _Language(value)
    names["_pgolf_language"] = next(iter(real.values()), None)  # the interpreter looks for the real one among the globals
    try:
        yield
    finally:
        names.update(real)
        del names["_pgolf_language"]


class _Copies:
    """Float32 copies of the storages behind a kernel's arguments."""

    def __init__(self) -> None:
        self.tensors = []
        self._copies = {}

    def of(self, value):
        """What to give the kernel for an argument."""
        if isinstance(value, torch.Tensor):
            self.tensors.append(value)
            return self._copy(value) if value.dtype == torch.bfloat16 else value
        if type(value).__name__ == "TensorDescriptor":
            self.tensors.append(value.base)
            if value.base.dtype == torch.bfloat16:
                return type(value)(self._copy(value.base), value.shape, value.strides, value.block_shape)
        if isinstance(value, tuple) and type(value) is tuple:
            return tuple(self.of(each) for each in value)
        return value

    def _copy(self, tensor):
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if key not in self._copies:
            whole = torch.empty(0, dtype=tensor.dtype).set_(storage)
            self._copies[key] = whole, whole.to(torch.float32)
        return torch.as_strided(self._copies[key][1], tensor.shape, tensor.stride(), tensor.storage_offset())

    def restore(self) -> None:
        """Write back."""
        for whole, copy in self._copies.values():
            whole.copy_(copy)

    def fingerprints(self):
        """Something that changes when a tensor does."""
        return [each.detach().clone() for each in self.tensors]

    def written(self, before):
        """The tensors that the kernel changed."""
        pairs = zip(self.tensors, before, strict=True)
        return [tensor for tensor, old in pairs if not torch.equal(tensor.nan_to_num(), old.nan_to_num())]
