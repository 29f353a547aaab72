"""What the commands are handed of the contest: its rules and its leaderboard, which the auditor itself never imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """`rules` in the order of reports, in their state `as_of` a day; `find_row` names the leaderboard row that is meant.

    `find_row` raises ValueError for a name that is none, or not the only one.
    """

    rules: Sequence[Rule]
    as_of: date
    find_row: Callable[[str], str]
