"""The Trainer of a run."""

from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_nlp.errors import UserError, one_line
from lightning_nlp.run.checkpoint_io import WholeFiles
from lightning_nlp.run.directory import RunDirectory
from lightning_nlp.run.metrics_csv import MetricsCSV
from lightning_nlp.training.hardware import device_name


def training_settings(settings: dict[str, Any], run: RunDirectory) -> dict[str, Any]:
    """A Trainer's arguments, with checkpoints written whole and metrics.csv before the other loggers."""
    plugins = settings["plugins"] or []
    plugins = plugins if isinstance(plugins, list) else [plugins]
    if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        plugins = [*plugins, WholeFiles()]
    metrics_csv = MetricsCSV(run.path / "metrics.csv", run.resumed_step)
    loggers = [metrics_csv, *(settings["logger"] or [])]
    return settings | {"plugins": plugins, "logger": loggers, "default_root_dir": str(run.path)}


def make_trainer(settings: dict[str, Any], callbacks: list[Callback]) -> Trainer:
    """A Trainer with these callbacks besides those in its settings; raises a UserError if that fails."""
    configured = settings["callbacks"] or []
    callbacks = [*(configured if isinstance(configured, list) else [configured]), *callbacks]
    bar = settings["enable_progress_bar"] if not callbacks else any(isinstance(c, ProgressBar) for c in callbacks)
    try:
        return Trainer(**settings | {"callbacks": callbacks, "enable_progress_bar": bar})
    except (ValueError, TypeError, ImportError, RuntimeError, MisconfigurationException) as error:
        arguments = ", ".join(f"{name} {settings[name]}" for name in ("accelerator", "devices", "strategy", "profiler"))
        raise UserError(
            f"The Trainer does not accept these --trainer arguments ({arguments}): {one_line(error)}"
        ) from error


def hardware_of(trainer: Trainer) -> str:
    """The device that a training runs on, and the number of processes."""
    device = device_name(trainer.strategy.root_device.type)
    return device if trainer.world_size == 1 else f"{trainer.world_size} processes of {device}"
