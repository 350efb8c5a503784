import csv
import shutil

import pytest

from lightning_nlp.errors import UserError
from lightning_nlp.run.metrics_csv import MetricsCSV, last_step


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def logged(path, steps, resume_step=None):
    logger = MetricsCSV(path, resume_step)
    for step in steps:
        logger.log_metrics({"train/loss": float(step), "train/lr": 0.1}, step=step)
    return logger


def test_a_row_for_each_step_and_a_column_for_each_metric(path):
    logger = MetricsCSV(path)
    logger.log_metrics({"train/loss": 3.0, "epoch": 0}, step=0)
    assert rows_of(path) == [{"epoch": "0", "step": "0", "train/loss": "3.0"}]
    logger.log_metrics({"train/loss": 2.0, "epoch": 0}, step=1)
    logger.log_metrics({"val/loss": 2.5, "epoch": 0}, step=1)
    file = path.stat().st_ino
    for value in (1.0, 0.123456789, 0.5):  # of the batches accumulated for a step: the row grows and shrinks
        logger.log_metrics({"train/loss": value, "epoch": 1}, step=2)
    assert path.stat().st_ino == file, "without a new column the file is not written again"
    assert rows_of(path) == [
        {"epoch": "0", "step": "0", "train/loss": "3.0"},
        {"epoch": "0", "step": "1", "train/loss": "2.0", "val/loss": "2.5"},
        {"epoch": "1", "step": "2", "train/loss": "0.5"},
    ]
    assert path.read_text(encoding="utf-8").splitlines()[0] == "epoch,step,train/loss,val/loss"
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_a_resume_drops_what_comes_after_the_checkpoint_and_fills_the_last_row_up(path):
    logged(path, range(5))
    before = path.read_bytes()
    resumed = MetricsCSV(path, resume_step=3)
    assert path.read_bytes() == before, "a resume that fails has changed nothing"
    resumed.log_metrics({"val/loss": 2.5}, step=2)
    resumed.log_metrics({"train/loss": 30.0}, step=3)
    assert [row["train/loss"] for row in rows_of(path)] == ["0.0", "1.0", "2.0", "30.0"]
    assert rows_of(path)[2]["val/loss"] == "2.5"
    logged(path, [0])
    assert len(rows_of(path)) == 1, "without a resume the file is begun anew"


def test_half_a_row_at_the_end_does_not_count(path):
    logged(path, range(3))
    path.write_bytes(path.read_bytes()[:-8])
    assert last_step(path) == 1
    logged(path, [2], resume_step=9)
    assert [row["step"] for row in rows_of(path)] == ["0", "1", "2"]
    assert last_step(path.with_name("none.csv")) is None


def test_a_directory_that_vanishes_is_one_error(path):
    logger = logged(path, [0])
    shutil.rmtree(path.parent)
    with pytest.raises(UserError, match=r"metrics\.csv \(No such file or directory\)"):
        logger.log_metrics({"train/loss": 1.0}, step=1)
