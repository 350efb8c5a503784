from dataclasses import replace

import pytest

from lightning_nlp.evaluation.figures import Line
from lightning_nlp.report import run_figures
from lightning_nlp.report.run_files import read_run


@pytest.fixture
def run(cls_run):
    return read_run(cls_run)


def test_the_learning_curves_say_what_metrics_csv_says(run):
    monitor = run.config["checkpoint"]["monitor"]
    loss = run_figures.learning(run, monitor)[0]
    _, values = run.series("val/loss")
    said = f"lowest {min(values):.4g}, highest {max(values):.4g}, last {values[-1]:.4g} at step 14."
    assert f"validation: {said}" in loss.text
    assert f"Best checkpoint: step {run_figures.best_step(run, monitor)}." in loss.text
    assert loss.best == run_figures.best_step(run, monitor)
    found = run_figures.learning(run, "train/grad_norm")
    assert [figure.heading for figure in found][:2] == ["Loss", "train/grad_norm"], "a monitor of the user's own"
    (length,) = run_figures.lengths({"lengths": {"edges": [0, 5, 10], "train": [2, 7]}})
    assert "5 to 9 tokens (7 of 9)" in length.text
    assert run_figures.lengths({}) == []


def test_the_best_step_is_that_of_the_checkpoint(run):
    ((monitor, score),) = run.facts["validation"].items()
    _, values = run.series(monitor)
    assert values[[7, 14].index(run_figures.best_step(run, monitor))] == pytest.approx(score)
    assert run_figures.best_step(replace(run, facts={}), monitor) == run_figures.best_step(run, monitor)
    assert run_figures.best_step(replace(run, facts={}), "val/unknown") is None
    later = replace(run, facts=run.facts | {"checkpoint_step": 99})
    assert run_figures.best_step(later, monitor) == 99, "whatever metrics.csv has from before a resume"
    assert run_figures.best_step(replace(later, facts=later.facts | {"validation": {}}), monitor) is None


def test_curves_that_have_no_room_are_left_out_and_said_to_be():
    lines = [Line(str(i), [1, 2], [0.5, 0.25]) for i in range(6)]
    (figure,) = run_figures.by_step("Loss", "loss", [Line("empty", [], []), *lines])
    assert figure.text.endswith("The first 4 of 6 curves.")
    assert [line.name for line in figure.lines] == ["0", "1", "2", "3"]
    assert run_figures.by_step("Loss", "loss", [Line("one point", [1], [0.5])]) == []
