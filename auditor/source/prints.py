"""Where the shipped script prints, and which logged lines each place can produce."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.finding import Location
from auditor.submission.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintSite:
    """One call that writes a line: where it stands, and its text as literal parts with holes (None) between them.

    `evaluation` is the call that computes the val_bpb printed here, as far as it can be told.
    """

    location: Location
    parts: tuple[str | None, ...]
    evaluation: str | None = None

    def matches(self, line: str) -> bool:
        """Can this site print `line`?"""
        return False


def find_print_sites(script: Script) -> tuple[PrintSite, ...]:
    """Every call in the script's modules that writes a line."""
    return ()
