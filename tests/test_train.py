import os
import re

import pytest

from lightning_nlp.cli.main import COMMANDS
from tests.conftest import train


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_overview_imports_nothing_heavy(option, tmp_path):
    for library in ("torch", "lightning", "transformers"):
        (tmp_path / f"{library}.py").write_text("raise AssertionError(__name__)", encoding="utf-8")
    result = train(option, cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: python train.py COMMAND")
    commands = sorted(re.findall(r"^  (\w+) ", result.stdout, re.MULTILINE))
    assert commands == sorted([*COMMANDS, "configs", "predict"])


def test_other_arguments_reach_the_command_line(tmp_path):
    result = train("fit", "--config", "nothing.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --config nothing.yaml: there is no such file")
