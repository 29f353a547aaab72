"""Types of options, each with a message that names the value, and what options may be set to.

The words stand here and not where they are defined, since the enumerations there are slow to load; a test holds both equal.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from auditor.output import FORMATS

RULESETS = ("practice", "readme")
FAIL_ON = ("violation", "review", "open")
PROBES = ("suffix", "target", "bound", "artifact")
RANKS = (1, 2)  # a clock of collectives orders two ranks completely; of more, groups could be ordered apart


def words(options: Sequence[str]) -> list[str]:
    """Options that may be repeated, separated by blanks or by commas."""
    return [word for option in options for word in option.split(",") if word]


def format_and_file(text: str) -> tuple[str, Path]:
    """``FORMAT=FILE``."""
    form, _, file = text.partition("=")
    if form not in FORMATS or not file:
        raise argparse.ArgumentTypeError(f"{text!r} is no FORMAT=FILE with one of {', '.join(FORMATS)}")
    return form, Path(file)


def day(text: str) -> date:
    """A day as ISO 8601 writes it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-05-02") from None


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """A time above 0, in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value
