"""Which commands reach for the network: one answer for the source analysis, which reads them, and a run, which sees them.

Not covered: programs that connect on their own account, and commands whose words are made by a shell.
"""

from __future__ import annotations

import re

_NETWORK = re.compile(
    r"\bpip3?\b.*\b(?:install|download)\b|\b(?:curl|wget|aria2c|huggingface-cli)\b"
    r"|\bgit\s(?:.*\s)?(?:clone|fetch|pull|push|ls-remote|submodule)\b"
    r"|\b(?:apt(?:-get)?|conda|uv)\b.*\b(?:install|create|add|sync)\b"
)


def reaches_out(command: str) -> bool:
    """Does a command, its words joined by spaces, fetch something?"""
    return _NETWORK.search(command) is not None
