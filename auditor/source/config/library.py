"""The few library functions and methods that configuration code uses, on values that are known.

Pure functions of constants only: nothing here reads a file, a clock or this process's own environment. What is not in the
tables is unknown. The facts about the machine are those of the contest: 8 GPUs, seen from rank 0.
"""

from __future__ import annotations

import ast
import math
import operator
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_ITEMS = 10_000  # ours: no configuration needs longer sequences or texts
_MAX_EXPONENT = 64
_SEQUENCE = (str, bytes, list, tuple)
NUM_GPUS = 8  # the contest's machine, 8xH100

MACHINE: Mapping[str, object] = {
    "torch.cuda.is_available": True,
    "torch.cuda.device_count": NUM_GPUS,
    "torch.cuda.get_device_capability": (9, 0),
    "torch.cuda.is_bf16_supported": True,
    "dist.is_available": True,
    "dist.is_initialized": True,
    "dist.get_rank": 0,
    "dist.get_world_size": NUM_GPUS,
    "torch.distributed.is_available": True,
    "torch.distributed.is_initialized": True,
    "torch.distributed.get_rank": 0,
    "torch.distributed.get_world_size": NUM_GPUS,
    "torch.backends.mps.is_available": False,
}
ATTRIBUTES: Mapping[str, object] = {
    "sys.platform": "linux",
    "os.name": "posix",
    "os.sep": "/",
    "math.pi": math.pi,
    "math.e": math.e,
    "math.inf": math.inf,
}
FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "len": len,
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "sum": sum,
    "any": any,
    "all": all,
    "tuple": tuple,
    "list": list,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "sorted": sorted,
    "reversed": lambda items: list(reversed(items)),
    "enumerate": lambda *items: list(enumerate(*items)),
    "zip": lambda *items: list(zip(*items, strict=False)),
    "range": lambda *bounds: _bounded(range(*bounds)),
    "divmod": divmod,
    "repr": repr,
    "ast.literal_eval": ast.literal_eval,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "math.sqrt": math.sqrt,
    "math.log": math.log,
    "math.log2": math.log2,
    "math.exp": math.exp,
    "math.prod": math.prod,
    "os.path.join": posixpath.join,
    "os.path.basename": posixpath.basename,
    "os.path.dirname": posixpath.dirname,
    "copy.copy": lambda value: value,
    "copy.deepcopy": lambda value: value,
}
_TEXT_METHODS = """
    lower upper strip lstrip rstrip split rsplit splitlines startswith endswith replace isdigit isdecimal isalpha isnumeric
    join removeprefix removesuffix casefold title capitalize partition rpartition count find encode decode
"""
TEXT_METHODS = frozenset(_TEXT_METHODS.split())
CONTAINER_METHODS = frozenset(["get", "keys", "values", "items", "index", "count", "copy", "union", "intersection"])
BINARY: Mapping[type[ast.operator], Callable[[Any, Any], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Any], object]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, container: operator.contains(container, item),
    ast.NotIn: lambda item, container: not operator.contains(container, item),
}
RAISES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, SyntaxError, RecursionError)


def is_cheap(operation: type[ast.operator], left: object, right: object) -> bool:
    """Would the operation stay small? A stranger's ``9 ** 9 ** 9`` or ``"x" * 10**12`` must not be computed."""
    if operation in (ast.Pow, ast.LShift):
        return isinstance(right, int | float) and abs(right) <= _MAX_EXPONENT
    if operation is ast.Mult and isinstance(left, _SEQUENCE):
        return isinstance(right, int) and len(left) * max(right, 0) <= MAX_ITEMS
    if operation is ast.Mult and isinstance(right, _SEQUENCE):
        return isinstance(left, int) and len(right) * max(left, 0) <= MAX_ITEMS
    if operation is ast.Mod and isinstance(left, str | bytes):
        return False  # formatting widths
    if operation is ast.Add and isinstance(left, _SEQUENCE) and isinstance(right, _SEQUENCE):
        return len(left) + len(right) <= MAX_ITEMS
    return all(not isinstance(side, int) or side.bit_length() < 4096 for side in (left, right))


def _bounded(items: range) -> Sequence[int]:
    if len(items) > MAX_ITEMS:
        raise ValueError(f"a range of {len(items)}")
    return list(items)
