import runpy
import sys

import pytest


def test_the_module_is_the_program_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cli.py", "fit", "--config", "no_such.yaml"])
    monkeypatch.delitem(sys.modules, "lightning_nlp.cli.main", raising=False)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("lightning_nlp.cli.main", run_name="__main__")
    assert stop.value.code == 2
    assert "no_such.yaml" in capsys.readouterr().err
