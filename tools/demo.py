"""What ``make demo`` does: lays the fixtures out, prints one report in full, then all of them in a table.

It calls the command line as a user would, in processes of its own. Findings are what a demo is about, and some fixtures
cannot be read on purpose, so the exit statuses of the two audits are 1 and 2; anything else is an error.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.lay_out_fixtures import FIXTURES, find_cases, lay_out, load_case

ROOT = Path(__file__).resolve().parent.parent
SHOWN = "PG001_foreign_log/bad_label_and_code_size"


def run(folder: Path, *arguments: str) -> int:
    """Run the command line in `folder` with its output on ours; returns the exit status."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, str(ROOT / "cli.py"), *arguments], cwd=folder, check=False).returncode


def main() -> int:
    """Show one report, then the table."""
    shown = load_case(FIXTURES / SHOWN)
    with tempfile.TemporaryDirectory(prefix="pgolf-demo-") as folder:
        root = Path(folder)
        lay_out(shown, root / shown.path)
        for case in find_cases():
            lay_out(case, root / "fixtures" / case.name / case.path)
        print(f"$ pgolf audit {shown.path}\n", flush=True)
        statuses = [run(root, "audit", shown.path)]
        print("\n$ pgolf audit fixtures\n", flush=True)
        statuses.append(run(root, "audit", "fixtures"))
    return 0 if statuses == [1, 2] else 2


if __name__ == "__main__":
    sys.exit(main())
