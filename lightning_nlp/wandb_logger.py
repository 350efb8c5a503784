"""W&B, where neither its server nor its absence may stop or slow a training."""

from __future__ import annotations

import atexit
import logging
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only

from lightning_nlp.errors import UserError, one_line

# W&B waits for a minute and a half at the start, and without end at the finish. What it collects beside the metrics
# (command line, user, host, paths, what is printed) is of the machine, and goes where the run is published.
WANDB_SETTINGS = {
    "init_timeout": 20.0,
    "finish_timeout": 30.0,
    "finish_timeout_raises": True,
    "x_disable_meta": True,
    "console": "off",
    "disable_git": True,
}


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, which neither stops nor holds up a training where its server fails.

    What is logged goes to files in the run's directory first, and is sent from there by a process of W&B's own. A
    server that is away at the start leaves the run offline, and one that is away at the end is not waited for.

    Args:
        skip_before: Steps before this one, numbered from 0, are not logged: a run that was killed had sent them, and a
            resume trains those after its checkpoint again.
        **kwargs: Those of Lightning's; `settings` goes over `WANDB_SETTINGS`.
    """

    def __init__(self, skip_before: int = 0, **kwargs: Any) -> None:
        self._skip_before = skip_before
        kwargs["settings"] = WANDB_SETTINGS | dict(kwargs.get("settings") or {})
        super().__init__(**kwargs)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, begun at the first use."""
        import wandb

        if self._experiment is None and self._wandb_init.get("mode") == "online":
            try:
                run = super().experiment
                atexit.register(self.finish)  # runs before W&B's own, which says nothing
                return run
            except wandb.errors.CommError as error:  # reached at the login, and not any more
                wandb.teardown()  # else its process takes the run's id for one in use
                self._wandb_init["mode"] = "offline"
                rank_zero_info(offline_notice(f"the server failed ({one_line(error)[:200]})", self._save_dir))
        return super().experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless it was done before a resume."""
        if step is None or step >= self._skip_before:
            super().log_metrics(metrics, step)

    def finish(self) -> None:
        """End an online run; if the server does not take all of it within a time, say how to send it."""
        if self._experiment is None:
            return
        try:
            self._experiment.finish()
        except TimeoutError:
            rank_zero_info(
                "W&B: the server did not take all of this run. To send it later: "
                f"`wandb sync --no-skip-online {self._save_dir}/wandb/run-*`."
            )


def offline_notice(reason: str, run_dir: Any) -> str:
    """What is said where a run that was to be online is not."""
    return (
        f"W&B: {reason}, so this run is kept offline. To send it later: `wandb login`, then "
        f"`wandb sync {run_dir}/wandb/offline-run-*`."
    )


def configure_wandb(init_args: dict[str, Any], run_dir: Path, *, timeout_s: float = 15.0) -> dict[str, Any]:
    """Arguments for a WandbLogger that never asks for a key and never waits for long.

    Without a login, or without an answer from the server, the run is offline, said in one line; a key that is refused
    is an error, before any data is prepared.

    Args:
        init_args: The arguments from the configuration; those that are None are left out, since as explicit arguments
            they would override what WandbLogger itself sets (`resume="allow"` above all).
        run_dir: The run's directory; W&B's own files go to its `wandb/`.
        timeout_s: How long to wait for the server at the start, in seconds.

    Returns:
        The arguments to use; they name a run id, so that a resumed training continues the same W&B run.

    Raises:
        UserError: If the login is refused.
    """
    import wandb

    logging.getLogger("wandb").setLevel(logging.WARNING)  # its debug.log would name the user's folders
    arguments = {name: value for name, value in init_args.items() if value is not None}
    arguments.setdefault("name", f"{run_dir.parent.name}-{run_dir.name}")
    arguments.setdefault("id", secrets.token_hex(4))
    arguments.setdefault("resume", "allow")
    arguments["save_dir"] = str(run_dir)
    settings = wandb.setup().settings
    mode = "offline" if arguments.get("offline") else arguments.get("mode") or settings.mode
    if mode == "online":
        try:
            reason = None if wandb.login(prompt=False, verify=True, timeout=int(timeout_s)) else "no login"
        except Exception as error:  # AuthenticationError whatever happened, CommError, and what lies beneath them
            if not isinstance(error, wandb.errors.CommError) or re.search(r"returned error 4\d\d", str(error)):
                raise UserError(
                    f"W&B at {settings.base_url} refused the login ({one_line(error)}): check WANDB_API_KEY, "
                    "run `wandb login`, or train without it (WANDB_MODE=offline)."
                ) from error
            reason = f"{settings.base_url} does not answer"
        if reason is not None:
            mode = "offline"
            rank_zero_info(offline_notice(reason, run_dir))
    arguments["mode"] = mode
    return arguments
