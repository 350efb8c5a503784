"""The end of a training: test, export and report if it finished; a report if it did not."""

import time
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.interrupt import Interrupted
from lightning_nlp.callbacks.last_checkpoint import LastCheckpoint
from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.evaluation.records import DIGITS
from lightning_nlp.export import folder as export
from lightning_nlp.private_api import log_at_last_step
from lightning_nlp.report import summary
from lightning_nlp.report.ending import epochs_trained, parts_read, report_end
from lightning_nlp.run import processes, runs
from lightning_nlp.run.library_errors import resource_errors, smaller_batches
from lightning_nlp.run.trainer import hardware_of
from lightning_nlp.training.hardware import peak_memory_gib


class Ending:
    """The end of a training whose Trainer has the `default_callbacks`; created after its last step.

    Args:
        config: The configuration of `fit`.
        started: Start of the command, as `time.monotonic`.
        since_step: The step from which the training was resumed.
    """

    def __init__(
        self, trainer: Trainer, run_dir: Path, config: Namespace, command: str, started: float, since_step: int
    ) -> None:
        self.trainer, self.run_dir, self.config = trainer, run_dir, config
        self._callbacks: dict[type, Any] = {type(callback): callback for callback in trainer.callbacks}  # type: ignore
        throughput = self._callbacks[Throughput]
        speed = throughput.tokens_per_s
        self.facts: dict[str, Any] = {
            "command": command,
            "epochs": epochs_trained(trainer),  # before the test, which discards a stream's loader
            "steps": trainer.global_step,
            "since_step": since_step,
            "seconds": time.monotonic() - started,
            "tokens_per_s": None if speed is None else speed * trainer.world_size,
            "mfu": throughput.mfu,
            "peak_memory_gib": peak_memory_gib(trainer.strategy.root_device),
            "hardware": hardware_of(trainer),
            "precision": str(trainer.precision),
            "parts": parts_read(trainer.datamodule),  # type: ignore[attr-defined]
            "ema_decay": config.ema_decay,
        }

    def report(self, state: str) -> None:
        """Write the facts and the report, on the main process; `state` is finished, interrupted or failed."""
        if self.trainer.is_global_zero:
            report_end(self.run_dir, self.facts, state)

    def finish(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        """Test the best checkpoint, export it, and report; report too if that fails."""
        cure = partial(smaller_batches, self.config.data.init_args, self.trainer.accumulate_grad_batches)
        try:
            with processes.lost_process_errors(), resource_errors(cure):
                self._finish(model, datamodule)
        except SystemExit as stop:  # a signal
            self.report("interrupted")
            last, number = self._callbacks[LastCheckpoint].checkpoint, int(stop.code or 0) - 128
            raise Interrupted(last, self.trainer.global_step, number) from None
        except BaseException:
            self.report("failed")
            raise

    def _finish(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        trainer, run_dir = self.trainer, self.run_dir
        best = self._best_checkpoint()
        step = int(runs.load_checkpoint(best)["global_step"])
        log_at_last_step(trainer)
        rank_zero_info("Testing the best checkpoint; export and report follow.")
        (metrics,) = trainer.test(model, datamodule=datamodule, ckpt_path=str(best), weights_only=True, verbose=False)
        self.facts |= {
            "checkpoint": str(best.relative_to(run_dir.resolve())),
            "checkpoint_step": step,
            "validation": self._best_score(),
            "test": metrics,
            "peak_memory_gib": peak_memory_gib(trainer.strategy.root_device),
        }
        if trainer.is_global_zero:
            others = self._callbacks.keys() - {LambdaCallback}
            suspects = sorted(kind.__name__ for kind in others if not kind.__module__.startswith("lightning_nlp."))
            calibrated = self.config.calibrate
            export.export_run(model, datamodule, run_dir, self.facts, calibrated=calibrated, suspects=suspects)
            self.report("finished")
            if not self.config.quiet:
                summary.print_summary(run_dir, self.facts)
        for logger in trainer.loggers:
            logger.finalize("success")

    def _best_checkpoint(self) -> Path:
        last, best = self._callbacks[LastCheckpoint].checkpoint, self._callbacks[BestCheckpoint]
        path = last.parent.resolve() / runs.BEST
        if best.monitor is None or not best.best_model_path:  # no validation has chosen one
            if processes.is_main_process():
                write_whole(path, last.read_bytes())
            self.trainer.strategy.barrier()
        return path

    def _best_score(self) -> dict[str, float]:
        """The metric that chose the best checkpoint, if one did, rounded as in the evaluations' records."""
        best = self._callbacks[BestCheckpoint]
        if best.best_model_score is None or best.monitor is None:
            return {}
        return {best.monitor: round(float(best.best_model_score), DIGITS)}
