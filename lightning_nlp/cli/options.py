"""Which of Lightning's own options work here, and what to use instead of the others.

A row is None if the option works; otherwise it completes the sentence that refuses it.
"""

import importlib
import inspect
from pathlib import Path

from jsonargparse import Namespace
from lightning import Trainer

from lightning_nlp.errors import PROGRAM, UserError

Rows = dict[str, str | None]

TRAINER: Rows = {  # all others work
    "barebones": "a run needs the features it disables; --trainer.log_every_n_steps 1000 logs almost nothing",
    "default_root_dir": "a run has its own directory; --runs_dir and --name say where",
    "enable_checkpointing": "the best checkpoint is needed for test and export; leave it out",
    "limit_predict_batches": "`predict` reads all of its --input; give it a shorter one",
    "model_registry": "no model is uploaded there; --upload_export uploads it to W&B",
}

PROGRESS = "a training shows its progress by itself; --trainer.enable_progress_bar false hides it"
AVERAGES = "its average would be neither tested nor exported; give --ema_decay 0.999"
FREEZES = "it needs the network before it is built; give --model.freeze, and thaw in a second fit"
CALLBACKS: Rows = dict.fromkeys(
    "Callback Checkpoint EarlyStopping LearningRateMonitor ModelCheckpoint ModelSummary RichModelSummary".split()
) | {
    "BackboneFinetuning": FREEZES,
    "BaseFinetuning": FREEZES,
    "BasePredictionWriter": f"the Trainer predicts nothing; `{PROGRAM} predict --output FILE` does",
    "BatchSizeFinder": "config.yaml would record another size; give --data.batch_size or --data.tokens_per_batch",
    "DeviceStatsMonitor": "each run logs perf/peak_memory_gib and perf/tokens_per_s; leave it out",
    "EMAWeightAveraging": AVERAGES,
    "GradientAccumulationScheduler": "the schedule counts its steps beforehand; give --trainer.accumulate_grad_batches",
    "LambdaCallback": "a configuration cannot name functions; give a Callback class of your own",
    "LearningRateFinder": "its schedule would not follow; give --model.lr, or try several with configs/sweeps",
    "ModelPruning": "the pruned weights would not be tested; give --model.n_layers, or prune the exported folder",
    "OnExceptionCheckpoint": "last.ckpt exists already; --save_minutes limits its age",
    "ProgressBar": PROGRESS,
    "RichProgressBar": PROGRESS,
    "SpikeDetection": "each run detects non-finite steps; --skip_nonfinite skips some",
    "StochasticWeightAveraging": AVERAGES,
    "ThroughputMonitor": "each run logs perf/tokens_per_s and perf/mfu; --peak_tflops helps with the latter",
    "Timer": "a training that it ends could not be resumed; give --trainer.max_time",
    "TQDMProgressBar": PROGRESS,
    "WeightAveraging": AVERAGES,
}

NOT_TRIED = "it is untested here; give WandbLogger, TensorBoardLogger, MLFlowLogger or CSVLogger"
LOGGERS: Rows = dict.fromkeys("CSVLogger Logger MLFlowLogger TensorBoardLogger WandbLogger".split()) | {
    "CometLogger": NOT_TRIED,
    "LitLogger": NOT_TRIED,
}


def check_options(config: Namespace, *, training: bool) -> None:
    """Raise a UserError for an option that does not work here.

    Args:
        training: Whether it is for `fit`; otherwise options only for training are removed, not refused.
    """
    trainer = config.trainer
    parameters = inspect.signature(Trainer).parameters
    for name, why in TRAINER.items():
        if trainer[name] is False if name == "enable_checkpointing" else trainer[name] != parameters[name].default:
            raise UserError(f"--trainer.{name} {trainer[name]} is refused: {why}.")
    for option, rows in (("callbacks", CALLBACKS), ("logger", LOGGERS)):
        for entry in named_classes(config, option):
            if training and (why := rows.get(row_of(entry, rows))):
                raise UserError(f"--trainer.{option} {entry.class_path.rpartition('.')[2]} is refused: {why}.")
    if not training:
        callbacks = named_classes(config, "callbacks")
        trainer.callbacks = [entry for entry in callbacks if row_of(entry, CALLBACKS) == "Callback"]


def named_classes(config: Namespace, option: str) -> list[Namespace]:
    """The classes named by `trainer.callbacks` or `trainer.logger`, with their arguments."""
    entries = config.trainer.get(option)
    return [entry for entry in (entries if isinstance(entries, list) else [entries]) if isinstance(entry, Namespace)]


def row_of(entry: Namespace, rows: Rows) -> str:
    """The name of a class's row: its own, or that of the nearest of Lightning's classes that it inherits from."""
    module, _, name = entry.class_path.rpartition(".")
    classes = getattr(importlib.import_module(module), name).__mro__
    return next((c.__name__ for c in classes if c.__name__ in rows and c.__module__.startswith("lightning.")), "")


def place_in_run(config: Namespace, run_dir: Path) -> None:
    """Let loggers and ModelCheckpoints write to the run's directory, unless the user names another place."""
    for entry in named_classes(config, "logger"):
        arguments = entry.get("init_args", {})
        if arguments.get("save_dir", "") in (None, "./mlruns"):  # MLFlowLogger's default
            arguments["save_dir"] = str(run_dir / (arguments["save_dir"] or ""))
    for entry in named_classes(config, "callbacks"):
        arguments, kind = entry.get("init_args", {}), row_of(entry, CALLBACKS)
        if kind == "ModelCheckpoint" and arguments.get("dirpath") is None:
            arguments["dirpath"] = str(run_dir / "kept")
        if kind == "EarlyStopping" and str(arguments.get("monitor")).startswith("val/"):
            arguments["check_on_train_epoch_end"] = False  # an epoch may end without a validation
