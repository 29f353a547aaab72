import os

import pytest
from hypothesis import HealthCheck, settings

# Tests run side by side on few cores: threads that wait for each other cost many times what they gain. Before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shared machines are slow by turns: how long a draw takes says nothing about the code under test.
settings.register_profile("pgolf", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pgolf")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite goldens, to be read in the diff")
