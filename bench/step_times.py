"""The processor time at which a training log states each step, written to the file that STEP_TIMES names.

Used in the process that is measured; stands alone. On a machine that others use too, the median processor time between
two steps can be compared where seconds on the clock cannot.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from pathlib import Path

STEP = re.compile(r"step:(\d+)/\d+ train_loss:")
FIRST_STEP = 5


def note(text: str) -> None:
    """Write down the time if this line of a log states a training step."""
    path = os.environ.get("STEP_TIMES")
    found = STEP.match(text)
    if path and found:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{found[1]} {time.process_time()}\n")


def median_step_seconds(path: Path) -> float | None:
    """Median processor time of a step, the first few left out; None where no two in a row are stated."""
    lines = path.read_text(encoding="utf-8").splitlines()
    times = {int(step): float(seconds) for step, seconds in map(str.split, lines)}
    taken = [times[step] - times[step - 1] for step in times if step > FIRST_STEP and step - 1 in times]
    return statistics.median(taken) if taken else None
