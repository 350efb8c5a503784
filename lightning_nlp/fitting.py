"""One `fit`, from its first step to its report."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.last_checkpoint import Interrupted, LastCheckpoint
from lightning_nlp.callbacks.nonfinite import NotFinite
from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.data.base import TextDataModule
from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.errors import UserError, lightning_errors, memory_errors
from lightning_nlp.export.folder import export_run
from lightning_nlp.predict.calibration import read_record
from lightning_nlp.report.ending import report_end
from lightning_nlp.report.summary import print_summary
from lightning_nlp.run import processes, runs
from lightning_nlp.run.directory import RunDirectory
from lightning_nlp.training.hardware import device_name, peak_memory_gib


@dataclass(eq=False)
class Training:
    """Trains, tests the best checkpoint, exports it, and sums up; whatever the end, the run's directory tells of it.

    Attributes:
        started: When the program started, as `time.monotonic` counts.
    """

    trainer: Trainer
    run: RunDirectory
    config: Namespace
    command: str
    started: float
    throughput: Throughput
    last: LastCheckpoint
    best: BestCheckpoint
    _passes: int | None = None
    _since_step: int = 0

    def fit(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Do it all; the last line on stdout is the run's directory.

        Raises:
            UserError: If the user can cure what ended it.
            Interrupted: If a signal or the time limit did, and the training is saved.
            NotFinite: If a step did whose loss or gradient is not finite.
            PeerLost: If another process of the training has ended.
        """
        trainer = self.trainer
        if self.config.ckpt_path is not None:  # before last.ckpt is written anew
            self._since_step = int(runs.load_checkpoint(Path(self.config.ckpt_path))["global_step"])
        rank_zero_info(f"{type(model).__name__} on {self._hardware()}, {trainer.precision}, in {self.run.path}")
        try:
            if isinstance(datamodule, TextDataModule):
                datamodule.go_on_from(self.run.trained_on)
                # not by Lightning, where the other processes would wait in a collective, with its time limit
                datamodule.folder = Path(processes.first("data", lambda: prepared(datamodule), on_node=True))
            with lightning_errors(), processes.lost_peers(), memory_errors(self._smaller_batches):
                trainer.fit(model, datamodule=datamodule, **kwargs)
            if self.last.requested and self.last.checkpoint.is_file():  # after the very last step
                raise Interrupted(self.last.checkpoint, trainer.global_step, self.last.requested)
        except NotFinite:
            self._report_end("failed")
            raise  # the run's directory holds the step
        except BaseException as error:
            if trainer.global_step == 0 or isinstance(error, UserError | SystemExit):
                self.run.undo()
            if not isinstance(error, SystemExit):  # a second signal wants to be out at once
                self._report_end("interrupted" if isinstance(error, Interrupted) else "failed")
            raise
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            if processes.is_first():
                runs.discard(self.run.path)
            return
        try:
            with processes.lost_peers(), memory_errors(self._smaller_batches):
                self._finish(model, datamodule, time.monotonic() - self.started)
        except SystemExit as stop:
            self._report_end("interrupted")
            raise Interrupted(self.last.checkpoint, trainer.global_step, int(stop.code or 0) - 128) from None
        except BaseException:
            self._report_end("failed")
            raise

    def _finish(self, model: LightningModule, datamodule: LightningDataModule, fit_seconds: float) -> None:
        trainer, run_dir = self.trainer, self.run.path
        self._epochs()
        best = self._best_checkpoint()
        step = int(runs.load_checkpoint(best)["global_step"])
        # what the test is logged at; after a resume with nothing left to train, Lightning's are too low
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        trainer.fit_loop.epoch_progress.current.completed = trainer.fit_loop.epoch_progress.current.ready
        (metrics,) = trainer.test(model, datamodule=datamodule, ckpt_path=str(best), weights_only=True, verbose=False)
        facts = {
            **self._facts(fit_seconds),
            "checkpoint": str(best.relative_to(run_dir.resolve())),
            "checkpoint_step": step,
            "validation": self._best_score(step),
            "test": metrics,
        }
        if trainer.is_global_zero:
            others = [type(callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
            suspects = [other.__name__ for other in others if not other.__module__.startswith("lightning_nlp.")]
            export_run(model, datamodule, run_dir, facts, calibrated=self.config.calibrate, suspects=suspects)
            report_end(run_dir, facts, "finished")
            if not self.config.quiet:
                print_summary(run_dir, facts)
        for logger in trainer.loggers:
            logger.finalize("success")
        if trainer.is_global_zero:
            print(run_dir, flush=True)

    def _smaller_batches(self, error: RuntimeError) -> str:
        modules = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
        training = "lightning.pytorch.loops.evaluation_loop" not in modules  # the Trainer itself has forgotten
        accumulated = self.trainer.accumulate_grad_batches if training else None
        cure = smaller_batches(self.config.data.init_args, accumulated)
        return f"{cure}, with --ckpt_path last to go on" if self.last.checkpoint.is_file() else cure

    def _hardware(self) -> str:
        device = device_name(self.config.trainer.accelerator)
        world_size = self.trainer.world_size
        return device if world_size == 1 else f"{world_size} processes of {device}"

    def _epochs(self) -> float:
        """How often the training texts were seen; of a stream its loader knows, which the test takes away."""
        self._passes = getattr(self.trainer.train_dataloader, "passes", self._passes)
        if self._passes is not None:
            return self._passes
        loop = self.trainer.fit_loop
        batches: Any = loop.epoch_loop.batch_progress.current
        within = batches.processed / max(1, self.trainer.num_training_batches)
        epochs = round(max(0, loop.epoch_progress.current.ready - 1) + within, 2)
        return int(epochs) if epochs.is_integer() else epochs

    def _facts(self, seconds: float) -> dict[str, Any]:
        speed = self.throughput.tokens_per_s
        return {
            "command": self.command,
            "epochs": self._epochs(),
            "steps": self.trainer.global_step,
            "since_step": self._since_step,
            "seconds": seconds,
            "tokens_per_s": None if speed is None else speed * self.trainer.world_size,
            "mfu": self.throughput.mfu,
            "peak_memory_gib": peak_memory_gib(self.trainer.strategy.root_device),
            "hardware": self._hardware(),
            "precision": str(self.trainer.precision),
            "parts": parts_read(self.trainer.datamodule),  # type: ignore[attr-defined]
            "ema_decay": self.config.ema_decay,
        }

    def _report_end(self, state: str) -> None:
        """Of a training that has not come to its end, if it has come to a step and its directory is still there."""
        trainer = self.trainer
        if trainer.global_step and trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            report_end(self.run.path, self._facts(time.monotonic() - self.started), state)

    def _best_checkpoint(self) -> Path:
        path = self.last.checkpoint.parent.resolve() / runs.BEST
        if self.best.monitor is None or not self.best.best_model_path:  # there was nothing to choose by
            if processes.is_first():
                write_whole(path, self.last.checkpoint.read_bytes())
            self.trainer.strategy.barrier()
        return path

    def _best_score(self, step: int) -> dict[str, float]:
        """What the validation gave at the step of the best checkpoint, if it was chosen by one."""
        score, monitor = self.best.best_model_score, self.best.monitor
        if score is None or monitor is None:
            return {}
        record = read_record(self.run.path, f"val-{step:08d}") or {"metrics": {}}
        found = record["metrics"].get(monitor.removeprefix("val/"))
        return {monitor: float(score if found is None else found)}  # another's module leaves no record


def parts_read(datamodule: LightningDataModule, splits: Iterable[str] = SPLITS) -> dict[str, str]:
    """Of the splits that are not read whole, how much is: "75 of 300 texts"."""
    if not isinstance(datamodule, TextDataModule):
        return {}
    return {split: part for split in splits if (part := datamodule.part(split)) is not None}


def smaller_batches(settings: Namespace, accumulated: int | None = None) -> str:
    """The arguments that halve a batch, in training with as many examples a step as before.

    Args:
        accumulated: `trainer.accumulate_grad_batches`; None for an evaluation, whose batches may have another
            size.
    """
    size, least, name = settings.get("tokens_per_batch"), settings.get("max_length") or 1, "tokens_per_batch"
    if size is None:
        size, least, name = settings.get("batch_size") or 1, 1, "batch_size"
        if accumulated is None:
            size, name = settings.get("eval_batch_size") or 2 * size, "eval_batch_size"
    if size // 2 < least:
        return "a lower --data.max_length, since a batch is one text already"
    steps = f" and --trainer.accumulate_grad_batches {2 * accumulated}" if accumulated else ""
    return f"--data.{name} {size // 2}{steps}"


def prepared(datamodule: TextDataModule) -> str:
    """Prepare the data, and name the folder that they are in."""
    datamodule.prepare_data()
    return str(datamodule.folder)
