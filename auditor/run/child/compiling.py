"""Compilation stands for nothing here: what would be compiled runs eagerly, line by line as written.

`torch.inference_mode` becomes `torch.no_grad`: without a compiler's copies, tensors cached in inference mode would not be
allowed into a later backward pass, and the recorder would not see operations that are composed of others.
"""

from __future__ import annotations

import contextlib

import torch
import torch._dynamo


def install() -> None:
    """Make the compilers of torch into identities."""

    def compile_(model=None, **_options):
        return (lambda function: function) if model is None else model

    torch.compile = compile_
    torch.nn.Module.compile = lambda self, *_arguments, **_options: None
    torch.jit.script = lambda function=None, *_arguments, **_options: function
    torch._dynamo.reset = lambda: None
    torch.compiler.reset = lambda: None
    torch.compiler.cudagraph_mark_step_begin = lambda: None
    torch.inference_mode = _InferenceMode


class _InferenceMode(torch.no_grad):
    def __new__(cls, mode=True):
        if callable(mode):  # @torch.inference_mode without parentheses
            return torch.no_grad()(mode)
        return super().__new__(cls) if mode else contextlib.nullcontext()

    def __init__(self, mode=True):
        super().__init__()
