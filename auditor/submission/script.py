"""The shipped script as data: bytes, the layers it was packed in, the innermost source and what it pulls in."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One unwrapping step. `method` reads like ``exec(lzma(b85))``; `source` is what came out.

    `outer_line` is the line of the call that runs the payload, in the file that held it. `environment` holds the variables
    that the wrapper sets before, `files` the texts of the further files that it unpacks, by their relative paths.
    """

    method: str
    source: str
    outer_path: str
    outer_line: int
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file of the submission: `path` as shipped, `source` after unwrapping, `tree` or why there is none.

    `source_path` names the source in findings: the file itself, or ``FILE!decoded`` for unwrapped code. A module that a
    wrapper unpacks beside its main source is no shipped file; its path is ``FILE!decoded/NAME``.
    """

    path: str
    source_path: str
    source: str
    tree: ast.Module | None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The entry point of a submission.

    `num_bytes` is the size of the shipped file. `modules` holds the entry point's own source first, then the Python
    siblings that it imports, execs or runs, transitively. `side_files` are other files of the submission that it names
    (C, C++, CUDA, tables, tokenizers), as paths. `missing` lists local modules it needs that are not shipped. `packed`
    says that the shipped file decodes its source at run time; then `layers` is empty only where that could not be undone.
    """

    path: str
    num_bytes: int
    layers: tuple[Layer, ...]
    modules: tuple[Module, ...]
    side_files: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    chosen_because: str = ""
    packed: bool = False

    @property
    def main(self) -> Module:
        """The entry point's innermost source."""
        return self.modules[0]
