"""`cli.py train` that notes the processor time of each step: `python bench/timed_train.py ARGUMENTS`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cli
from bench.step_times import note
from trainer.log import Log


class TimedLog(Log):
    def line(self, text: str, *, console: bool = True) -> None:
        note(text)
        super().line(text, console=console)


if __name__ == "__main__":
    import trainer.pipeline

    trainer.pipeline.Log = TimedLog
    sys.exit(cli.main(["train", *sys.argv[1:]]))
