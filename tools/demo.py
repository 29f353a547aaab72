"""What ``make demo`` does: lays the fixtures out, prints one report in full, then all of them in a table.

It calls the command line as a user would, in processes of its own; a finding is what a demo is about, so exit status 1 is
fine here and only 2 (the job could not be done) is an error.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.lay_out_fixtures import lay_out

ROOT = Path(__file__).resolve().parent.parent
SHOWN = "PG001_foreign_log/bad_label_and_code_size"


def run(*arguments: str | Path) -> int:
    """Run the command line on `arguments` with its output on ours; returns the exit status."""
    return subprocess.run([sys.executable, str(ROOT / "cli.py"), *map(str, arguments)], check=False).returncode


def main() -> int:
    """Show one report, then the table."""
    with tempfile.TemporaryDirectory(prefix="pgolf-demo-") as folder:
        laid_out = Path(folder) / "fixtures"
        lay_out(ROOT / "fixtures", laid_out)
        statuses = [run("audit", laid_out / SHOWN), run("audit", laid_out)]
    return 0 if max(statuses) < 2 else 2


if __name__ == "__main__":
    sys.exit(main())
