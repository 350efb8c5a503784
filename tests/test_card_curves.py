import pytest

from lightning_nlp.card_curves import draw_curves


def record(classes=2):
    curve = {"pr": {"recall": [0.0, 0.5, 1.0], "precision": [1.0, 0.9, 0.5]}, "average_precision": 0.9}
    curve |= {"roc": {"fpr": [0.0, 0.1, 1.0], "tpr": [0.0, 0.8, 1.0]}, "auc": 0.88}
    names = ["neg", "$x_{", "a name that is much longer than the picture has room for", *map(str, range(9))]
    return {
        "examples": 60,
        "metrics": {"ece": 0.05},
        "by_class": [{"label": name, "support": 10 - i, **curve} for i, name in enumerate(names[:classes])],
        "reliability": [{"low": 0.6, "high": 0.667, "examples": 9, "confidence": 0.64, "accuracy": 0.5}],
    }


@pytest.mark.parametrize("classes", [2, 12])
def test_a_picture_is_drawn_and_drawn_alike(tmp_path, classes):
    assert draw_curves(record(classes), tmp_path) == "curves.png"
    first = (tmp_path / "curves.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert 5_000 < len(first) < 200_000
    draw_curves(record(classes), tmp_path)
    assert (tmp_path / "curves.png").read_bytes() == first


def test_the_picture_shows_what_calibration_changed(tmp_path):
    after = {
        "reliability_calibrated": [{"low": 0.4, "high": 0.467, "examples": 9, "confidence": 0.45, "accuracy": 0.5}]
    }
    after["calibration"] = {"ece_after": 0.01}
    pictures = set()
    for calibrated in (False, True):
        draw_curves(record() | after, tmp_path, calibrated=calibrated)
        pictures.add((tmp_path / "curves.png").read_bytes())
    assert len(pictures) == 2


def test_absent_classes_are_left_out(tmp_path):
    absent = {"label": "pos", "support": 0, "pr": None, "roc": None, "average_precision": None, "auc": None}
    both = record(1)
    both["by_class"].append(absent)
    assert draw_curves(both, tmp_path) == "curves.png"
    assert draw_curves({**both, "by_class": [absent]}, tmp_path) is None


def test_a_record_without_curves_or_of_few_texts_has_no_picture(tmp_path):
    assert draw_curves({"task": "mlm", "metrics": {}}, tmp_path) is None
    assert draw_curves(record() | {"examples": 9}, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
