import json

import pytest

from lightning_nlp.inspection.verdict import text_findings, token_findings


def split(rows=1000, **changes):
    return {
        "texts": rows,
        "rows": rows,
        "cut": 0,
        "unknown_rate": 0.0,
        "copies_of_train": 0,
        "class_counts": [rows // 2, rows - rows // 2],
    } | changes


def tokens(**changes):
    """The facts of good data; `test=...` changes a split."""
    parts = {name: split() | changes.get(name, {}) for name in ("train", "validation", "test")}
    return {"label_names": ["neg", "pos"], "splits": parts}


def severities(facts, deduplicate=True):
    found = token_findings(facts, max_length=128, counts={"deduplicate": deduplicate})
    assert all(finding["text"].endswith(".") and "\n" not in finding["text"] for finding in found)
    return [finding["severity"] for finding in found]


@pytest.mark.parametrize(
    ("changes", "deduplicate", "expected"),
    [
        ({}, True, []),
        ({"test": {"copies_of_train": 6}}, True, ["severe"]),
        ({"test": {"copies_of_train": 5}}, False, ["warning"]),
        ({"validation": {"copies_of_train": 5}}, True, ["note"]),
        ({"train": {"cut": 501}}, True, ["severe"]),
        ({"train": {"cut": 500}}, True, ["warning"]),
        ({"train": {"cut": 250}}, True, []),
        ({"test": {"unknown_rate": 0.051}}, True, ["severe"]),
        ({"test": {"unknown_rate": 0.02}}, True, ["warning"]),
        ({"train": {"unknown_rate": None}}, True, []),
        ({"train": {"class_counts": [9, 991]}}, True, ["severe"]),
        ({"train": {"class_counts": [10, 990]}}, True, ["warning"]),
        ({"train": {"class_counts": [91, 909]}}, True, []),
        ({"test": {"class_counts": [0, 1000]}}, True, ["severe"]),
    ],
)
def test_token_findings(changes, deduplicate, expected):
    assert severities(tokens(**changes), deduplicate) == expected


def test_data_without_labels():
    facts = tokens(train={"class_counts": None}) | {"label_names": None}
    assert severities(facts) == []


MARKUP = {"line breaks": 0, "tags": 0, "entities": 0, "broken characters": 0}
RAW = {"rows": 1000, "empty": 0, "incomplete": 0, "markup": MARKUP, "markup_left": MARKUP}
REPORT = {
    "settings": {"clean": True, "deduplicate": True},
    "raw": {"train": RAW, "test": RAW},
    "duplicates": {
        "rows": 2000,
        "repeats": {"train": 0, "test": 0},
        "shared_texts": {},
        "conflicts": {"texts": 0, "rows": 0},
    },
    "near_duplicates": {"texts": {"train": 1000, "test": 1000}, "shared_texts": {}, "conflicts": 0},
    "language": {"train": {"texts": 1000, "language": "en", "others": 0, "other_languages": {}}},
    "baseline": {"texts": 1000, "accuracy": 0.8, "error": 0.01, "majority": 0.5, "suspicious": 100},
}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("settings.clean", True, []),
        ("duplicates.repeats.train", 5, ["note"]),
        ("duplicates.shared_texts", {"train and test": 3}, ["note"]),
        ("duplicates.conflicts", {"texts": 10, "rows": 21}, ["severe"]),
        ("duplicates.conflicts", {"texts": 10, "rows": 20}, ["warning"]),
        ("near_duplicates.shared_texts", {"train and test": 51}, ["severe"]),
        ("near_duplicates.shared_texts", {"train and test": 50}, ["warning"]),
        ("near_duplicates.shared_texts", {"train and test": 5}, ["note"]),
        ("near_duplicates.conflicts", 3, ["warning"]),
        ("raw.train.empty", 11, ["warning"]),
        ("raw.train.markup.line breaks", 580, ["note"]),
        ("raw.train.markup_left.tags", 11, ["warning"]),
        ("language.train.others", 21, ["warning"]),
        ("baseline.accuracy", 0.52, ["warning"]),
        ("baseline.accuracy", 0.996, ["warning"]),
        ("baseline.suspicious", 151, ["warning"]),
        ("baseline", {"skipped": "too few"}, []),
        ("baseline", None, []),
    ],
)
def test_text_findings(path, value, expected):
    report = json.loads(json.dumps(REPORT))
    *keys, last = path.split(".")
    place = report
    for key in keys:
        place = place[key]
    place[last] = value
    assert [finding["severity"] for finding in text_findings(report)] == expected
