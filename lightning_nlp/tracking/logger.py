"""A W&B logger whose server, even if absent, can neither stop nor slow a training."""

import atexit
import logging
import os
import re
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only

from lightning_nlp.callbacks.interrupt import HANGUP, TIME_LIMIT
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.run.environment import run_config
from lightning_nlp.run.metrics_csv import read_rows
from lightning_nlp.tasks import METRICS, TASKS

# By default W&B waits 90 s at the start and without limit at the end, and publishes the command line, user, host,
# paths and output with the run.
WANDB_SETTINGS = {
    "init_timeout": 20.0,
    "finish_timeout": 30.0,
    "finish_timeout_raises": True,
    "x_disable_meta": True,
    "console": "off",
    "disable_git": True,
}

STEP = "trainer/global_step"  # the x axis of Lightning's logger
# How W&B words a refusal; any other failure counts as a server that does not answer.
REFUSED = re.compile(r"returned error 4\d\d|not logged in|api.?key|unauthori[sz]ed|forbidden|permission", re.IGNORECASE)
SHIPPED_PROJECT = "lightning_nlp"  # in the yaml files; WANDB_PROJECT overrides it
PREEMPTED = (128 + signal.SIGTERM, 128 + HANGUP, 128 + TIME_LIMIT)


class RunWandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, but a failing server neither stops nor delays a training.

    Everything is written to the run's directory first, and a W&B process sends it from there. Without a server at
    the start the run is offline. Its configuration is config.yaml, with the commit, versions, hardware and data facts.

    Args:
        skip_before: Steps before this one, counted from 0, are not logged: the run sent them before a resume.
        upload_export: At the end of an online run, send the export as a model artifact named after the run. Alias
            `last` is the newest one; `best` moves to it if its validation score is not worse.
        **kwargs: Lightning's; `settings` overrides `WANDB_SETTINGS`.
    """

    def __init__(self, skip_before: int = 0, upload_export: bool = False, **kwargs: Any) -> None:
        self._run_dir = Path(kwargs.get("save_dir") or ".")
        self._skip_before = skip_before
        self._upload_export = upload_export
        self._config: dict[str, Any] | None = None
        kwargs["settings"] = WANDB_SETTINGS | dict(kwargs.get("settings") or {})
        super().__init__(**kwargs)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, started on first use."""
        import wandb

        if self._experiment is not None:
            return self._experiment
        if self._wandb_init.get("mode") == "online":
            try:
                rank_zero_info(f"W&B: {super().experiment.url}")
                atexit.register(self.finish)  # runs before W&B's own, which prints nothing
            except wandb.errors.CommError as error:  # it answered the login, but then failed
                wandb.teardown()  # otherwise its process still holds the run's id
                self._wandb_init["mode"] = "offline"
                rank_zero_info(offline_notice(f"the server failed ({one_line(error)[:200]})", self._run_dir))
        run = super().experiment
        for metric in METRICS.values():  # the run's summary keeps the best value
            run.define_metric(f"val/{metric.name}", step_metric=STEP, summary=f"{metric.better},last")
        return run

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `log_graph` logs all of config.yaml."""

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Log the run's configuration, once the data is set up."""
        if self._config is not None:
            return
        facts = getattr(getattr(model.trainer, "datamodule", None), "facts", {})
        self._config = run_config(self._run_dir, facts)
        run, task = self.experiment, TASKS.get(getattr(model, "task", ""))
        run.config.update(self._config, allow_val_change=True)
        if task is not None and task.name not in run.tags:  # by which the dashboards choose their runs
            run.tags = (*run.tags, task.name)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless the run did so before a resume; adds `val/best` for W&B's sweeps."""
        if step is not None and step < self._skip_before:
            return
        choice = (self._config or {}).get("checkpoint", {})
        if (name := choice.get("monitor")) in metrics:
            rows = read_rows(self._run_dir / "metrics.csv")  # including those from before a resume
            values = [float(row[name]) for row in [*rows, metrics] if name in row]
            metrics = {**metrics, "val/best": max(values) if choice["mode"] == "max" else min(values)}
        super().log_metrics(metrics, step)

    @rank_zero_only
    def log_evaluation(self, record: dict[str, Any]) -> None:
        """Log the charts, tables and figures of an evaluation."""
        from lightning_nlp.tracking import charts  # not needed before the first validation

        # Lightning logs a validation's metrics at the step before it, counted from 0
        step = record["step"] - 1 if record["stage"] == "val" else record["step"]
        if step < self._skip_before:
            return
        logged = {STEP: step, **charts.figures(record), **charts.charts(record)}
        if record["stage"] == "val" and record.get("probes"):
            logged["val/probes"] = charts.probe_table(self._run_dir, record["step"])
        charts.keep_tables_in_run(self.experiment, logged)
        self.experiment.log(logged)

    @rank_zero_only
    def finish(self, exit_code: int = 0) -> None:
        """End the run; if the server does not receive all of it in time, print how to send it.

        Args:
            exit_code: The process's: 0 means finished, one of `PREEMPTED` resumable, any other failed.
        """
        run, self._experiment = self._experiment, None
        if run is None or getattr(run, "_is_finished", False):  # `undo` has ended it
            return
        try:
            if exit_code in PREEMPTED:
                run.mark_preempting()
            if exit_code == 0 and self._upload_export:
                from lightning_nlp.tracking.artifact import send_export

                send_export(run, self._run_dir)
            run.finish(exit_code=exit_code)
        except TimeoutError:
            rank_zero_info(
                "W&B: the server did not receive all of this run. To send it later: "
                f"`wandb sync --no-skip-online {self._run_dir}/wandb/run-*`."
            )


WandbLogger = RunWandbLogger  # a class of that name would make `--trainer.logger WandbLogger` ambiguous


def offline_notice(reason: str, run_dir: Any) -> str:
    """The message about an offline run."""
    return (
        f"W&B: {reason}, so this run is kept offline. To view it: `wandb leet {run_dir}/wandb`; to send it: "
        f"`wandb login`, then `wandb sync {run_dir}/wandb/offline-run-*`."
    )


def configure_wandb(init_args: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    """Arguments for a WandbLogger that never prompts for a key and never waits long.

    Without a login or an answer from the server the run is offline, and one line reports that.

    Returns:
        The arguments, without those that are None, and with a run id, so that a resume continues the same W&B run.

    Raises:
        UserError: If W&B refuses the key or a variable of the environment, before any data is prepared.
    """
    import wandb
    from pydantic import ValidationError

    logging.getLogger("wandb").setLevel(logging.WARNING)  # its debug.log would name the user's folders
    arguments = {name: value for name, value in init_args.items() if value is not None}
    if arguments.get("project", SHIPPED_PROJECT) == SHIPPED_PROJECT:
        arguments["project"] = os.environ.get("WANDB_PROJECT") or SHIPPED_PROJECT
    arguments.setdefault("name", os.environ.get("WANDB_NAME") or f"{run_dir.parent.name}-{run_dir.name}")
    # a sweep's agent sets one; ours begins with a letter, since yaml reads 18192e48 as a number
    arguments.setdefault("id", os.environ.get("WANDB_RUN_ID") or f"r{secrets.token_hex(4)}")
    arguments.setdefault("resume", "allow")
    arguments["save_dir"] = str(run_dir)
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value.strip()]:
        del os.environ[name]  # treat an empty variable as unset
    try:
        settings = wandb.setup().settings
    except ValidationError as error:
        problem = error.errors()[0]
        variable = f"WANDB_{str(problem['loc'][0]).upper()}={problem['input']}"
        raise UserError(f"W&B does not accept {variable} ({problem['msg']}): correct it or unset it.") from error
    mode = "offline" if arguments.get("offline") else arguments.get("mode") or settings.mode
    mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)  # W&B's older names
    reason = "it was asked for" if mode == "offline" else None
    if mode == "online":
        try:
            reason = None if wandb.login(prompt=False, verify=True, timeout=15) else "no login"  # seconds
        except Exception as error:  # AuthenticationError, CommError, and errors of the layers below
            if not isinstance(error, wandb.errors.CommError) or REFUSED.search(str(error)):
                raise UserError(
                    f"W&B at {settings.base_url} refused the login ({one_line(error)}): check WANDB_API_KEY, "
                    "run `wandb login`, or train without it (--offline)."
                ) from error
            reason = f"{settings.base_url} does not answer"
    if reason is not None:
        mode = "offline"
        rank_zero_info(offline_notice(reason, run_dir))
    return {**arguments, "mode": mode}
