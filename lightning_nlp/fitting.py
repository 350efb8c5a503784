"""One training: its callbacks, the fit, and at the end the test, the export and the report."""

import os
import time
import traceback
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import Namespace
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.divergence import Divergence
from lightning_nlp.callbacks.early_stopping import EarlyStop
from lightning_nlp.callbacks.evaluation import Evaluation
from lightning_nlp.callbacks.last_checkpoint import Interrupted, LastCheckpoint
from lightning_nlp.callbacks.nonfinite import NonFiniteSteps, NotFinite
from lightning_nlp.callbacks.progress import progress_callbacks
from lightning_nlp.callbacks.random_state import RandomState
from lightning_nlp.callbacks.resume_position import ResumePosition
from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.data.base import TextDataModule
from lightning_nlp.errors import UserError, lightning_errors, memory_errors, smaller_batches
from lightning_nlp.inspection.data_facts import DataFacts
from lightning_nlp.private_api import log_at_last_step
from lightning_nlp.report.ending import epochs_trained, hardware_of, parts_read, report_end
from lightning_nlp.run import processes, runs
from lightning_nlp.run.directory import RunDirectory, trained_on
from lightning_nlp.training.hardware import peak_memory_gib

Kind = TypeVar("Kind", bound=Callback)


def default_callbacks(
    run_dir: str | Path,
    *,
    best: BestCheckpoint | None = None,
    early_stopping: EarlyStop | None = None,
    save_minutes: float = 10.0,
    max_time: str | timedelta | dict[str, int] | None = None,
    skip_nonfinite: int = 0,
    peak_tflops: float | None = None,
    probes: list[str] | None = None,
    ema_decay: float | None = None,
    progress: bool = False,
) -> list[Callback]:
    """The callbacks of every run, for any Trainer.

    They give exact resume from `checkpoints/last.ckpt`, also after a signal; the best checkpoint; a stop at losses or
    gradients that are not finite; throughput; warnings about the data; a record of each evaluation.

    Args:
        run_dir: The folder that they write to; it is made if there is none.
        best: None chooses by the lowest val/loss.
        early_stopping: None stops after three validations without a lower val/loss.
        save_minutes: Write last.ckpt when it is this old, besides after each validation.
        max_time: How long this process may train, as Lightning's `max_time`; then it saves and raises `Interrupted`.
        skip_nonfinite: Skip up to this many steps whose loss or gradient is not finite, instead of stopping at the
            first.
        peak_tflops: Dense TFLOP/s of one device, for perf/mfu; null looks up the usual GPUs, and measures a CPU.
        probes: Sentences with [MASK] that a masked language model fills at each validation and in the end.
        ema_decay: Validate, test and export a moving average of the weights with this decay a step, e.g. 0.999.
        progress: A bar on a terminal, plain lines elsewhere, in place of Lightning's bar.
    """
    folder = Path(run_dir)
    if processes.is_main_process():  # another one may come here after a failure has removed it
        folder.mkdir(parents=True, exist_ok=True)
    best = best or BestCheckpoint()
    best.dirpath = os.path.realpath(folder / "checkpoints")
    callbacks = [
        early_stopping or EarlyStop(),
        best,
        ResumePosition(),
        DataFacts(folder),
        NonFiniteSteps(folder / "nonfinite", skip_nonfinite),
        Divergence(),
        Throughput(peak_tflops),
        RandomState(),
        Evaluation(folder / "evaluation", best, probes),
        LastCheckpoint(folder / "checkpoints" / runs.LAST, save_minutes, max_time),
    ]
    if ema_decay is not None:
        from lightning_nlp.callbacks.ema import WeightAverage

        callbacks.append(WeightAverage(ema_decay))
    return [*callbacks, *progress_callbacks(best, enabled=progress)]


@dataclass(eq=False)
class Training:
    """Trains, tests the best checkpoint, exports it, and sums up; the run's directory has a report however it ends.

    Args:
        trainer: With the `default_callbacks`.
        config: The configuration of `fit`.
        started: When the program started, by `time.monotonic`.
    """

    trainer: Trainer
    run: RunDirectory
    config: Namespace
    command: str
    started: float
    _since_step: int = 0
    _epochs: float | None = None
    _measured: dict[str, Any] = field(default_factory=dict)  # counts without an export too

    def fit(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        """Do it all.

        Raises:
            UserError: If it ended by what the user can cure.
            Interrupted: If a signal or the time limit ended it, and it is saved.
            NotFinite: If the loss or gradient of a step was not finite.
            ProcessLost: If another process of the training has ended.
        """
        trainer, last = self.trainer, self._callback(LastCheckpoint)
        if self.config.ckpt_path is not None:  # before last.ckpt is replaced
            self._since_step = int(runs.load_checkpoint(Path(self.config.ckpt_path))["global_step"])
        rank_zero_info(f"{type(model).__name__} on {hardware_of(trainer)}, {trainer.precision}, in {self.run.path}")
        try:
            if isinstance(datamodule, TextDataModule):
                datamodule.go_on_from(trained_on(self.config.ckpt_path))
                # not by Lightning, where the other processes would wait in a collective, with its time limit
                datamodule.folder = Path(processes.once("data", lambda: prepared(datamodule), on_node=True))
            with lightning_errors(), processes.lost_process_errors(), memory_errors(self._smaller_batches):
                trainer.fit(model, datamodule=datamodule, ckpt_path=self.config.ckpt_path, weights_only=True)
            if last.requested and last.checkpoint.is_file():  # requested after the last step
                raise Interrupted(last.checkpoint, trainer.global_step, last.requested)
        except NotFinite:
            self._report_end("failed")
            raise  # the run's directory holds the step
        except BaseException as error:
            if trainer.global_step == 0 or isinstance(error, UserError | SystemExit):
                self.run.undo()
            if not isinstance(error, SystemExit):  # which is a second signal: leave at once
                self._report_end("interrupted" if isinstance(error, Interrupted) else "failed")
            raise
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            if processes.is_main_process():
                runs.discard(self.run.path)
            return
        try:
            with processes.lost_process_errors(), memory_errors(self._smaller_batches):
                self._finish(model, datamodule)
        except SystemExit as stop:
            self._report_end("interrupted")
            raise Interrupted(last.checkpoint, trainer.global_step, int(stop.code or 0) - 128) from None
        except BaseException:
            self._report_end("failed")
            raise

    def _callback(self, kind: type[Kind]) -> Kind:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return next(callback for callback in callbacks if isinstance(callback, kind))

    def _finish(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        from lightning_nlp.export.folder import export_run
        from lightning_nlp.report.summary import print_summary

        trainer, run_dir = self.trainer, self.run.path
        # before the test, which drops a stream's loader
        self._epochs, seconds = epochs_trained(trainer), time.monotonic() - self.started
        best = self._best_checkpoint()
        step = int(runs.load_checkpoint(best)["global_step"])
        log_at_last_step(trainer)
        rank_zero_info("Testing the best checkpoint; then come the export and the report.")
        (metrics,) = trainer.test(model, datamodule=datamodule, ckpt_path=str(best), weights_only=True, verbose=False)
        self._measured = {
            "checkpoint": str(best.relative_to(run_dir.resolve())),
            "checkpoint_step": step,
            "validation": self._best_score(step),
            "test": metrics,
        }
        facts = self._facts(seconds)
        if trainer.is_global_zero:
            others = [type(callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
            suspects = [other.__name__ for other in others if not other.__module__.startswith("lightning_nlp.")]
            export_run(model, datamodule, run_dir, facts, calibrated=self.config.calibrate, suspects=suspects)
            report_end(run_dir, facts, "finished")
            if not self.config.quiet:
                print_summary(run_dir, facts)
        for logger in trainer.loggers:
            logger.finalize("success")

    def _facts(self, seconds: float) -> dict[str, Any]:
        trainer, throughput = self.trainer, self._callback(Throughput)
        speed = throughput.tokens_per_s
        return {
            "command": self.command,
            "epochs": epochs_trained(trainer) if self._epochs is None else self._epochs,
            "steps": trainer.global_step,
            "since_step": self._since_step,
            "seconds": seconds,
            "tokens_per_s": None if speed is None else speed * trainer.world_size,
            "mfu": throughput.mfu,
            "peak_memory_gib": peak_memory_gib(trainer.strategy.root_device),
            "hardware": hardware_of(trainer),
            "precision": str(trainer.precision),
            "parts": parts_read(trainer.datamodule),  # type: ignore[attr-defined]
            "ema_decay": self.config.ema_decay,
            **self._measured,
        }

    def _report_end(self, state: str) -> None:
        """Report a training that took a step but did not finish."""
        trainer = self.trainer
        if trainer.global_step and trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            report_end(self.run.path, self._facts(time.monotonic() - self.started), state)

    def _best_checkpoint(self) -> Path:
        last, best = self._callback(LastCheckpoint).checkpoint, self._callback(BestCheckpoint)
        path = last.parent.resolve() / runs.BEST
        if best.monitor is None or not best.best_model_path:  # nothing to choose by
            if processes.is_main_process():
                write_whole(path, last.read_bytes())
            self.trainer.strategy.barrier()
        return path

    def _best_score(self, step: int) -> dict[str, float]:
        """The validation's result that the best checkpoint was chosen by, if it was."""
        from lightning_nlp.predict.calibration import read_record

        best = self._callback(BestCheckpoint)
        if best.best_model_score is None or best.monitor is None:
            return {}
        record = read_record(self.run.path, f"val-{step:08d}") or {"metrics": {}}
        found = record["metrics"].get(best.monitor.removeprefix("val/"))
        score = best.best_model_score if found is None else found  # a user's own module leaves no record
        return {best.monitor: float(score)}

    def _smaller_batches(self, error: RuntimeError) -> str:
        modules = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
        training = "lightning.pytorch.loops.evaluation_loop" not in modules  # trainer.training is reset by now
        return smaller_batches(self.config.data.init_args, self.trainer.accumulate_grad_batches if training else None)


def prepared(datamodule: TextDataModule) -> str:
    """Prepare the data, and return their folder."""
    datamodule.prepare_data()
    return str(datamodule.folder)
