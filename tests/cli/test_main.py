"""The command line through its public face."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import read_metrics

# What Windows has not is taken away once the libraries, which know that, are imported.
WITHOUT_POSIX = """
import os, signal, sys
import datasets, lightning, torch, transformers, torchmetrics, jsonargparse, tokenizers
from transformers import DistilBertForSequenceClassification
for module, names in ((signal, ("SIGALRM", "SIGHUP")), (os, ("sysconf", "fork"))):
    for name in names:
        delattr(module, name)
sys.modules["resource"] = sys.modules["fcntl"] = None
from lightning_nlp.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.acceptance  # its short form is in test_hardware.py
def test_what_windows_lacks_is_not_asked_for(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", str(tmp_path)]
    command = [sys.executable, "-c", WITHOUT_POSIX, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    run = Path(result.stdout.splitlines()[-1])
    assert (run / "export" / "model.safetensors").is_file()
    assert not read_metrics(run)[0].get("perf/peak_memory_gib")


def test_the_module_is_the_program_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cli.py", "fit", "--config", "no_such.yaml"])
    monkeypatch.delitem(sys.modules, "lightning_nlp.cli.main")
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("lightning_nlp.cli.main", run_name="__main__")
    assert stop.value.code == 2
    assert "no_such.yaml" in capsys.readouterr().err
