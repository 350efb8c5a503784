import csv
import shutil
from pathlib import Path

from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.run.metrics_csv import MetricsCSV, last_step
from tests.bad_input.check import check
from tests.conftest import invoke


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def test_a_row_for_each_step_and_a_column_for_each_metric(tmp_path):
    path = tmp_path / "metrics.csv"
    logger = MetricsCSV(path)
    logger.log_metrics({"train/loss": 3.0, "epoch": 0}, step=0)
    assert rows_of(path) == [{"epoch": "0", "step": "0", "train/loss": "3.0"}]
    logger.log_metrics({"train/loss": 2.0, "epoch": 0}, step=1)
    logger.log_metrics({"val/loss": 2.5, "epoch": 0}, step=1)
    logger.log_metrics({"train/loss": 1.0, "epoch": 1}, step=2)
    logger.log_metrics({"train/loss": 0.5, "epoch": 1}, step=2)  # the second batch accumulated for the step
    assert rows_of(path) == [
        {"epoch": "0", "step": "0", "train/loss": "3.0"},
        {"epoch": "0", "step": "1", "train/loss": "2.0", "val/loss": "2.5"},
        {"epoch": "1", "step": "2", "train/loss": "0.5"},
    ]
    assert path.read_text(encoding="utf-8").splitlines()[0] == "epoch,step,train/loss,val/loss"
    assert {file.name for file in tmp_path.iterdir()} == {"metrics.csv"}


def test_a_resumed_file_drops_what_comes_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.csv"
    logger = MetricsCSV(path)
    for step in range(5):
        logger.log_metrics({"train/loss": float(step), "epoch": 0}, step=step)
    before = path.read_bytes()
    resumed = MetricsCSV(path, resume_step=3)
    assert path.read_bytes() == before  # a resume that fails has changed nothing
    resumed.log_metrics({"train/loss": 30.0, "epoch": 0}, step=3)
    resumed.log_metrics({"train/loss": 40.0, "epoch": 0}, step=4)
    assert [row["train/loss"] for row in rows_of(path)] == ["0.0", "1.0", "2.0", "30.0", "40.0"]


def test_without_resume_a_file_is_begun_anew(tmp_path):
    path = tmp_path / "metrics.csv"
    MetricsCSV(path).log_metrics({"a": 1.0}, step=0)
    MetricsCSV(path).log_metrics({"b": 1.0}, step=0)
    assert rows_of(path) == [{"step": "0", "b": "1.0"}]


def test_a_row_that_grows_or_shrinks_takes_the_place_of_the_last(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    for value in (1.0, 0.123456789, 2.0):  # of the batches accumulated for step 7
        logger.log_metrics({"train/loss": value}, step=7)
        assert rows_of(logger.path) == [{"step": "7", "train/loss": str(value)}]
    logger.log_metrics({"train/loss": 3.0}, step=8)
    assert [row["train/loss"] for row in rows_of(logger.path)] == ["2.0", "3.0"]


def test_a_row_without_new_columns_is_appended_and_the_file_not_written_anew(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.log_metrics({"train/loss": 1.0}, step=0)
    file = logger.path.stat().st_ino
    logger.log_metrics({"train/loss": 2.0}, step=1)
    assert logger.path.stat().st_ino == file
    logger.log_metrics({"val/loss": 2.0}, step=1)
    assert logger.path.stat().st_ino != file


def test_after_a_resume_the_last_row_is_filled_up(tmp_path):
    MetricsCSV(tmp_path / "metrics.csv").log_metrics({"train/loss": 1.0}, step=4)
    MetricsCSV(tmp_path / "metrics.csv", resume_step=5).log_metrics({"val/loss": 2.0}, step=4)
    assert rows_of(tmp_path / "metrics.csv") == [{"step": "4", "train/loss": "1.0", "val/loss": "2.0"}]


def test_half_a_row_at_the_end_does_not_count(tmp_path):
    path = tmp_path / "metrics.csv"
    logger = MetricsCSV(path)
    for step in range(3):
        logger.log_metrics({"train/loss": float(step), "train/lr": 0.1}, step=step)
    path.write_bytes(path.read_bytes()[:-8])
    assert last_step(path) == 1
    MetricsCSV(path, resume_step=9).log_metrics({"train/loss": 5.0, "train/lr": 0.1}, step=2)
    assert [row["step"] for row in rows_of(path)] == ["0", "1", "2"]
    assert last_step(tmp_path / "none.csv") is None


def test_a_run_whose_directory_vanishes_ends_with_one_error(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Throughput, "on_train_epoch_end", lambda self, trainer, module: shutil.rmtree(tmp_path / "quickstart")
    )
    outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path)
    check(outcome, "metrics.csv (No such file or directory)")
