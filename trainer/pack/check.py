"""What every packed script must pass before anybody gets it: it compiles, needs no module of the package, and defines every
name that it uses.
"""

from __future__ import annotations

import ast
import builtins

from trainer.pack.references import References, bound_names

_MODULE_NAMES = ("__file__", "__name__")


def check(source: str, package: str) -> None:
    """ValueError that names what is wrong with a packed script."""
    tree = ast.parse(source)
    compile(tree, "train_gpt.py", "exec")
    defined = {*dir(builtins), *_MODULE_NAMES}
    for statement in tree.body:
        defined |= set(bound_names(statement))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imported:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
        if any(name.partition(".")[0] == package for name in names):
            raise ValueError(f"the packed script imports {package} (line {node.lineno})")
    references = References()
    references.visit(tree)
    missing = sorted(references.names - defined)
    if missing:
        raise ValueError(f"the packed script uses {', '.join(missing)}, which nothing defines")
