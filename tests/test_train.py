import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_nlp.cli.main import COMMANDS

HOUSE = Path(__file__).parent.parent


def train(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HOUSE / "train.py", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_overview_imports_nothing_heavy(option, tmp_path):
    for library in ("torch", "lightning", "transformers"):
        (tmp_path / f"{library}.py").write_text("raise AssertionError(__name__)", encoding="utf-8")
    result = train(option, PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: python train.py COMMAND")
    commands = sorted(re.findall(r"^  (\w+) ", result.stdout, re.MULTILINE))
    assert commands == sorted([*COMMANDS, "configs", "predict"])


def test_other_arguments_reach_the_command_line():
    result = train("fit", "--config", "nothing.yaml")
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.match(r"error: --config nothing\.yaml: there is no such file", result.stderr)
