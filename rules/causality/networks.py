"""Which reported scores are computed with which of a script's networks."""

from __future__ import annotations

import ast

from auditor.source.flow.analysis import Trace
from auditor.source.parse import names_in, nodes_of
from auditor.source.scopes import Scope
from auditor.submission.submission import Submission, fact


def scored_with(submission: Submission, trace: Trace, scope: Scope) -> frozenset[int]:
    """The reported scores whose state is, holds, or derives from the class of a method; of a plain function, all.

    A score's state is told by the name of its class. Where no state of any score is a class of the script, all count.
    """
    classes = _classes(submission)
    owner = next((name for name, node in classes.items() if scope.node in node.body), None)
    scores = trace.scores()
    known = [score for score in scores if any(_class_of(state) in classes for state in score.states)]
    if owner is None or not known:
        return frozenset(score.number for score in scores)
    return frozenset(
        score.number for score in known if any(owner in _parts(_class_of(state), classes) for state in score.states)
    )


@fact
def _classes(submission: Submission) -> dict[str, ast.ClassDef]:
    trees = [module.tree for module in (submission.script.modules if submission.script else ()) if module.tree]
    return {node.name: node for tree in trees for node in nodes_of(tree) if isinstance(node, ast.ClassDef)}


def _class_of(state: str) -> str:
    return state.removesuffix(" copy")


def _parts(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    """A class, and every class of the script that its body names, and so on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in classes and current not in found:
            found.add(current)
            waiting += names_in(classes[current])
    return found
