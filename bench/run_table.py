"""The table of runs: figures from the results that `bench.run_corpus` keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def table(results: Path) -> str:
    """Markdown, one row for each result in a folder."""
    raise NotImplementedError
