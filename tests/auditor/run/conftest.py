from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from auditor.run.runner import Limits
from auditor.run.session import Session, open_session
from auditor.run.world import World, toy_world
from auditor.submission.locate import locate
from tests.auditor.run import endings

_CHILD = Path(__file__).parents[3] / "auditor" / "run" / "child"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The usual toy world."""
    return toy_world(1024, False, tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Session]:
    """A session of the toy script with an ending, as so many ranks."""
    cache_folder = tmp_path_factory.mktemp("worlds")

    @cache
    def session(ending: str, num_ranks: int = 1) -> Session:
        folder = tmp_path_factory.mktemp("submission")
        (folder / "train_gpt.py").write_text(endings.BASE + ending, encoding="utf-8")
        return open_session(next(locate(folder)), cache_folder, Path(sys.executable), Limits(), num_ranks)

    return session


@pytest.fixture(scope="session")
def child_module() -> Callable[[str], ModuleType]:
    """Load a module of the audited child by itself, as nothing may import it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"_{name}_under_test", _CHILD / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
