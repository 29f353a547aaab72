"""What a submission folder is: the one definition that paths, checkouts and pull requests share.

A folder that directly holds a submission.json is one; so is a folder that directly holds a training script, or a Python
file beside a README, unless it lies inside another submission folder (helpers) or above one (the repository's own scripts).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable

_TRAIN_SCRIPT = re.compile(r"train[\w.-]*\.py$", re.IGNORECASE)
_NEVER = frozenset({"data", "scripts", "tests", "utils", "tools", "docs", "notebooks", ".github"})
_PLAIN_NAMES = frozenset({"readme.md", "readme", "readme.txt"})


def find_submission_folders(paths: Iterable[str]) -> tuple[str, ...]:
    """The submission folders among the folders of `paths` (relative, forward slashes), sorted; ``""`` is the root."""
    names: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, name = posixpath.split(path)
        names[folder].add(name.lower())
    declared = {folder for folder, held in names.items() if "submission.json" in held}
    scripted = {folder for folder, held in names.items() if _has_script(folder, held)}
    outer = {folder for folder in scripted if not _contains_any(folder, declared)}
    folders = {folder for folder in declared | outer if not _inside_any(folder, declared | outer)}
    return tuple(sorted(folders))


def is_training_script(path: str) -> bool:
    """Is a file called like a training script (``train_gpt.py``, ``train_v5.py``)?"""
    return bool(_TRAIN_SCRIPT.match(posixpath.basename(path)))


def folder_of(path: str, folders: Iterable[str]) -> str | None:
    """The one of `folders` that `path` lies in."""
    return next((folder for folder in folders if not folder or path.startswith(f"{folder}/")), None)


def _has_script(folder: str, held: set[str]) -> bool:
    if posixpath.basename(folder).lower() in _NEVER:
        return False
    scripts = {name for name in held if name.endswith(".py")}
    return any(is_training_script(name) for name in scripts) or bool(scripts and held & _PLAIN_NAMES)


def _inside_any(folder: str, others: Iterable[str]) -> bool:
    return any(other != folder and (not other or folder.startswith(f"{other}/")) for other in others)


def _contains_any(folder: str, others: Iterable[str]) -> bool:
    return any(other != folder and (not folder or other.startswith(f"{folder}/")) for other in others)
