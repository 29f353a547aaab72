"""Rewrites f-strings of Python 3.12 (PEP 701) so that the `ast` of 3.11 reads them; every token stays on its line.

Delimiters are changed to ones that do not occur inside, and a backslash inside an expression is spelled out as characters.
Imported only when a script does not parse otherwise, because libcst takes a third of a second to load.
"""

from __future__ import annotations

import libcst as cst


def requote(source: str) -> str | None:
    """`source` with f-strings that 3.11 can read; None if libcst cannot read it either."""
    try:
        return cst.parse_module(source).visit(_Requoter()).code
    except (cst.ParserSyntaxError, RecursionError, ValueError):
        return None


class _Requoter(cst.CSTTransformer):
    """Works from the innermost f-string outwards."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def visit_FormattedStringExpression(self, node: cst.FormattedStringExpression) -> None:  # noqa: N802
        self.depth += 1

    def leave_FormattedStringExpression(  # noqa: N802
        self, original_node: cst.FormattedStringExpression, updated_node: cst.FormattedStringExpression
    ) -> cst.FormattedStringExpression:
        self.depth -= 1
        return updated_node

    def leave_SimpleString(  # noqa: N802
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.BaseExpression:
        value = updated_node.evaluated_value
        if not self.depth or "\\" not in updated_node.value or not isinstance(value, str):
            return updated_node
        codes = "".join(f"{ord(character)}," for character in value)
        return cst.parse_expression(f'("".join(map(chr,({codes}))))')

    def leave_FormattedString(  # noqa: N802
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.FormattedString:
        prefix = updated_node.start.rstrip("\"'")
        spans_lines = any("\n" in _code(part) for part in updated_node.parts)
        for quote in (updated_node.end, '"""', "'''", '"', "'"):
            if (len(quote) == 3 or not spans_lines) and not _clashes(updated_node, quote):
                return updated_node.with_changes(start=prefix + quote, end=quote)
        return updated_node


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _clashes(string: cst.FormattedString, quote: str) -> bool:
    """Would `string`, delimited by `quote`, hold that quote in one of its expressions, or unescaped in its text?"""
    for part in string.parts:
        if isinstance(part, cst.FormattedStringText):
            if quote in part.value.replace("\\" + quote[0], ""):
                return True
        elif quote in _code(part):
            return True
    last = string.parts[-1] if string.parts else None
    return len(quote) == 3 and isinstance(last, cst.FormattedStringText) and last.value.endswith(quote[0])
