"""The command line: arguments, calls, exit code."""

from __future__ import annotations


def main() -> int:
    """Run the command line."""
    return 2
