import re

import pytest

from lightning_nlp.evaluation.figures import figures_of
from lightning_nlp.report.run_files import read_run
from tests.conftest import cls_record


@pytest.fixture
def record(cls_run):
    return read_run(cls_run).test


def test_a_classifiers_figures_say_what_its_record_says(record):
    found = {figure.heading: figure for figure in figures_of(record)}
    assert list(found) == ["Precision and recall", "ROC", "Reliability", "Accuracy by length"]
    for part in record["by_class"]:
        assert f"{part['label']} {part['average_precision']:.4f}" in found["Precision and recall"].text
        assert f"{part['label']} {part['auc']:.4f}" in found["ROC"].text
    shares = [group["accuracy"] for group in record["by_length"]]
    assert [row.share for row in found["Accuracy by length"].rows] == shares
    assert f": {min(shares):.1%} of" in found["Accuracy by length"].text


def test_reliability_shows_what_calibration_brought(record):
    record |= {"calibration": {"temperature": 1.5, "ece_before": 0.2, "ece_after": 0.1}}
    figure = figures_of(record)[2]
    assert "0.1000 after temperature scaling (T = 1.500, fitted on validation), 0.2000 before" in figure.text
    for line, key in zip(figure.lines, ("reliability", "reliability_calibrated"), strict=True):
        assert line.y == [part["accuracy"] for part in record[key]]
    plain = cls_record(7)
    (line,) = figures_of(plain)[2].lines
    assert (line.x, line.y) == ([0.65], [0.75])
    assert "calibration error 0.0625. Of 8 texts predicted with a confidence of 60% to 70%, 75.0%" in (
        figures_of(plain)[2].text
    )


def test_many_classes_are_cut_to_the_largest_and_said_so(record):
    (part, _) = record["by_class"]
    classes = [part | {"label": f"class {i}", "support": i} for i in range(9)]
    figure = figures_of(record | {"by_class": classes})[0]
    assert re.findall(r"class \d", figure.text) == ["class 8", "class 7", "class 6", "class 5"]
    assert "the 4 largest of 9 classes" in figure.text
    assert len(figures_of(record | {"by_class": classes}, most=10)[0].lines) == 9


def test_absent_classes_and_curves_are_left_out(record):
    absent = {"label": "none", "support": 0, "pr": None, "roc": None, "average_precision": None, "auc": None}
    figure = figures_of(record | {"by_class": [absent, *record["by_class"]]})[0]
    assert [line.name for line in figure.lines] == [part["label"] for part in record["by_class"]]
    assert figures_of({"by_class": [absent], "reliability": [], "by_length": []}) == []


def test_a_language_model_has_its_groups(mlm_run):
    record = read_run(mlm_run).test
    frequency, pieces = figures_of(record)
    notes = [f"{group['top1']:.1%} of {group['tokens']:,}" for group in record["by_frequency"]]
    assert [row.note for row in frequency.rows] == notes
    assert [row.name for row in pieces.rows] == list(record["by_piece"])
