"""Starts the ranks of a world: one process for each, with the environment that ``torchrun`` gives.

What waits for them imports nothing and ends with the first failure; a rank that is done early does not end the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
import tempfile
import time

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_READ_FLAGS, _WRITE_FLAGS, _UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP of linux/sockios.h and linux/if.h
_ADDRESS = "127.0.0.1"


def split(count: int) -> tuple[int, str]:
    """Go on as so many processes: returns in each of them its rank, and a folder where all can meet.

    Never returns where they were started from.
    """
    _raise_loopback()
    port, meeting = _free_port(), tempfile.mkdtemp()
    children = set()
    for rank in range(count):
        child = os.fork()
        if child == 0:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            os.environ.update(_environment(rank, count, port))
            return rank, meeting
        children.add(child)
    os._exit(_wait(children))


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
    meeting = {"MASTER_ADDR": _ADDRESS, "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    return {name: str(value) for name, value in (place | meeting).items()}


def _raise_loopback() -> None:
    """A new network namespace has the loopback device, but down; elsewhere it is up, or not ours to change."""
    if sys.platform != "linux":
        return
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, contextlib.suppress(OSError):
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _READ_FLAGS, request))[1]
        fcntl.ioctl(any_socket, _WRITE_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def _free_port() -> int:
    with socket.socket() as any_socket:
        any_socket.bind((_ADDRESS, 0))
        return any_socket.getsockname()[1]


def _wait(running: set[int]) -> int:
    while running:
        child, status = os.wait()
        if child not in running:
            continue
        running.discard(child)
        if status != 0:
            time.sleep(1.0)  # what another rank was about to say
            for other in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status) & 0xFF
    return 0
