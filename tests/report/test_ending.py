import json
import logging

import pytest

from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.report.ending import report_end
from tests.conftest import ctrl_c, invoke


def test_an_interrupted_run_has_a_report_and_so_has_its_end(tiny_cls, tmp_path):
    arguments = ("fit", *tiny_cls, "--runs_dir", tmp_path)
    with ctrl_c("on_train_batch_end", [8]):
        assert invoke(*arguments).code == 130
    (run,) = tmp_path.glob("*/0")
    facts = json.loads((run / "facts.json").read_text(encoding="utf-8"))
    assert (facts["state"], facts["steps"]) == ("interrupted", 9)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "interrupted, not finished" in text
    assert "there was no test" in text
    assert invoke(*arguments, "--ckpt_path", "last").run == run
    assert json.loads((run / "facts.json").read_text(encoding="utf-8"))["state"] == "finished"
    assert "not finished" not in (run / "report.html").read_text(encoding="utf-8")


def test_a_failed_run_has_a_report(tiny_cls, tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        if args[0].global_step == 8:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(Throughput, "on_train_batch_end", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        invoke("fit", *tiny_cls, "--runs_dir", tmp_path)
    (run,) = tmp_path.glob("*/0")
    assert "failed, not finished" in (run / "report.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_ends_no_training(cls_run, tmp_path, caplog):
    (tmp_path / "config.yaml").write_bytes((cls_run / "config.yaml").read_bytes())
    (tmp_path / "report.html").mkdir()
    with caplog.at_level(logging.INFO):
        report_end(tmp_path, {"steps": 1}, "finished")
    assert f"python -m lightning_nlp.report {tmp_path}" in caplog.text
    assert (tmp_path / "facts.json").is_file()
    report_end(tmp_path / "gone", {}, "failed")
    assert not (tmp_path / "gone").exists(), "a run that was removed stays so"
