"""Prepares the configured loggers, above all W&B's; metrics.csv comes on top."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import yaml
from jsonargparse import Namespace
from lightning import Trainer

from lightning_nlp.callbacks.interrupt import Interrupted
from lightning_nlp.run.metrics_csv import last_step
from lightning_nlp.tracking.logger import WandbLogger, configure_wandb

OURS = f"{WandbLogger.__module__}.{WandbLogger.__name__}"


def is_wandb(class_path: str) -> bool:
    """Whether a logger's `class_path` is the WandbLogger, Lightning's or ours."""
    return class_path.rsplit(".", 1)[-1] in ("WandbLogger", "RunWandbLogger")


def prepare_loggers(config: Namespace, run_dir: Path, *, resumed: bool) -> None:
    """Make `trainer.logger` a list, in place, with a mode, a directory and a W&B run for each WandbLogger."""
    wanted = config.trainer.logger
    if wanted is True:  # as `fit --help` promises
        name = "TensorBoardLogger" if find_spec("tensorboard") or find_spec("tensorboardX") else "CSVLogger"
        wanted = Namespace(class_path=f"lightning.pytorch.loggers.{name}", init_args=Namespace(save_dir=None))
    entries = wanted if isinstance(wanted, list) else [wanted] if wanted else []
    earlier = []
    if resumed:  # the ids of the run's W&B runs
        before = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))["trainer"]["logger"] or []
        earlier = [logger["init_args"]["id"] for logger in before if is_wandb(logger["class_path"])]
    for entry in entries:
        if not is_wandb(entry.class_path):
            continue
        init_args = entry.init_args.as_dict()
        if entry.class_path == OURS:  # copied from another run's config.yaml, with that run's W&B id
            other = Path(init_args["save_dir"])
            if init_args.get("name") == f"{other.parent.name}-{other.name}":
                init_args["name"] = None
            init_args |= {"id": None, "skip_before": None}
        if earlier and init_args.get("id") is None:
            init_args["id"] = earlier.pop(0)
            # metrics.csv receives each row first: W&B may lack part of the last step
            init_args["skip_before"] = last_step(run_dir / "metrics.csv") or 0
        if config.get("offline"):
            init_args["mode"] = "offline"
        if config.get("upload_export"):
            init_args["upload_export"] = True
        entry.class_path, entry.init_args = OURS, Namespace(**configure_wandb(init_args, run_dir))
    config.trainer.logger = entries or False


@contextlib.contextmanager
def ended_loggers(trainer: Trainer) -> Iterator[None]:
    """End W&B's run with the training's final state: finished, preempted or failed."""
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
