"""What the evaluator asks the effective configuration."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from auditor.source.configuration import Configuration, Origin
from auditor.submission.script import Module

UNTOLD = object()
"""The answer where nothing tells."""


class Settings(Protocol):
    """Where the effective value of a switch comes from."""

    def environment(self, name: str) -> str | None:
        """The text of an environment variable that the submitted run set; None if it set none."""

    def attribute(self, name: str) -> object:
        """The value of a hyper-parameter by its attribute name; `UNTOLD` if nothing tells it."""

    def was_silent(self, module: Module, body: Sequence[ast.stmt]) -> bool:
        """Does the log show that these statements, which print, were not reached?"""


@dataclass(slots=True)
class EffectiveSettings:
    """The settings of the submitted run, as the configuration establishes them."""

    configuration: Configuration
    _attributes: dict[str, object] = field(default_factory=dict)
    _silent: dict[tuple[str, int], bool] = field(default_factory=dict)

    def environment(self, name: str) -> str | None:
        """The text of an environment variable that the submitted run set; None if it set none."""
        found = self.configuration.environment(name)
        if found is None or (found.origin is Origin.DEFAULT and name not in _CLUSTER):
            return None
        return str(found.value)

    def attribute(self, name: str) -> object:
        """The value of a hyper-parameter by its attribute name; `UNTOLD` if nothing tells it."""
        if name not in self._attributes:
            found = self.configuration.attribute(None, name)
            self._attributes[name] = UNTOLD if found is None else found.value
        return self._attributes[name]

    def was_silent(self, module: Module, body: Sequence[ast.stmt]) -> bool:
        """Does the log show that these statements, which print, were not reached?"""
        if not body:
            return False
        key = (module.source_path, body[0].lineno)
        if key not in self._silent:
            last = body[-1].end_lineno or body[-1].lineno
            self._silent[key] = self.configuration.printed(module.source_path, body[0].lineno, last) is False
        return self._silent[key]


@dataclass(frozen=True, slots=True)
class SingleProcess:
    """The settings of a run, in one process whatever they say."""

    settings: Settings

    def environment(self, name: str) -> str | None:
        """The text of an environment variable."""
        return "1" if name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE") else self.settings.environment(name)

    def attribute(self, name: str) -> object:
        """The value of a hyper-parameter by its attribute name."""
        return self.settings.attribute(name)

    def was_silent(self, module: Module, body: Sequence[ast.stmt]) -> bool:
        """Does the log show that these statements were not reached?"""
        return self.settings.was_silent(module, body)


_CLUSTER = frozenset({"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"})
