"""Commands that fetch something, and those that only name a tool that can."""

import pytest

from auditor.network import reaches_out


@pytest.mark.parametrize(
    "command",
    [
        "pip install zstandard",
        "/usr/bin/python -m pip install --quiet brotli",
        "/bin/sh -c curl -O https://example.org/table.bin",
        "git clone https://example.org/x.git",
        "apt-get install -y lrzip",
        "uv pip install numpy",
    ],
)
def test_a_command_that_fetches_reaches_out(command):
    assert reaches_out(command)


@pytest.mark.parametrize("command", ["git rev-parse HEAD", "pip freeze", "nvidia-smi", "gcc -O2 -o gate.so gate.c"])
def test_a_command_that_looks_at_what_is_there_does_not(command):
    assert not reaches_out(command)
