"""A CUDA device that is the CPU: what asks for ``cuda`` gets a CPU tensor, and device and stream calls do nothing.

Tensors say truthfully that they are on the CPU, except for `is_cuda`, which scripts assert.
Not covered: CUDA graphs, custom C++ extensions that need a GPU, `torch.cuda` internals; they fail as on a machine without.
"""

from __future__ import annotations

import contextlib
import functools
import time
import types

import torch

_NAME = "NVIDIA H100 80GB HBM3"
_MEMORY_BYTES = 80 * 1024**3
_NUM_MULTIPROCESSORS = 4  # persistent kernels start one program for each; few are faster to interpret


def on_cpu(device):
    """The device to use for one that was asked for."""
    if isinstance(device, int):
        return torch.device("cpu")
    text = str(device)
    return torch.device("cpu") if text.startswith("cuda") else device


def _moved(function):
    """`function` with its `device` (and `pin_memory`) argument taken to the CPU."""

    @functools.wraps(function)
    def wrapper(*arguments, **options):
        if options.get("device") is not None:
            options["device"] = on_cpu(options["device"])
        options.pop("pin_memory", None)
        return function(*arguments, **options)

    return wrapper


def install(num_devices=1) -> None:
    """Replace what leads to a CUDA device."""
    _install_constructors()
    _install_tensor()
    _install_autocast()
    _install_module(num_devices)
    torch.set_default_device = lambda device: None
    load, generator = torch.load, torch.Generator

    def load_(*arguments, **options):
        options["map_location"] = "cpu"
        return load(*arguments[:1], **options)

    torch.load = load_
    torch.Generator = lambda device="cpu": generator(device=on_cpu(device))
    for name in ("enable_flash_sdp", "enable_mem_efficient_sdp", "enable_math_sdp", "enable_cudnn_sdp"):
        setattr(torch.backends.cuda, name, lambda enabled: None)
    torch.nn.attention.sdpa_kernel = lambda *_arguments, **_options: contextlib.nullcontext()


def _install_constructors() -> None:
    from torch.utils import _device

    for constructor in list(_device._device_constructors()):
        name = getattr(constructor, "__name__", "")
        if getattr(torch, name, None) is constructor:
            setattr(torch, name, _moved(constructor))
    start = _device.DeviceContext.__init__
    _device.DeviceContext.__init__ = lambda self, device: start(self, on_cpu(device))


def _install_tensor() -> None:
    tensor = torch.Tensor
    to = tensor.to

    def to_(self, *arguments, **options):
        if options.get("device") is not None:
            options["device"] = on_cpu(options["device"])
        if arguments and not isinstance(arguments[0], torch.dtype | torch.Tensor):
            arguments = (on_cpu(arguments[0]), *arguments[1:])
        return to(self, *arguments, **options)

    tensor.to = to_
    tensor.cuda = lambda self, *_arguments, **_options: self
    tensor.pin_memory = lambda self, *_arguments, **_options: self
    tensor.is_pinned = lambda self, *_arguments, **_options: True
    tensor.is_cuda = property(lambda self: True)
    tensor.record_stream = lambda self, stream: None
    tensor.get_device = lambda self: 0
    for name in ("new_empty", "new_zeros", "new_ones", "new_full", "new_tensor", "new_empty_strided"):
        setattr(tensor, name, _moved(getattr(tensor, name)))


def _install_autocast() -> None:
    class Autocast(torch.autocast):
        """Autocast on the device that is really there."""

        def __init__(self, device_type="cuda", *arguments, **options):
            super().__init__("cpu" if device_type == "cuda" else device_type, *arguments, **options)

    class CudaAutocast(Autocast):
        """The older spelling, without the device."""

        def __init__(self, enabled=True, dtype=torch.float16, cache_enabled=True):
            super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)

    torch.autocast = torch.amp.autocast = torch.amp.autocast_mode.autocast = Autocast
    torch.cuda.amp.autocast = CudaAutocast
    scaler = torch.amp.GradScaler
    torch.amp.GradScaler = torch.cuda.amp.GradScaler = lambda *_arguments, **_options: scaler("cpu", enabled=False)
    enabled = torch.is_autocast_enabled
    torch.is_autocast_enabled = lambda device="cpu": enabled("cpu")


class Event:
    """A point in a stream; time between two is the virtual clock's."""

    def __init__(self, *_arguments, **_options):
        self.at = 0.0

    def record(self, *_arguments):
        self.at = time.perf_counter()

    def elapsed_time(self, other):
        return (other.at - self.at) * 1e3

    def synchronize(self):
        return None

    wait = query = synchronize


class Stream:
    """A stream that is always done."""

    cuda_stream = 0

    def __init__(self, *_arguments, **_options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_arguments):
        return None

    def nothing(self, *_arguments):
        return None

    synchronize = wait_stream = wait_event = record_event = query = nothing


def _install_module(num_devices) -> None:
    properties = types.SimpleNamespace(
        name=_NAME,
        total_memory=_MEMORY_BYTES,
        multi_processor_count=_NUM_MULTIPROCESSORS,
        major=9,
        minor=0,
        shared_memory_per_block_optin=232448,
        warp_size=32,
    )
    returned = {
        "is_available": True,
        "is_initialized": True,
        "is_bf16_supported": True,
        "device_count": num_devices,
        "current_device": 0,
        "get_device_name": _NAME,
        "get_device_capability": (9, 0),
        "get_device_properties": properties,
        "mem_get_info": (_MEMORY_BYTES, _MEMORY_BYTES),
        "memory_stats": {},
        "memory_summary": "",
        "get_arch_list": ["sm_90"],
    }
    zero = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")
    nothing = (
        "init",
        "set_device",
        "synchronize",
        "empty_cache",
        "reset_peak_memory_stats",
        "manual_seed",
        "manual_seed_all",
        "ipc_collect",
        "reset_max_memory_allocated",
        "reset_accumulated_memory_stats",
        "set_per_process_memory_fraction",
    )
    returned |= dict.fromkeys(zero, 0) | dict.fromkeys(nothing)
    for name, value in returned.items():
        setattr(torch.cuda, name, lambda *_arguments, _value=value, **_options: _value)
    torch.cuda.Event, torch.cuda.Stream = Event, Stream
    torch.cuda.stream = torch.cuda.device = lambda *_arguments: contextlib.nullcontext()
    torch.cuda.current_stream = torch.cuda.default_stream = lambda *_arguments: Stream()
    torch.cuda.get_rng_state = lambda *_arguments: torch.get_rng_state()
    torch.cuda.get_rng_state_all = lambda: [torch.get_rng_state()]
    torch.cuda.set_rng_state = lambda state, *_arguments: torch.set_rng_state(state)
    torch.cuda.nvtx = types.SimpleNamespace(
        range_push=lambda *_: None, range_pop=lambda: None, range=contextlib.nullcontext
    )
    torch.cuda.nccl.version = lambda: (2, 27, 3)  # torch.distributed itself asks for it when a collective fails
    torch.version.cuda = "12.8"
    torch.__version__ = torch.torch_version.TorchVersion(str(torch.__version__).partition("+")[0] + "+cu128")
