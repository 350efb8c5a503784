"""Where metrics go besides metrics.csv: W&B, where the configuration asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import yaml
from jsonargparse import Namespace
from lightning import Trainer

from lightning_nlp.callbacks.last_checkpoint import Interrupted
from lightning_nlp.run.metrics_csv import last_step
from lightning_nlp.tracking.logger import WandbLogger, configure_wandb

OURS = f"{WandbLogger.__module__}.{WandbLogger.__name__}"


def is_wandb(class_path: str) -> bool:
    """Whether a logger's `class_path` is the WandbLogger, Lightning's or ours."""
    return class_path.rsplit(".", 1)[-1] in ("WandbLogger", "RunWandbLogger")


def prepare_loggers(config: Namespace, run_dir: Path, *, resumed: bool) -> None:
    """Make `trainer.logger` a list, in place, and give each WandbLogger in it its mode and its directory.

    Args:
        resumed: Whether a training goes on, whose config.yaml names its W&B run.
    """
    found = config.trainer.logger
    if found is True:  # what `fit --help` promises
        name = "TensorBoardLogger" if find_spec("tensorboard") or find_spec("tensorboardX") else "CSVLogger"
        found = Namespace(class_path=f"lightning.pytorch.loggers.{name}", init_args=Namespace(save_dir=None))
    entries = found if isinstance(found, list) else [found] if isinstance(found, Namespace) else []
    earlier = wandb_ids(run_dir) if resumed else []
    for entry in entries:
        if is_wandb(entry.class_path):
            init_args = entry.init_args.as_dict()
            if entry.class_path == OURS:  # out of a run's config.yaml, which is not that of the W&B run to come
                before = Path(init_args["save_dir"])
                own_name = init_args.get("name") != f"{before.parent.name}-{before.name}"
                left = ("id", "skip_before") if own_name else ("id", "skip_before", "name")
                init_args = {name: value for name, value in init_args.items() if name not in left}
            if earlier and init_args.get("id") is None:
                init_args["id"] = earlier.pop(0)
                # metrics.csv has each row first: of its last step W&B may have none, or not all
                init_args["skip_before"] = last_step(run_dir / "metrics.csv") or 0
            if config.get("offline"):
                init_args["mode"] = "offline"
            if config.get("upload_export"):
                init_args["upload_export"] = True
            entry.class_path = OURS
            entry.init_args = Namespace(**configure_wandb(init_args, run_dir))
    config.trainer.logger = entries or False


def wandb_ids(run_dir: Path) -> list[str]:
    """The W&B run ids in a run's config.yaml."""
    config = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    loggers = config["trainer"]["logger"] or []
    return [entry["init_args"]["id"] for entry in loggers if is_wandb(entry["class_path"])]


@contextlib.contextmanager
def ended_loggers(trainer: Trainer) -> Iterator[None]:
    """End W&B's run with the state in which the training ends: finished, preempted or failed."""
    code = 1
    try:
        yield
        code = 0
    except Interrupted as stop:
        code = 128 + stop.number
        raise
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        raise
    finally:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.finish(code)
