"""Files that a script opens: whose tokens they hold by name, and what was written into them before."""

from __future__ import annotations

import ast
import posixpath
import re

from auditor.events import Role
from auditor.source.flow import values as v
from auditor.source.flow.indexing import token_data
from auditor.source.flow.machine import Machine

_VALIDATION = re.compile(r"(?<![a-z])val(?:id(?:ation)?)?(?![a-z])", re.IGNORECASE)
_TRAINING = re.compile(r"(?<![a-z])train(?:ing)?(?![a-z])", re.IGNORECASE)
_BYTE_COUNTS = re.compile(r"bytes", re.IGNORECASE)
_DATA_FILE = re.compile(r"\*|\.(?:bin|npy|npz|dat|u16|uint16)$")


def role_of_path(path: str) -> Role | None:
    """Whose tokens a data file holds; None for what is no token shard."""
    name = posixpath.basename(path)
    if not _DATA_FILE.search(path):
        return None
    if _VALIDATION.search(name):
        return Role.BYTE_COUNTS if _BYTE_COUNTS.search(name) else Role.VALIDATION
    return Role.TRAINING if _TRAINING.search(name) else None


def file(path: str, mode: str = "r") -> v.File:
    """A file or pattern by its path."""
    role = role_of_path(path)
    return v.File(path, frozenset((role,)) if role else frozenset(), mode)


def read(machine: Machine, opened: v.File, node: ast.AST) -> v.Data:
    """What a file holds: the tokens of its role, or what the script wrote."""
    if opened.files:
        parts = []
        for role in sorted(opened.files):
            machine.recorder.read(node, opened.path, role)
            parts.append(token_data(role))
        return v.derived(*parts)
    turns = frozenset(loop.tag for loop in machine.recorder.loops if loop.is_while)
    known = machine.files.get(opened.path)
    if known is None and "\0" in opened.path:
        known = v.derived(*machine.files.values())
    result = v.derived(known) if known is not None else v.Data()
    result.turns |= turns
    return result


def write(machine: Machine, opened: v.File, value: v.Data, node: ast.AST) -> None:
    """Write into a file; weights that are written are an event."""
    if value.text is not None or (value.losses or value.scores):
        return
    v.merge_into(machine.files.setdefault(opened.path, v.Data()), value)
    if value.weights:
        machine.recorder.write(node, opened.path, value)
