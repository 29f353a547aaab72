"""A virtual clock: every reading of the time is one millisecond later than the one before, and sleeping takes no time.

What a script decides by the clock is then the same in every run, however fast the machine is.
"""

from __future__ import annotations

import itertools
import time

_START_SECONDS = 1_750_000_000
_TICK_NANOSECONDS = 1_000_000


def install() -> None:
    """Replace the readings of the `time` module."""
    ticks = itertools.count()
    slept = [0]

    def nanoseconds() -> int:
        return next(ticks) * _TICK_NANOSECONDS + slept[0]

    def seconds() -> float:
        return nanoseconds() / 1e9

    def sleep(duration: float) -> None:
        slept[0] += int(duration * 1e9)

    time.time = lambda: _START_SECONDS + seconds()
    time.time_ns = lambda: _START_SECONDS * 10**9 + nanoseconds()
    for name in ("perf_counter", "monotonic", "process_time"):
        setattr(time, name, seconds)
        setattr(time, f"{name}_ns", nanoseconds)
    time.sleep = sleep
