import re

import pytest

from lightning_nlp.report.compare import comparison, differing, results, settings
from lightning_nlp.report.run_files import read_run
from tests.conftest import invoke


@pytest.fixture(scope="module")
def other(tiny_cls, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    return invoke(
        "fit", *tiny_cls, "--model.lr", "0.02", "--model.dim", "32", "--trainer.max_epochs", "1", "--runs_dir", runs
    ).run


@pytest.fixture
def runs(cls_run, other):
    return [read_run(cls_run), read_run(other)]


def test_exactly_the_settings_that_differ_are_listed(runs):
    found = dict(differing(runs))
    assert set(found) == {"model.lr", "model.dim", "trainer.max_epochs", "runs_dir"}
    assert found["model.lr"] == ["0.01", "0.02"]
    assert found["trainer.max_epochs"] == ["2", "1"]
    assert differing([runs[0], runs[0]]) == []
    flat = settings({"model": {"init_args": {"lr": None, "betas": [0.9, 0.98]}}, "trainer": {"logger": {"a": 1}}})
    assert flat == {"model.lr": "null", "model.betas": "0.9, 0.98"}


def test_differences_are_to_the_first_run_and_know_which_way_is_better():
    rows = results([{"loss": 0.5, "f1": 0.7}, {"loss": 0.25, "f1": 0.6, "ece": 0.1}])
    cells = {row["name"]: row["cells"][1] for row in rows}
    assert (cells["loss"]["difference"], cells["loss"]["better"]) == (-0.25, True)
    assert (cells["f1"]["difference"], cells["f1"]["better"]) == (pytest.approx(-0.1), False)
    assert (cells["ece"]["value"], cells["ece"]["difference"]) == (0.1, None)


def test_curves_classes_and_splits_are_compared(runs):
    figures = {figure.heading: figure for figure in comparison(runs)["curves"]}
    for run in runs:
        steps, losses = run.series("val/loss")
        said = f"last {losses[-1]:.4g} at step {steps[-1]:,.0f}"
        assert re.search(f"{re.escape(str(run.path))}: [^;]*{said}", figures["Loss: validation"].text)
    runs[1].test["by_class"].pop()
    rows = {row["name"]: [cell["value"] for cell in row["cells"]] for row in comparison(runs)["results"]}
    first, last = (f"f1 of {part['label']}" for part in runs[0].test["by_class"])
    assert rows[first] == [run.test["by_class"][0]["f1"] for run in runs]
    assert rows[last] == [runs[0].test["by_class"][1]["f1"], None]
    assert comparison(runs)["same_stage"]
    runs[1].test = {}
    found = comparison(runs)
    assert (found["stages"], found["same_stage"]) == (["test", "validation"], False)
