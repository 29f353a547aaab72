"""The rules of the contest, one module each; `ALL_RULES` is the explicit tuple in id order."""

from __future__ import annotations

from auditor.rule import Rule

ALL_RULES: tuple[Rule, ...] = ()
