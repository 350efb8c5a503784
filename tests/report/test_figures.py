import re

import pytest

from lightning_nlp.report import figures
from lightning_nlp.report.files import read_run


@pytest.fixture
def run(cls_run):
    return read_run(cls_run)


def test_the_learning_curves_say_what_metrics_csv_says(run):
    loss = figures.learning(run, run.config["checkpoint"]["monitor"])[0]
    _, values = run.series("val/loss")
    assert f"alidation from {values[0]:.3f} at step 7 to {values[-1]:.3f} at step 14" in loss.text
    assert f"best checkpoint, step {figures.best_step(run, run.config['checkpoint']['monitor'])}." in loss.text


def test_the_best_step_is_that_of_the_checkpoint(run):
    ((monitor, score),) = run.facts["validation"].items()
    _, values = run.series(monitor)
    assert values[[7, 14].index(figures.best_step(run, monitor))] == pytest.approx(score)
    assert figures.best_step(run, "val/unknown") is None


def test_the_curves_of_a_classifier_say_what_its_record_says(run):
    found = {figure.heading: figure.text for figure in figures.curves(run.test)}
    assert list(found) == ["Precision and recall", "ROC", "Reliability", "Accuracy by length"]
    for part in run.test["by_class"]:
        assert f"{part['label']} {part['average_precision']:.4f}" in found["Precision and recall"]
        assert f"{part['label']} {part['auc']:.4f}" in found["ROC"]
    assert f"{run.test['metrics']['ece']:.4f}" in found["Reliability"]


def test_a_calibrated_record_says_what_calibration_brought(run):
    record = run.test | {"calibration": {"temperature": 1.5, "ece_before": 0.2, "ece_after": 0.1}}
    text = next(figure.text for figure in figures.curves(record) if figure.heading == "Reliability")
    assert "0.1000 after temperature scaling (T = 1.500, fitted on validation), 0.2000 before" in text


def test_many_classes_are_cut_to_the_largest_and_said_so(run):
    (part, _) = run.test["by_class"]
    classes = [part | {"label": f"class {i}", "support": i} for i in range(9)]
    text = figures.curves(run.test | {"by_class": classes})[0].text
    assert re.findall(r"class \d", text) == ["class 8", "class 7", "class 6", "class 5"]
    assert "the 4 largest of 9 classes" in text


def test_a_language_model_has_its_groups(mlm_run):
    record = read_run(mlm_run).test
    frequency, pieces = figures.language_model(record)
    for group in record["by_frequency"]:
        assert f"{group['top1']:.1%} of {group['tokens']:,}" in frequency.text
    assert f"{record['by_piece']['word']['top5']:.1%}" in pieces.text


def test_the_machine_and_the_lengths(run):
    speed = figures.machine(run)[0]
    _, values = run.series("perf/tokens_per_s")
    assert f"from {min(values):,.0f} to {max(values):,.0f}" in speed.text
    (length,) = figures.lengths({"lengths": {"edges": [0, 5, 10], "train": [2, 7]}})
    assert "5 to 9 tokens (7 of 9)" in length.text
    assert figures.lengths({}) == []
