"""One self-contained script out of the trainer and the settings of a run.

    collect   the modules that the entry, trainer/script.py, needs
    merge     into one module, every name kept or renamed apart
    settings  the run's values become defaults; what is fixed is known
    fold      what is constant becomes its value, branches never taken go
    prune     definitions that are not reached go
    strip     docstrings, comments, annotations and layout go (unless it is for readers)
    shorten   local names and words of errors go too, for the self-extracting form
    wrap      compress, and put a loader in front

Everything works on Python's own syntax trees. Why not on concrete ones, which keep comments: parsing and walking the
trainer's modules takes seconds with them, and a run packs its script each time it starts, to count its bytes. Comments are
carried along instead, for readers. Equal settings give equal bytes with one version of Python; another may write a few
expressions differently, which is why a run keeps the script that it counted.

Imports no torch. Not covered: speed of the script (it is the trainer's).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from trainer.config import Config, RunConfig
from trainer.pack.check import check
from trainer.pack.comments import Comments
from trainer.pack.facts import constant_results, constructed_attributes, remove_constant_parameters
from trainer.pack.fold import Folder, Tidier
from trainer.pack.kinds import Kinds
from trainer.pack.merge import merge
from trainer.pack.modules import Package, collect
from trainer.pack.prune import prune
from trainer.pack.references import begins_with_docstring
from trainer.pack.settings import Settings, drop_unread_fields, narrow_tables, settings_of, specialise
from trainer.pack.shorten import shorten
from trainer.pack.strip import Stripper, squeeze
from trainer.pack.trust import drop_checks
from trainer.pack.walk import walk
from trainer.pack.wrap import Wrapped, choose, wrap

ENTRY = "script"
# What they check is a file that the script wrote itself a moment before, and settings that were right when it was packed.
TRUSTED = ("artifact", "bitpack", "compression", "config", "entropy")
TRAINER = Package("trainer", Path(__file__).parent.parent)


@dataclass(frozen=True)
class Packed:
    """A packed script. `source` is the plain form; the self-extracting ones decode to `shortened`."""

    source: str
    is_readable: bool = False

    @property
    def plain(self) -> bytes:
        """The plain form as it is written to a file."""
        return self.source.encode()

    @cached_property
    def shortened(self) -> str:
        """What the self-extracting forms hold: the same without words for people."""
        return squeeze(shorten(self.source))

    @cached_property
    def forms(self) -> Mapping[str, Wrapped]:
        """The self-extracting forms by the module that they need."""
        return wrap(self.shortened.encode())

    @property
    def self_extracting(self) -> Wrapped:
        """The self-extracting form to ship."""
        return choose(self.forms)


def pack(config: Config, *, readable: bool = False) -> Packed:
    """The script of a run with these settings; ValueError if it cannot be made.

    All seeds of a configuration have one script, on every machine: where data lie, and the seed, are the environment's,
    and what a run is called is nobody's.
    `readable` keeps docstrings, comments, annotations and layout, and every check.
    """
    run = replace(config.run, name="", output="", author="", github_id="", seed=RunConfig().seed)
    data = replace(config.data, path="", tokenizer_path="")
    return _pack(replace(config, run=run, data=data), readable)


@lru_cache(maxsize=8)
def _pack(config: Config, readable: bool) -> Packed:
    return pack_package(TRAINER, ENTRY, settings_of(config), readable=readable)


def pack_package(package: Package, entry: str, settings: Settings, *, readable: bool = False) -> Packed:
    """One script of a module of a package, and of what it needs of the others."""
    comments = Comments() if readable else None
    modules = collect(package, entry, comments)
    for module in modules:
        if module.name in TRUSTED and not readable:
            drop_checks(module.tree)
    modules[-1].external.setdefault("os", "import os")  # for variables of the environment
    tree = merge(modules)
    specialise(tree, settings)
    narrow_tables(tree, settings)
    reduce(tree, settings, for_readers=readable)
    if comments is None:
        source = squeeze(ast.unparse(ast.fix_missing_locations(Stripper().visit(tree))))
    else:
        future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)  # annotations may name what was left out
        tree.body.insert(1 if begins_with_docstring(tree.body) else 0, future)
        source = comments.restore(ast.unparse(ast.fix_missing_locations(tree))) + "\n"
    check(source, package.name)
    return Packed(source, is_readable=readable)


def reduce(tree: ast.Module, settings: Settings, *, for_readers: bool) -> None:
    """Fold and prune in place, until there is nothing left to do."""
    num_nodes = 0
    while (now := sum(1 for _ in walk(tree))) != num_nodes:
        num_nodes = now
        kinds = Kinds(tree)
        drop_unread_fields(tree, prune(tree, kinds, for_readers=for_readers).has_attribute)
        remove_constant_parameters(tree, kinds)
        literals, objects = constructed_attributes(tree, kinds)
        Folder(kinds, literals | settings.fixed, objects, constant_results(tree)).visit(tree)
        Tidier().visit(tree)
