"""The exported folder as a model artifact of W&B."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.errors import one_line

# That a server may take for its part of the preparation; what it answers late, or never, is not waited for.
SECONDS = 60.0


def send_export(run: Any, run_dir: Path, staging: str) -> None:
    """Hand a run's export to W&B as a model artifact, or say how to do it later.

    The artifacts of an offline run would lie in the home folder, and not reach the server when the run is sent from
    another machine, so there is none.

    Args:
        run: W&B's run, not ended yet.
        staging: A folder for the copies that W&B makes; they are needed until the run is ended.
    """
    later = (
        f"`wandb artifact put --type model --name {run.project}/{run_dir.parent.name} --alias last {run_dir}/export`"
    )
    if run.offline:
        rank_zero_info(f"W&B: the export is not in this offline run. To send it, after the run: {later}.")
        return
    failed = [f"the server does not answer within {SECONDS:.0f} s"]

    def send() -> None:
        os.environ["WANDB_DATA_DIR"] = staging  # the run's file names it, so not the home folder
        try:
            log_export(run, run_dir)
            failed.clear()
        except Exception as error:  # whatever the server makes of it
            failed[:] = [one_line(error)[:200]]

    before = os.environ.get("WANDB_DATA_DIR")
    thread = threading.Thread(target=send, daemon=True)  # W&B asks the server here, several times, without an end
    thread.start()
    thread.join(SECONDS)
    os.environ.pop("WANDB_DATA_DIR", None)
    if before is not None:
        os.environ["WANDB_DATA_DIR"] = before
    if failed:
        rank_zero_info(f"W&B: the export was not sent ({failed[0]}). To send it: {later}.")


def log_export(run: Any, run_dir: Path) -> None:
    """Log the export with the run's score, and the data's fingerprint as what it was made of."""
    import wandb

    name, config = run_dir.parent.name, run.config.as_dict()
    data, monitor, mode = config["facts"]["data"], config["checkpoint"]["monitor"], config["checkpoint"]["mode"]
    fingerprint = data.get("fingerprint")
    score = json.loads((run_dir / "facts.json").read_text(encoding="utf-8"))["validation"].get(monitor)  # of best.ckpt
    metadata = {"data_fingerprint": fingerprint, "data": data.get("source"), "monitor": monitor, "score": score}
    artifact = wandb.Artifact(name, type="model", metadata=metadata)
    artifact.add_dir(str(run_dir / "export"), skip_cache=True)  # no copy in the home folder
    best = is_best(f"{run.entity}/{run.project}/{name}:best", monitor, mode, score)
    run.log_artifact(artifact, aliases=["last", "best"] if best else ["last"])
    if fingerprint:
        used = wandb.Artifact(f"data-{fingerprint[:16]}", type="dataset", metadata={"fingerprint": fingerprint})
        with used.new_file("data.json") as file:
            json.dump(data, file, indent=1)
        with contextlib.suppress(Exception):  # the export is sent, and its metadata names the fingerprint too
            run.use_artifact(used)


def is_best(address: str, monitor: str | None, mode: str, score: float | None) -> bool:
    """Whether a score is no worse than that of the export which has the alias `best`."""
    import wandb

    if score is None:
        return False
    try:
        other = wandb.Api(timeout=15).artifact(address, type="model").metadata
    except (wandb.errors.CommError, ValueError):  # there is none yet
        return True
    if other.get("monitor") != monitor or other.get("score") is None:
        return True
    return score >= other["score"] if mode == "max" else score <= other["score"]
