from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

_CHILD = Path(__file__).parents[3] / "auditor" / "run" / "child"


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
