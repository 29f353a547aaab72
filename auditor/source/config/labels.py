"""What the headline's runs printed, and what they did not, traced to places in the script.

A label that stands in the log shows that its branch was taken. A label that does not shows the opposite only under
conditions: the log was printed by this script, the missing print runs whenever its branch does, it goes to the console,
and the log goes on to what the script prints later (or, at the script's end, the logs of several runs end alike).
Otherwise nothing is told.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from auditor.finding import Location
from auditor.source.config.captures import RunLine
from auditor.source.parse import walk
from auditor.source.prints import PrintSite
from auditor.source.scopes import Branches, Scope, Scopes
from auditor.source.templates import count_letters, matches

_LEAST_SEEN = 0.8  # ours: share of a function's unconditional prints that a log must show to count as its own, uncut
_MAX_CALL_DEPTH = 4
_LEAST_PIECE = 4  # ours: characters
_RANK_GUARD = re.compile(r"rank\s*==\s*0|not\s+\w*rank|master|main_process|is_main|is_rank0|verbose|log0|logger", re.I)


@dataclass(frozen=True, slots=True)
class _Range:
    """Lines of one source file."""

    path: str
    first: int
    last: int

    def holds(self, path: str, line: int | None) -> bool:
        return path == self.path and line is not None and self.first <= line <= self.last


@dataclass(frozen=True, slots=True)
class Taken:
    """A condition that did, or did not, hold in the run: `location` is the line printed, or the print that is missing.

    `around` are the conditions that the branch stands under.
    """

    test: ast.expr
    holds: bool
    scope: Scope
    location: Location
    around: tuple[ast.expr, ...] = ()


class PrintedLines:
    """Answers whether lines of the script printed anything in the given runs; matched on first use."""

    def __init__(self, lines: Sequence[RunLine], sites: Sequence[PrintSite], scopes: Scopes, foreign: bool) -> None:
        self._lines = lines
        # A bare ``print(x)`` is passed over; a dump (``{name}: {value}``) contests the lines that it could have made.
        self._sites = [site for site in sites if _has_words(site)]
        self._scopes = scopes
        self._foreign = foreign
        self._of_scope: dict[Scope, list[int]] = {}

    def printed(self, path: str, first_line: int, last_line: int) -> bool | None:
        """True, False, or None where it cannot be told."""
        if self._foreign or not self._shapes:
            return None
        reached = self._reached(_Range(path, first_line, last_line))
        inside = {index for index, site in enumerate(self._sites) if self._is_within(site, reached)}
        if any(matching <= inside for matching in self._shapes if matching):
            return True
        missing = [self._sites[index] for index in inside - self._seen if not self._sites[index].opaque]
        certain = any(self._is_certain(site, reached) for site in missing)
        return False if certain and self._goes_on(reached[0]) else None

    def taken(self) -> Iterator[Taken]:
        """The conditions that held (or did not, in an else branch) when the lines of the log were printed."""
        if self._foreign:
            return
        told: set[tuple[Scope, int, int]] = set()
        for line, matching in zip(self._lines, self._shapes, strict=True):
            branches = [self._branches_above(index) for index in matching]
            for key in set.intersection(*branches) - told if branches else ():
                told.add(key)
                scope, number, arm = key
                statement = _statement_at(scope, number)
                if isinstance(statement, ast.If):
                    yield Taken(statement.test, arm == 0, scope, line.location)
            if len({self._sites[index].location for index in matching}) == 1:
                yield from self._pieces(next(iter(matching)), line)

    def not_taken(self) -> Iterator[Taken]:
        """The conditions of branches that would have printed and did not, in functions that printed something else."""
        if self._foreign:
            return
        entered = {scope for matching in self._shapes if (scope := self._only_scope(matching)) is not None}
        for index, site in enumerate(self._sites):
            found = self._call_at(site) if index not in self._seen and not site.opaque else None
            if found is None or found[0] not in entered:
                continue
            scope, _, branches = found
            inner = [(number, arm) for number, arm in branches if not self._is_guard(scope, number)]
            statement = _statement_at(scope, inner[-1][0]) if inner and inner[-1][1] == 0 else None
            if isinstance(statement, ast.If) and self._is_silent(scope, statement):
                around = [(_statement_at(scope, number), arm) for number, arm in inner[:-1]]
                tests = tuple(_as_holding(outer.test, arm) for outer, arm in around if isinstance(outer, ast.If))
                yield Taken(statement.test, False, scope, site.location, tests)

    def _only_scope(self, matching: frozenset[int]) -> Scope | None:
        """The function that all of the sites stand in."""
        found = {call[0] if (call := self._call_at(self._sites[index])) else None for index in matching}
        return found.pop() if len(found) == 1 else None

    def _is_silent(self, scope: Scope, statement: ast.If) -> bool:
        last = statement.body[-1]
        return self.printed(scope.module.source_path, statement.body[0].lineno, last.end_lineno or last.lineno) is False

    def _branches_above(self, index: int) -> set[tuple[Scope, int, int]]:
        """Every branch that a site stands in, those around the only call of its function included."""
        found = self._call_at(self._sites[index])
        above: set[tuple[Scope, int, int]] = set()
        for _ in range(_MAX_CALL_DEPTH):
            if found is None:
                break
            scope, _, branches = found
            above |= {(scope, line, arm) for line, arm in branches}
            callers = self._scopes.callers(scope)
            found = (
                (callers[0].scope, callers[0].call, callers[0].scope.calls[callers[0].call]) if len(callers) == 1 else None
            )
        return above

    def _pieces(self, index: int, line: RunLine) -> Iterator[Taken]:
        """Conditional pieces of a printed text: which of the two stands in the line."""
        found = self._call_at(self._sites[index])
        for node in walk(found[1]) if found else ():
            if not isinstance(node, ast.IfExp) or found is None:
                continue
            one, other = _literals(node.body), _literals(node.orelse)
            if (one and not other) or (other and not one):
                words = one or other
                stands = all(word in line.text for word in words)
                if stands or not any(word in line.text for word in words):
                    yield Taken(node.test, stands is bool(one), found[0], line.location)

    # --- which sites stand in the lines

    def _reached(self, lines: _Range) -> list[_Range]:
        """The lines, and the functions that are called from nowhere else."""
        reached, pending = [lines], [(lines, 0)]
        while pending:
            current, depth = pending.pop()
            for scope, call in self._calls_in(current):
                for callee in self._scopes.callees(call.func, scope):
                    body = _range_of(callee)
                    if body is None or body in reached or depth >= _MAX_CALL_DEPTH:
                        continue
                    callers = self._scopes.callers(callee)
                    if all(any(r.holds(c.scope.module.source_path, c.call.lineno) for r in reached) for c in callers):
                        reached.append(body)
                        pending.append((body, depth + 1))
        return reached

    def _calls_in(self, lines: _Range) -> Iterator[tuple[Scope, ast.Call]]:
        calls = self._calls_by_line.get(lines.path, [])
        low = bisect_left(calls, lines.first, key=lambda found: found[0])
        high = bisect_right(calls, lines.last, key=lambda found: found[0])
        yield from ((scope, call) for _, scope, call in calls[low:high])

    @cached_property
    def _calls_by_line(self) -> dict[str, list[tuple[int, Scope, ast.Call]]]:
        """The calls in each file, in line order."""
        calls: dict[str, list[tuple[int, Scope, ast.Call]]] = {}
        for scope in self._scopes.all:
            calls.setdefault(scope.module.source_path, []).extend((call.lineno, scope, call) for call in scope.calls)
        return {path: sorted(found, key=lambda each: each[0]) for path, found in calls.items()}

    @staticmethod
    def _is_within(site: PrintSite, reached: Iterable[_Range]) -> bool:
        places = [place for place in (site.location, site.called_from) if place is not None]
        return any(lines.holds(place.path, place.line) for lines in reached for place in places)

    # --- what the logs show

    @cached_property
    def _shapes(self) -> list[frozenset[int]]:
        """For each kind of line in the runs, the sites that can print it."""
        keys = [_longest_words(site) for site in self._sites]  # rules most sites out at once
        return [
            frozenset(
                i for i, site in enumerate(self._sites) if keys[i].strip() in line.text and _can_print(site, line.text)
            )
            for line in self._lines
        ]

    @cached_property
    def _seen(self) -> frozenset[int]:
        return frozenset().union(*self._shapes)

    # --- what a missing line means

    def _is_certain(self, site: PrintSite, reached: Sequence[_Range]) -> bool:
        """Does the site print whenever its lines are reached?"""
        found = self._call_at(site)
        if found is None:
            return False
        scope, call, branches = found
        lines = next((r for r in reached if r.holds(scope.module.source_path, call.lineno)), None)
        return lines is not None and not _goes_to_file_only(call) and self._only_guards(scope, branches, lines.first)

    def _only_guards(self, scope: Scope, branches: Branches, first: int) -> bool:
        inner = [(line, arm) for line, arm in branches if line >= first]
        return all(arm == 0 and self._is_guard(scope, line) for line, arm in inner)

    def _is_guard(self, scope: Scope, line: int) -> bool:
        statement = _statement_at(scope, line)
        return isinstance(statement, ast.Try) or (
            isinstance(statement, ast.If) and bool(_RANK_GUARD.search(ast.unparse(statement.test)))
        )

    def _call_at(self, site: PrintSite) -> tuple[Scope, ast.Call, Branches] | None:
        return self._calls_by_place.get((site.location.path, site.location.line, site.location.column))

    @cached_property
    def _calls_by_place(self) -> dict[tuple[str, int | None, int | None], tuple[Scope, ast.Call, Branches]]:
        return {
            (scope.module.source_path, call.lineno, call.col_offset + 1): (scope, call, branches)
            for scope in self._scopes.all
            for call, branches in scope.calls.items()
        }

    def _goes_on(self, lines: _Range) -> bool:
        """Does the log show most of what the function prints unconditionally, and that it went on?"""
        scope = self._function_of(lines)
        for _ in range(_MAX_CALL_DEPTH):
            if scope is None:
                return False
            certain = self._unconditional(scope)
            seen_enough = len(self._seen.intersection(certain)) >= max(1, _LEAST_SEEN * len(certain))
            later = any(self._stands_in(index, scope) and self._line(index) > lines.last for index in self._seen)
            if seen_enough and (later or self._ends_before(lines, scope)):
                return True
            callers = self._scopes.callers(scope)
            if len(callers) != 1:
                return False
            call = callers[0].call
            scope = callers[0].scope
            lines = _Range(scope.module.source_path, call.lineno, call.end_lineno or call.lineno)
        return False

    def _ends_before(self, lines: _Range, scope: Scope) -> bool:
        """Do several logs end alike, at a print before the lines, with no print beyond them to be expected?"""
        ends: dict[str, frozenset[int]] = {}
        for line, matching in zip(self._lines, self._shapes, strict=True):
            if matching:
                ends[line.location.path] = matching
        last = set(ends.values())
        expected = self._unconditional(scope)
        return (
            len(ends) > 1
            and len(last) == 1
            and all(self._stands_in(index, scope) and self._line(index) < lines.first for index in next(iter(last)))
            and not any(self._line(index) > lines.last for index in expected)
        )

    def _function_of(self, lines: _Range) -> Scope | None:
        around = [
            (body.last - body.first, index)
            for index, scope in enumerate(self._scopes.all)
            if (body := _range_of(scope)) is not None and body.holds(lines.path, lines.first) and body.last >= lines.last
        ]
        if around:
            return self._scopes.all[min(around)[1]]
        return next((s for s in self._scopes.all if s.node is None and s.module.source_path == lines.path), None)

    def _line(self, index: int) -> int:
        return self._sites[index].location.line or 0

    def _stands_in(self, index: int, scope: Scope) -> bool:
        found = self._call_at(self._sites[index])
        return found is not None and found[0] is scope

    def _unconditional(self, scope: Scope) -> list[int]:
        """The sites in a scope that print whenever it is run."""
        if scope not in self._of_scope:
            found = ((index, self._call_at(site)) for index, site in enumerate(self._sites) if not site.opaque)
            own = [(index, call) for index, call in found if call is not None and call[0] is scope]
            self._of_scope[scope] = [
                index
                for index, (_, call, branches) in own
                if not _goes_to_file_only(call) and self._only_guards(scope, branches, 0)
            ]
        return self._of_scope[scope]


def _has_words(site: PrintSite) -> bool:
    """A separator line names no place; a dump has no letters of its own, but a colon or the like."""
    literals = [part for part in site.parts if isinstance(part, str)]
    return any(part.strip() for part in literals) if site.opaque else count_letters(site.parts) > 0


def _longest_words(site: PrintSite) -> str:
    return max((part for part in site.parts if isinstance(part, str)), key=len, default="").strip()


def _can_print(site: PrintSite, line: str) -> bool:
    """A dump of an empty value ends in a blank that the line has lost."""
    return site.matches(line) or (site.opaque and matches(site.parts, f"{line} "))


def _range_of(scope: Scope) -> _Range | None:
    node = scope.node
    return None if node is None else _Range(scope.module.source_path, node.lineno, node.end_lineno or node.lineno)


def _goes_to_file_only(call: ast.Call) -> bool:
    """``log0(text, console=False)``: the console's text, which many submit as the log, lacks it."""
    flags = [keyword.value for keyword in call.keywords if keyword.arg in ("console", "to_console")]
    return any(isinstance(flag, ast.Constant) and not flag.value for flag in [*flags, *call.args[1:2]])


def _as_holding(test: ast.expr, arm: int) -> ast.expr:
    return test if arm == 0 else ast.copy_location(ast.UnaryOp(op=ast.Not(), operand=test), test)


def _literals(node: ast.expr) -> list[str]:
    """The words of a text expression that are long enough to be recognised."""
    texts = [inner.value for inner in walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)]
    return [text.strip() for text in texts if len(text.strip()) >= _LEAST_PIECE]


def _statement_at(scope: Scope, line: int) -> ast.stmt | None:
    """The `if` or `try` of a scope that starts on a line."""
    tree = scope.module.tree
    pending: list[ast.stmt] = list(tree.body if scope.node is None and tree else getattr(scope.node, "body", []))
    while pending:
        statement = pending.pop()
        if statement.lineno == line and isinstance(statement, ast.If | ast.Try):
            return statement
        if statement.lineno <= line <= (statement.end_lineno or line):
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(statement, name, [])
                pending += inner if isinstance(inner, list) else []
            pending += [item for handler in getattr(statement, "handlers", []) for item in handler.body]
    return None
