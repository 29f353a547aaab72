"""Runs a script that insists on CUDA on a CPU, unmodified: `python cuda_shim.py SCRIPT`, settings in the environment.

For the contest's own baseline script only, whose text is the organisers'. What is replaced, in this process alone:
`torch.device("cuda")` is the CPU, CUDA's queries and synchronisation do nothing, and autocast for CUDA is autocast for
the CPU. Arithmetic is that of the script, in the types that it asks for. Connections to anywhere are refused. Stands
alone: of this repository it imports `step_times.py` beside it, and the repository is not on its path.
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys
from pathlib import Path

import torch
from step_times import note  # beside this file, which is the first place on the path

REAL_DEVICE, REAL_AUTOCAST = torch.device, torch.autocast


class DeviceMeta(type):
    """`torch.device` cannot be subclassed; this stands for it in calls and in isinstance."""

    def __call__(cls, *args: object, **kwargs: object) -> object:
        device = REAL_DEVICE(*args, **kwargs)
        return REAL_DEVICE("cpu") if device.type == "cuda" else device

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, REAL_DEVICE)


class CpuDevice(metaclass=DeviceMeta):
    pass


class CpuAutocast(REAL_AUTOCAST):
    def __init__(self, device_type: str, dtype: torch.dtype | None = None, enabled: bool = True) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, dtype=dtype, enabled=enabled)


def refuse_connections(event: str, args: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise PermissionError(f"{event}: no connections here")


def pretend_cuda() -> None:
    torch.device = CpuDevice
    torch.autocast = CpuAutocast
    torch.cuda.is_available = lambda: True
    for name in ("set_device", "synchronize", "manual_seed_all"):
        setattr(torch.cuda, name, lambda *args, **kwargs: None)
    for name in ("max_memory_allocated", "max_memory_reserved"):
        setattr(torch.cuda, name, lambda *args, **kwargs: 0)


def put_stub_on_path(folder: Path) -> None:
    """The script asks `nvidia-smi` for a table that it writes into its log."""
    stub = folder / "bin" / "nvidia-smi"
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text("#!/bin/sh\necho no GPU: run on a CPU through a shim\n")
    stub.chmod(0o755)
    os.environ["PATH"] = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"


def note_printed_steps() -> None:
    """Let every printed line pass by `step_times.note`."""
    real_print = builtins.print

    def print_and_note(*values: object, **kwargs: object) -> None:
        if values and "file" not in kwargs:
            note(str(values[0]))
        real_print(*values, **kwargs)

    builtins.print = print_and_note


def main() -> None:
    script = Path(sys.argv[1]).resolve()
    put_stub_on_path(script.parent)
    pretend_cuda()
    note_printed_steps()
    sys.addaudithook(refuse_connections)
    sys.argv = [str(script)]
    sys.path[0] = str(script.parent)
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
