"""Which commands reach for the network: one answer for the source analysis, which reads them, and a run, which sees them.

Not covered: programs that connect on their own account, and commands whose words are made by a shell.
"""

from __future__ import annotations

import re

_NETWORK = re.compile(
    r"\bpip3?\b.*\binstall\b|\b(?:curl|wget|aria2c|huggingface-cli)\b|\bgit\b\W+(?:clone|fetch|pull)\b"
    r"|\b(?:apt(?:-get)?|conda|uv)\b.*\binstall\b"
)


def reaches_out(command: str) -> bool:
    """Does a command, its words joined by spaces, fetch something?"""
    return _NETWORK.search(command) is not None
