"""The effective value of a switch: a small stand-in until the configuration is established for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.submission.submission import Submission

_CLUSTER = {"RANK": "0", "WORLD_SIZE": "8", "LOCAL_RANK": "0"}


@dataclass(frozen=True, slots=True)
class KnownSettings:
    """Settings by name, as texts."""

    values: Mapping[str, str]

    def lookup(self, name: str) -> str | None:
        """The value under a name; None if nothing tells it."""
        return self.values.get(name)


def settings_of(submission: Submission) -> KnownSettings:
    """The wrapper's environment, the README's commands, and what the headline's log printed."""
    values: dict[str, str] = {}
    script = submission.script
    if submission.readme:
        for command in submission.readme.commands:
            values.update(command.environment)
    for layer in script.layers if script else ():
        values.update(layer.environment)
    return KnownSettings(values | _CLUSTER)
