"""The environment of a training: commit, library versions, machine."""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_nlp import __version__
from lightning_nlp.models.encoder import memory_gib
from lightning_nlp.privacy import paths_with_tilde
from lightning_nlp.training.hardware import device_name

LIBRARIES = ("lightning", "transformers", "tokenizers", "datasets", "wandb")


def versions() -> dict[str, str]:
    """The versions of Python, of this package and of the libraries on which results depend."""
    libs = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "lightning_nlp": __version__, "torch": str(torch.__version__), **libs}


def commit() -> str | None:
    """The commit of this code, with "-dirty" if it was changed; None outside a repository."""
    command = "git -c core.fsmonitor=false describe --always --dirty --abbrev=40 --exclude=*".split()
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.decode().strip() or None


def run_config(run_dir: Path, data_facts: dict[str, Any]) -> dict[str, Any]:
    """A run's config.yaml, with `facts` about its making; `data_facts` stand in for a missing data.json."""
    text = (run_dir / "config.yaml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.safe_load(text)
    with contextlib.suppress(OSError):
        data_facts = json.loads((run_dir / "data.json").read_text(encoding="utf-8"))
    memory = memory_gib(torch.device("cpu"))
    facts = {
        "command": text.partition("\n")[0].removeprefix("# "),
        "commit": commit(),
        "versions": versions(),
        "hardware": {
            "device": device_name(config["trainer"]["accelerator"]),
            "cores": os.cpu_count(),
            "memory_gib": None if math.isinf(memory) else round(memory, 1),
        },
        "data": data_facts,
    }
    return paths_with_tilde({**config, "facts": facts})
