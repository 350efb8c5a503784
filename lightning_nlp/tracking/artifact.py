"""The exported folder as a model artifact of W&B."""

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import one_line

SECONDS = 60.0  # to wait for the server while the artifact is prepared


def send_export(run: Any, run_dir: Path) -> None:
    """Send a run's export as a model artifact before the run ends, or print how to send it later.

    Skips offline runs: W&B would keep it in the home folder, where it is lost if another machine syncs the run.
    """
    name = f"{run.project}/{run_dir.parent.name}"
    later = f"`wandb artifact put --type model --name {name} --alias last {run_dir}/export`"
    if run.offline:
        rank_zero_info(f"W&B: the export is not in this offline run. To send it after the run: {later}.")
        return
    failed = [f"the server does not answer within {SECONDS:.0f} s"]

    def send() -> None:
        try:
            log_export(run, run_dir)
            failed.clear()
        except Exception as error:  # the server can fail in any way
            failed[:] = [one_line(error)[:200]]

    # W&B waits for the server without limit; a thread left behind only reads the run's files
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if failed:
        rank_zero_info(f"W&B: the export was not sent ({failed[0]}). To send it: {later}.")


def log_export(run: Any, run_dir: Path) -> None:
    """Log the export with the run's score, and the data's fingerprint as its input."""
    name, config = run_dir.parent.name, run.config.as_dict()
    data, (monitor, mode) = config["facts"]["data"], (config["checkpoint"][key] for key in ("monitor", "mode"))
    fingerprint = data.get("fingerprint")
    score = json.loads((run_dir / "facts.json").read_text(encoding="utf-8"))["validation"].get(monitor)  # of best.ckpt
    metadata = {"data_fingerprint": fingerprint, "data": data.get("source"), "monitor": monitor, "score": score}
    artifact = wandb.Artifact(name, type="model", metadata=metadata)
    # in place: W&B would copy mutable files, and those for its cache, to the home folder
    in_place: dict[str, Any] = {"policy": "immutable", "skip_cache": True}
    artifact.add_dir(str(run_dir / "export"), **in_place)
    best = is_best(f"{run.entity}/{run.project}/{name}:best", monitor, mode, score)
    run.log_artifact(artifact, aliases=["last", "best"] if best else ["last"])
    if fingerprint:
        dataset = wandb.Artifact(f"data-{fingerprint[:16]}", type="dataset", metadata={"fingerprint": fingerprint})
        facts = run_dir / "wandb" / "data.json"
        write_whole(facts, json.dumps(data, indent=1))
        dataset.add_file(str(facts), **in_place)
        with contextlib.suppress(Exception):  # the export's metadata has the fingerprint too
            run.use_artifact(dataset)


def is_best(address: str, monitor: str | None, mode: str, score: float | None) -> bool:
    """Whether a score is at least as good as that of the export with the alias `best`, if that has one."""
    if score is None:
        return False
    try:
        other = wandb.Api(timeout=15).artifact(address, type="model").metadata
    except (wandb.errors.CommError, ValueError):  # there is no such export yet
        return True
    best = other.get("score") if other.get("monitor") == monitor else None
    return best is None or (score >= best if mode == "max" else score <= best)
