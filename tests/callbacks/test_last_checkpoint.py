"""Ctrl-C and other signals in this process; tests/faults sends them to others."""

import signal
from pathlib import Path

from lightning import Trainer

from tests.conftest import checkpoint_of, ctrl_c, invoke, read_metrics
from tests.run.test_runs import same_training


def test_the_second_ctrl_c_stops_at_once(tiny_cls, tmp_path):
    with ctrl_c("on_validation_start", [0]), ctrl_c("on_validation_start", [0]):
        outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs")
    assert outcome.code == 130, outcome.err
    assert "Ctrl-C again stops at once" in outcome.err
    assert outcome.err.rstrip().endswith("Interrupted.")


def test_ctrl_c_in_the_last_step_is_no_lost_training(tiny_cls, tmp_path):
    with ctrl_c("on_train_batch_end", [13]):
        outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs")
    assert outcome.code == 130, outcome.err
    run = tmp_path / "runs" / "quickstart" / "0"
    said = f"Interrupted after step 14; saved {run / 'checkpoints' / 'last.ckpt'}. Go on with the same command and "
    assert f"{said}--ckpt_path last." in outcome.err
    with ctrl_c("on_train_batch_end", [13]):
        other = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "other", "--resume", "auto")
    assert "Go on with the same command.\n" in other.err, "which finds the checkpoint itself"
    assert "Traceback" not in outcome.err + outcome.out
    assert not (run / "export").exists()
    resumed = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs", "--ckpt_path", "last")
    assert [int(row["step"]) for row in read_metrics(resumed.run)] == list(range(15))


def test_a_time_limit_saves_and_the_next_process_has_its_whole_time(tiny_cls, tmp_path):
    arguments = [*tiny_cls, "--trainer.max_epochs", "3", "--early_stopping.patience", "9", "--model.dropout", "0.2"]
    whole = invoke("fit", *arguments, "--runs_dir", tmp_path / "whole").run
    limited = [*arguments, "--runs_dir", tmp_path / "broken"]
    codes = [invoke("fit", *limited, "--trainer.max_time", "00:00:00:00", "--resume", "auto").code for _ in range(2)]
    assert codes == [142, 142]
    assert checkpoint_of(tmp_path / "broken/quickstart/0")["global_step"] == 2, "a step each"
    outcome = invoke("fit", *limited, "--trainer.max_time", "00:01:00:00", "--resume", "auto")
    same_training(whole, outcome.run)


def test_the_last_checkpoint_is_also_written_every_few_minutes(tiny_cls, tmp_path, monkeypatch):
    steps = []
    save = Trainer.save_checkpoint

    def noting(self, path, *args, **kwargs):
        if Path(path).name == "last.ckpt":
            steps.append(self.global_step)
        save(self, path, *args, **kwargs)

    monkeypatch.setattr(Trainer, "save_checkpoint", noting)
    arguments = [*tiny_cls, "--trainer.max_epochs", "1", "--trainer.accumulate_grad_batches", "2"]
    before = signal.getsignal(signal.SIGINT)
    assert invoke("fit", *arguments, "--save_minutes", "1e-9", "--runs_dir", tmp_path).code == 0
    assert signal.getsignal(signal.SIGINT) is before, "given back after the training"
    assert steps == [1, 2, 3, 4], "after each whole step, the last one with its validation"
