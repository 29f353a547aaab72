"""What counts under the contest's cap: the bytes of the script plus the bytes of the artifact file.

Imports nothing heavy, since writing a record needs it too. What to do about too many bytes is in shrink.py.
"""

from __future__ import annotations

from dataclasses import dataclass

# README of the contest: script and compressed model together, decimal megabytes. The rules of the auditor hold the same
# number with its source; the trainer stands alone and imports nothing from there, and a test of both compares the two.
ARTIFACT_CAP_BYTES = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSize:
    """Bytes of the script and of the artifact file, against the cap."""

    code_bytes: int
    model_bytes: int
    cap_bytes: int = ARTIFACT_CAP_BYTES

    @property
    def total_bytes(self) -> int:
        """What counts."""
        return self.code_bytes + self.model_bytes

    @property
    def over_bytes(self) -> int:
        """Bytes beyond the cap; 0 for a submission that fits."""
        return max(0, self.total_bytes - self.cap_bytes)

    def describe(self) -> str:
        """One sentence: the sum, and what is left or too much."""
        total = f"{self.code_bytes:,} code + {self.model_bytes:,} model = {self.total_bytes:,} bytes"
        if self.over_bytes:
            return f"over the cap of {self.cap_bytes:,} bytes by {self.over_bytes:,}: {total}"
        return f"{total}, {self.cap_bytes - self.total_bytes:,} below the cap of {self.cap_bytes:,}"
