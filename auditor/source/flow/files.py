"""Files that a script opens: whose tokens they hold by name, and what was written into them before."""

from __future__ import annotations

import ast
import posixpath
import re

from auditor.events import Role
from auditor.source.flow import values as v
from auditor.source.flow.indexing import token_data
from auditor.source.flow.machine import Machine
from auditor.source.flow.operators import joined_path

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
            machine.recorder.read(node, opened.path.replace("\0", ".."), role)
            parts.append(token_data(role))
        return v.derived(*parts)
    folder, name = posixpath.split(opened.path)
    if "\0" in name and folder in machine.recorder.shard_folders:
        machine.recorder.read(node, opened.path.replace("\0", ".."), Role.OTHER)
    turns = frozenset(loop.tag for loop in machine.recorder.loops if loop.is_while)
    result = _written(machine, opened.path)
    result.tokens = frozenset(region for region in result.tokens if region.role is not Role.TRAINING)  # it was paid for
    result.turns |= turns
    return result


def _written(machine: Machine, path: str) -> v.Data:
    """What the script wrote under a path; where a part of the name is not known, under any that it can be."""
    if path in machine.files:
        return v.derived(machine.files[path])
    found = [data for other, data in machine.files.items() if _can_be(path, other) or _can_be(other, path)]
    if found or not re.search(r"[\0*]", path):
        return v.derived(*found)
    return v.derived(*(data for data in machine.files.values() if not (data.losses or data.scores)))


def _can_be(path: str, other: str) -> bool:
    """Can a path with unknown parts be `other`?"""
    known = re.split(r"[\0*]", path)
    return any(part.strip("/") for part in known[1:]) and re.fullmatch(".*".join(map(re.escape, known)), other) is not None


def move(machine: Machine, source: v.File, target: v.File) -> None:
    """A file gets another name, or a copy under one."""
    if source.path in machine.files:
        machine.files[target.path] = machine.files[source.path]


def write(machine: Machine, opened: v.File, value: v.Data, node: ast.AST) -> None:
    """Write into a file; weights that are written are an event, losses that are put aside and read again are none."""
    if value.text is not None:
        return
    v.merge_into(machine.files.setdefault(opened.path, v.Data()), value)
    if value.weights and not (value.losses or value.scores):
        machine.recorder.selection(node)
        machine.recorder.write(node, opened.path.replace("\0", ".."), value)


def method(machine: Machine, opened: v.File, name: str, arguments: v.Arguments, node: ast.AST) -> v.Value:
    """A method of a file or path object."""
    if name in ("glob", "rglob") and arguments:
        found = joined_path(opened, arguments[0])
        return v.Sequence([file(found.path)], exact=False)
    if name == "open":
        mode = arguments[0].value if arguments and isinstance(arguments[0], v.Const) else "r"
        return v.File(opened.path, opened.files, str(mode))
    if name in ("write", "write_bytes", "write_text", "writelines", "writestr"):
        write(machine, opened, v.merged(arguments), node)
        return v.Data()
    if name in ("read", "read_bytes", "read_text", "readlines", "readline", "readinto"):
        return read(machine, opened, node)
    if name in ("joinpath", "__truediv__") and arguments:
        return joined_path(opened, arguments[0])
    if name in ("exists", "is_file", "is_dir", "stat", "mkdir", "unlink", "seek", "tell", "close", "flush", "fileno"):
        return v.Data()
    return opened
