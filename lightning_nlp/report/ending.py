"""Writes facts.json and the report, however a training ends."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, Trainer

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.data.base import TextDataModule
from lightning_nlp.data.settings import SPLITS
from lightning_nlp.errors import one_line, warn_user
from lightning_nlp.privacy import paths_with_tilde


def report_end(run_dir: Path, facts: dict[str, Any], state: str) -> None:
    """Write facts.json and report.html, or warn; `state` is finished, interrupted or failed."""
    if not (run_dir / "config.yaml").is_file():
        return
    try:
        # imported here, since importing takes time and may fail
        from lightning_nlp.report.page import write_report
        from lightning_nlp.report.run_files import FACTS

        text = json.dumps({"state": state, **paths_with_tilde(facts)}, ensure_ascii=False, indent=1)
        write_whole(run_dir / FACTS, text)
        write_report(run_dir)
    except Exception as error:
        warn_user(
            f"The report of {run_dir} was not written ({type(error).__name__}: {one_line(error)}); to write it later: "
            f"python -m lightning_nlp.report {run_dir}"
        )


def epochs_trained(trainer: Trainer) -> float:
    """How often the training texts were seen; a stream's loader counts that itself."""
    passes: float | None = getattr(trainer.train_dataloader, "passes", None)
    if passes is not None:
        return passes
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    within = batches.processed / max(1, trainer.num_training_batches)
    epochs = round(max(0, trainer.fit_loop.epoch_progress.current.ready - 1) + within, 2)
    return int(epochs) if epochs.is_integer() else epochs


def parts_read(datamodule: LightningDataModule, splits: Iterable[str] = SPLITS) -> dict[str, str]:
    """How much of each split is read, if not all of it: "75 of 300 texts"."""
    if not isinstance(datamodule, TextDataModule):
        return {}
    return {split: part for split in splits if (part := datamodule.part(split)) is not None}
