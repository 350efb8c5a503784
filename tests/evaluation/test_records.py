import json
import re

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from lightning_nlp.evaluation.drawing import draw
from lightning_nlp.evaluation.figures import figures_of
from lightning_nlp.evaluation.records import classification_record, mlm_record, number_record, plain
from lightning_nlp.evaluation.temperature import calibration, fit_temperature, probabilities

NAMES = ["bad", "fair", "good"]


@pytest.fixture
def predictions():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 400)
    logits = rng.normal(size=(400, 3)) + 1.5 * np.eye(3)[labels]
    return logits.astype(np.float32), labels, rng.integers(3, 90, 400)


def test_every_number_is_scikit_learns(predictions):
    logits, labels, _ = predictions
    record = classification_record(*predictions, NAMES)
    chances = probabilities(logits)
    predicted = chances.argmax(1)
    assert record["confusion"] == confusion_matrix(labels, predicted).tolist()
    brier = [brier_score_loss(labels == i, chances[:, i]) for i in range(3)]  # scikit-learn's is of one class
    assert record["brier"] == pytest.approx(sum(brier), abs=1e-6)
    expected = np.array(precision_recall_fscore_support(labels, predicted)).T
    for i, (entry, figures) in enumerate(zip(record["by_class"], expected, strict=True)):
        areas = [judge(labels == i, chances[:, i]) for judge in (average_precision_score, roc_auc_score)]
        names = ("precision", "recall", "f1", "support", "average_precision", "auc")
        assert [entry[name] for name in names] == pytest.approx([*figures, *areas], abs=1e-6)
    assert sum(group["examples"] for group in record["by_length"]) == 400
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_what_another_split_taught_is_only_tried(predictions):
    other = classification_record(*predictions, NAMES)
    logits, labels, lengths = predictions
    temperature = other["calibration"]["temperature"]
    assert temperature == fit_temperature(logits, labels) != 1
    record = classification_record(logits[:50], labels[:50], lengths[:50], NAMES, other)
    assert record["calibration"] == calibration(logits[:50], labels[:50], temperature)
    for i, (entry, chosen) in enumerate(zip(record["by_class"], other["by_class"], strict=True)):
        limit = chosen["best_f1"]["threshold"]
        taken = probabilities(logits[:50], temperature)[:, i] >= limit
        assert entry["best_f1"]["threshold"] == limit
        assert entry["best_f1"]["recall"] == pytest.approx(taken[labels[:50] == i].mean(), abs=1e-6)
    nothing = {"calibration": {"temperature": 1.0}, "by_class": [{}, {}, {}]}
    without = classification_record(logits, labels, lengths, NAMES, nothing)
    assert [entry["best_f1"] for entry in without["by_class"]] == [None] * 3


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_examples_and_absent_classes_have_defined_records(number):
    rng = np.random.default_rng(0)
    record = classification_record(rng.normal(size=(number, 3)), np.ones(number, dtype=int), np.full(number, 7), NAMES)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["by_class"][0]["support"] == 0
    assert record["by_class"][0]["auc"] is None


def test_an_mlm_record_is_plain():
    targets = np.array([1, 2, 2])
    figures = {"top1": np.array([1.0, 0, 0]), "loss": np.array([0.5, 2, np.inf])}
    record = mlm_record(targets, figures, np.array([0, 5, 50]), np.array([False, False, True]))
    assert record["masked_tokens"] == 3
    assert record["by_piece"]["subword"] == {"tokens": 2, "top1": 0.0, "loss": None}
    assert plain({"a": (np.arange(2), float("nan"), 1 / 3)}) == {"a": [[0, 1], None, 0.333333]}


def test_the_record_of_numbers_has_a_scatter_on_equal_axes():
    labels = np.linspace(0, 100, 1000)
    record = number_record((labels + 5)[:, None], labels, np.ones(1000), [])
    (figure,) = figures_of(record)
    assert len(figure.dots) == 200
    ends = re.search(r'class="mark" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', draw(figure))
    left, bottom, right, top = map(float, ends.groups())
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', draw(figure))
    above = [bottom - (float(x) - left) / (right - left) * (bottom - top) - float(y) for x, y in dots]
    assert above == pytest.approx([above[0]] * len(dots), abs=0.2), "all are 5 above the line"
    assert above[0] > 3
    assert record["constant"] == []
    assert number_record(labels[:2, None], np.ones(2), np.ones(2), [])["constant"] == ["labels"]
    assert number_record(np.ones((2, 1)), labels[:2], np.ones(2), [])["constant"] == ["predictions"]
