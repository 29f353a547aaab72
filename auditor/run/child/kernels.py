"""Triton kernels through Triton's own interpreter, where Triton is installed; else imports of it fail as they would.

The interpreter keeps bfloat16 as bare 16-bit integers and computes with those, which gives nonsense. Kernels therefore run
on float32 copies of their bfloat16 arguments, and are shown a language whose bfloat16 is float32.
"""

from __future__ import annotations

import importlib.util
import os


def install(emit) -> None:
    """Make kernels run on the CPU."""
    if importlib.util.find_spec("triton") is None:
        emit({"t": "missing", "what": "triton"})
        return
    os.environ["TRITON_INTERPRET"] = "1"
    emit({"t": "standin", "what": "triton interpreter"})
