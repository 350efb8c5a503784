"""What a training ran on: the code's commit, the versions of the libraries, the machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_nlp import __version__
from lightning_nlp.privacy import paths_with_tilde
from lightning_nlp.training.hardware import device_name, memory_gib

LIBRARIES = ("torch", "lightning", "transformers", "tokenizers", "datasets", "wandb")


def versions() -> dict[str, str]:
    """The versions of Python, of this package and of the libraries that results depend on."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "lightning_nlp": __version__, **found}


def hardware(accelerator: str = "auto") -> dict[str, Any]:
    """The device, the number of cores and the memory of the machine in GiB."""
    memory = memory_gib(torch.device("cpu"))
    rounded = None if memory is None else round(memory, 1)
    return {"device": device_name(accelerator), "cores": os.cpu_count(), "memory_gib": rounded}


def commit() -> str | None:
    """The commit of the working tree that this code lies in, with "-dirty" where it was changed; None without one."""
    command = "git -c core.fsmonitor=false describe --always --dirty --abbrev=40 --exclude=*"
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        found = subprocess.run(
            command.split(),
            cwd=Path(__file__).parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def run_config(run_dir: Path, data_facts: dict[str, Any]) -> dict[str, Any]:
    """A run's config.yaml, and under `facts` what it was made with; data.json says more than `data_facts`."""
    text = (run_dir / "config.yaml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.safe_load(text)
    with contextlib.suppress(OSError):
        data_facts = json.loads((run_dir / "data.json").read_text(encoding="utf-8"))
    facts = {
        "command": text.partition("\n")[0].removeprefix("# "),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(config["trainer"]["accelerator"]),
        "data": data_facts,
    }
    return paths_with_tilde({**config, "facts": facts})
