"""The callbacks of every training."""

import os
import sys
from datetime import timedelta
from pathlib import Path

from lightning import Callback
from lightning.pytorch.callbacks import LambdaCallback

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.divergence import Divergence
from lightning_nlp.callbacks.early_stopping import EarlyStop
from lightning_nlp.callbacks.evaluation import Evaluation
from lightning_nlp.callbacks.last_checkpoint import LastCheckpoint
from lightning_nlp.callbacks.nonfinite import NonFiniteSteps
from lightning_nlp.callbacks.outlook import check_monitors
from lightning_nlp.callbacks.progress import PlainProgress, Plan
from lightning_nlp.callbacks.random_state import RandomState
from lightning_nlp.callbacks.resume_position import ResumePosition
from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.inspection.data_facts import write_data_facts
from lightning_nlp.run import processes, runs


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
    """Create the callbacks of every run, for any Trainer.

    They provide exact resume from `checkpoints/last.ckpt`, also after a signal; the best checkpoint; a stop at
    non-finite losses or gradients; throughput; warnings about the data; a record of each evaluation.

    Args:
        run_dir: The folder that they write to; created if missing.
        best: None chooses the lowest val/loss.
        early_stopping: None stops after three validations without improvement of val/loss.
        save_minutes: Write last.ckpt this often, besides after each validation.
        max_time: How long this process may train, like Lightning's `max_time`; it then saves and raises `Interrupted`.
        skip_nonfinite: Skip up to this many steps whose loss or gradient is not finite, instead of stopping at the
            first.
        peak_tflops: Dense TFLOP/s of one device, for perf/mfu; null looks up common GPUs and measures a CPU.
        probes: Sentences with [MASK] that a masked language model fills at each validation and at the end.
        ema_decay: Validate, test and export a moving average of the weights with this decay a step, e.g. 0.999.
        progress: A bar on a terminal, plain lines elsewhere, instead of Lightning's bar.
    """
    folder = Path(run_dir)
    if processes.is_main_process():  # another process may get here after a failure has removed it
        folder.mkdir(parents=True, exist_ok=True)
    best = best or BestCheckpoint()
    best.dirpath = os.path.realpath(folder / "checkpoints")
    callbacks = [
        early_stopping or EarlyStop(),
        best,
        ResumePosition(),
        LambdaCallback(on_fit_start=lambda trainer, _: write_data_facts(trainer, folder)),
        LambdaCallback(on_fit_start=check_monitors),
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
    return [*callbacks, *(progress_callbacks(best) if progress else [])]


def progress_callbacks(best: BestCheckpoint) -> list[Callback]:
    """What shows a training's progress: one line before it, then a bar if stderr is a terminal, else plain lines."""
    plan = Plan(best)
    if not sys.stderr.isatty():
        return [plan, PlainProgress(plan)]
    from lightning_nlp.callbacks.progress_bar import Progress

    return [plan, Progress(plan)]
