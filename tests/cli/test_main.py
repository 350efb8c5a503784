import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import HOUSE, read_metrics, train

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
    arguments = ["fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", tmp_path]
    child = train(*arguments, cwd=HOUSE, code=WITHOUT_POSIX)
    assert child.returncode == 0, child.stderr
    run = Path(child.stdout.splitlines()[-1])
    assert (run / "export" / "model.safetensors").is_file()
    assert not read_metrics(run)[0].get("perf/peak_memory_gib")


def test_the_module_is_the_program_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cli.py", "fit", "--config", "no_such.yaml"])
    monkeypatch.delitem(sys.modules, "lightning_nlp.cli.main", raising=False)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("lightning_nlp.cli.main", run_name="__main__")
    assert stop.value.code == 2
    assert "no_such.yaml" in capsys.readouterr().err
