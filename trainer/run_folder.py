"""The files in the folder of a run: `train` writes them, `pack`, `record` and `demo` read them.

Here so that a command that only reads a run need not import the one that trains it.
"""

from __future__ import annotations

SCRIPT_NAME = "train_gpt.py"
LOG_NAME = "train.log"
CONFIG_NAME = "config.json"
ARTIFACT_NAME = "final_model.pgolf"
EVENTS_NAME = "events.jsonl"
CHECKPOINT_FOLDER = "checkpoints"
CURVE_NAME = "loss.svg"
