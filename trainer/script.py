"""The run of a packed script: what `pgolf train` does, without what only a person at a terminal needs.

`pgolf pack` makes one file of this module and whatever it needs of the others, with the settings of a run as the defaults
of `Config`. So this module holds nothing that the pipeline does not do in the same order; it leaves out what the pipeline
adds: resuming, checkpoints, events, the progress bar, the loss curve and the record. Files go where the contest's reference
puts them: the log into logs/, the artifact beside it.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from trainer.config import Config
from trainer.distributed import is_main, process_group
from trainer.evaluate import Evaluator
from trainer.pipeline import apply_average, build_model, evaluate_saved, log_settings, new_loader, open_folder
from trainer.serialize import quantization_label, write_artifact
from trainer.train import Trainer


class ScriptLog:
    """Lines to a file and to standard output; to neither without a path."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def line(self, text: str, *, console: bool = True) -> None:
        """One line to the file and the console."""
        if self.path is None:
            return
        with self.path.open("a", encoding="utf-8") as file:
            print(text, file=file)
        if console:
            print(text, flush=True)

    @property
    def num_bytes(self) -> int:
        """Size of the file so far; 0 without one."""
        return 0 if self.path is None else self.path.stat().st_size


def main(config: Config) -> None:
    """Train, quantise, reload and evaluate. ValueError for settings and data that do not fit."""
    with process_group(config.run.device) as device:
        log = ScriptLog(_log_path() if is_main() else None)
        data = open_folder(config, Path(config.data.path), Path(config.data.tokenizer_path))
        evaluator = Evaluator(data.validation, data.table, config.eval, device=device)
        model = build_model(config, device)
        trainer = Trainer(config, model, lambda: new_loader(config, data), log, validate=lambda: evaluator.full_pass(model))
        log_settings(log, config, data, model)
        trainer.run()
        apply_average(trainer, log)
        path = Path(f"final_model.{quantization_label(config)}.ptz")
        saved = None
        if is_main():
            code_bytes = Path(__file__).stat().st_size
            saved = write_artifact(
                path, config, model, trainer.loader, log,
                elapsed_seconds=trainer.elapsed_seconds, code_bytes=code_bytes,
            )  # fmt: skip
        evaluate_saved(path, saved, trainer, evaluator, log)


def _log_path() -> Path:
    folder = Path("logs")
    folder.mkdir(exist_ok=True)
    return folder / f"{os.environ.get('RUN_ID', uuid.uuid4())}.txt"


if __name__ == "__main__":
    main(Config())
