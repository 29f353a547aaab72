"""Where the positions of a window lie in a tensor: which axis is the sequence, followed through one function.

Tokens ids are known by their parameter's name, hidden states by the unpacking of their shape or by being made from ids.
Reshapes that name the window's length, transpositions, elementwise functions and calls of submodules keep or move the
axis; anything else loses it, and then nothing is said about it. Not covered: what einops, ``einsum`` and helpers do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

_IDS = re.compile(r"(?:input_|token_|x_|in_)?(?:ids|idx|tokens|toks)")
_LENGTH = re.compile(r"t|s|n|l|tt|(?:\w*_)?(?:seq\w*|len|length|time|steps|tokens)", re.IGNORECASE)
_LAYOUTS = frozenset({"view", "reshape"})
_SAME = frozenset(
    [
        *(
            "rms_norm",
            "layer_norm",
            "relu",
            "relu_",
            "gelu",
            "silu",
            "sigmoid",
            "tanh",
            "softplus",
            "leaky_relu",
            "dropout",
        ),
        *(
            "linear",
            "exp",
            "log",
            "sqrt",
            "rsqrt",
            "abs",
            "square",
            "pow",
            "clone",
            "contiguous",
            "to",
            "float",
            "bfloat16",
        ),
        *(
            "half",
            "type_as",
            "type",
            "detach",
            "clamp",
            "clamp_min",
            "clamp_max",
            "masked_fill",
            "mul",
            "add",
            "sub",
            "div",
        ),
        *("neg", "expand", "expand_as", "lerp", "addcmul"),
    ]
)
_PARTS = frozenset({"chunk", "split", "unbind", "tensor_split"})


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: its rank and the axis of the window's positions, None where not known.

    `pooled` is where positions were reduced to one value, `ahead` whether that took in positions for certain; `dropped` is
    set for a tensor without its first positions, `flipped` for one that runs backwards, `conv` for what a padded
    convolution gave.
    """

    rank: int | None = None
    axis: int | None = None
    pooled: ast.AST | None = None
    dropped: bool = False
    flipped: bool = False
    conv: ast.AST | None = None

    @property
    def is_hidden(self) -> bool:
        """Is it a tensor of vectors, one for each position?"""
        return self.axis is not None and (self.rank or 0) >= 3

    def number(self, axis: int | None) -> int | None:
        """An axis counted from the front; None if it cannot be told."""
        if axis is None or axis >= 0:
            return axis
        return None if self.rank is None else self.rank + axis


UNKNOWN = Value()
IDS = Value(rank=2, axis=1)


@dataclass(slots=True)
class Layouts:
    """What is known of the tensors and lengths of one function."""

    values: dict[str, Value] = field(default_factory=dict)
    lengths: set[str] = field(default_factory=set)

    def take_parameters(self, function: ast.FunctionDef) -> None:
        """Parameters that are token ids by their name."""
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
            if _IDS.fullmatch(argument.arg):
                self.values[argument.arg] = IDS

    def take_shape(self, targets: list[ast.expr], shaped: ast.expr) -> bool:
        """``B, T, C = x.shape``: is it that? Then `x` has its positions on the axis that is named as one."""
        of = shape_of(shaped)
        names = [target.id if isinstance(target, ast.Name) else "_" for target in targets]
        if of is None or not isinstance(of, ast.Name | ast.Attribute) or len(names) < 2:
            return False
        known = self.values.get(ast.unparse(of), UNKNOWN)
        axis = known.axis if known.axis is not None else _named_length(names)
        if axis is not None and axis < len(names):
            self.lengths.add(names[axis])
            self.values[ast.unparse(of)] = replace(known, rank=len(names), axis=axis)
        return True

    def take_length(self, name: str, of: ast.expr) -> None:
        """``T = x.size(1)`` of a tensor whose second axis is known to be the sequence."""
        match of:
            case ast.Call(func=ast.Attribute(value=tensor, attr="size"), args=[index]):
                pass
            case ast.Subscript(value=ast.Attribute(value=tensor, attr="shape"), slice=index):
                pass
            case _:
                return
        known = self.values.get(ast.unparse(tensor), UNKNOWN)
        if known.axis is not None and known.number(number_of(index)) == known.axis:
            self.lengths.add(name)

    def reshaped(self, sizes: Iterable[ast.expr]) -> Value:
        """A tensor of these sizes: the positions lie where a length is named."""
        flat = [inner for size in sizes for inner in (size.elts if isinstance(size, ast.Tuple | ast.List) else [size])]
        if any(isinstance(size, ast.Starred) for size in flat):
            return UNKNOWN
        places = [place for place, size in enumerate(flat) if isinstance(size, ast.Name) and size.id in self.lengths]
        return Value(rank=len(flat), axis=places[0]) if len(places) == 1 else UNKNOWN


def moved(value: Value, name: str, arguments: list[ast.expr], layouts: Layouts) -> Value | None:
    """The tensor after a method or function that moves axes about or computes entry by entry; None for any other."""
    if name in _SAME:
        return value
    if name in _LAYOUTS:
        return layouts.reshaped(arguments)
    numbers = [value.number(number_of(argument)) for argument in arguments]
    if name in ("transpose", "swapaxes") and len(numbers) == 2:
        return _swapped(value, numbers)
    if name == "permute":
        return _permuted(value, numbers)
    if name == "unsqueeze" and numbers and numbers[0] is not None and value.axis is not None:
        rank = None if value.rank is None else value.rank + 1
        return replace(value, rank=rank, axis=value.axis + (numbers[0] <= value.axis))
    if name in _PARTS:
        return value
    return None


def _swapped(value: Value, numbers: list[int | None]) -> Value:
    if value.axis is None or None in numbers:
        return UNKNOWN
    first, second = numbers
    return replace(value, axis=second if value.axis == first else first if value.axis == second else value.axis)


def _permuted(value: Value, numbers: list[int | None]) -> Value:
    if value.axis is None or value.axis not in numbers:
        return UNKNOWN
    return replace(value, axis=numbers.index(value.axis))


def shape_of(node: ast.expr) -> ast.expr | None:
    """The tensor whose whole shape an expression is."""
    match node:
        case ast.Attribute(value=tensor, attr="shape") | ast.Call(func=ast.Attribute(value=tensor, attr="size"), args=[]):
            return tensor
        case _:
            return None


def number_of(node: ast.expr | None) -> int | None:
    """An integer that is written out."""
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            return -number
        case _:
            return None


def _named_length(names: list[str]) -> int | None:
    """Which of a shape's names is the window's length: the second of three, the second or third of four."""
    likely = [place for place in (1, 2) if place < len(names) - 1 and _LENGTH.fullmatch(names[place])]
    return likely[0] if len(names) in (3, 4) and likely else None
