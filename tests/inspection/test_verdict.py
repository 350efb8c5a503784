import json

import pytest

from lightning_nlp.inspection.verdict import text_findings, token_findings

COUNTS = {"texts": 1000, "rows": 1000, "cut": 0, "copies_of_train": 0}
GOOD = COUNTS | {"unknown_rate": 0.0, "class_counts": [500, 500]}


def tokens(**changes):
    """The facts of good data; `test=...` changes a split."""
    parts = {name: GOOD | changes.get(name, {}) for name in ("train", "validation", "test")}
    return {"label_names": ["neg", "pos"], "splits": parts}


def findings(facts, deduplicate=True, truncation="head"):
    return list(token_findings(facts, {"deduplicate": deduplicate}, max_length=128, truncation=truncation))


def severities(facts, deduplicate=True):
    found = findings(facts, deduplicate)
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
        ({"train": {"words": 9, "cut": 900, "class_counts": [9, 991]}}, True, []),
        ({"train": {"words": 9, "class_counts": [0, 9]}, "test": {"class_counts": [9, 0]}}, True, ["warning", "note"]),
    ],
)
def test_token_findings(changes, deduplicate, expected):
    assert severities(tokens(**changes), deduplicate) == expected


@pytest.mark.parametrize("truncation", ["head", "head_tail"])
def test_head_tail_is_advised_where_it_is_not_given(truncation):
    (found,) = findings(tokens(train={"cut": 501}), truncation=truncation)
    assert ("head_tail" in found["text"]) == (truncation == "head")


def test_the_cure_for_unknown_tokens_knows_every_text():
    (finding,) = findings(tokens(train={"unknown_rate": 0.1}))
    assert "--data.tokenizer_model bpe" in finding["text"]  # a larger vocabulary has no longer words


def test_rare_means_rare_among_so_many_classes():
    many = {"class_counts": [24] * 150}
    facts = tokens(train=many, validation={"class_counts": [3] * 150}, test={"class_counts": [0] * 14 + [3] * 136})
    assert severities(facts | {"label_names": [f"intent {i}" for i in range(150)]}) == ["warning"]
    facts["splits"]["train"]["class_counts"] = [4, *[24] * 149]
    facts["splits"]["test"]["class_counts"] = [0] * 15 + [3] * 135
    assert severities(facts | {"label_names": [f"intent {i}" for i in range(150)]}) == ["severe", "severe"]


def test_data_without_labels():
    facts = tokens(train={"class_counts": None}) | {"label_names": None}
    assert severities(facts) == []


REPORT = {
    "counts": {"train": {"read": 1000, "empty": 0, "incomplete": 0, "repeats_other_label": 0}},
    "raw": {"train": {"rows": 1000, "markup_left": {"tags": 0}}},
    "baseline": {"texts": 1000, "accuracy": 0.8, "error": 0.01, "majority": 0.5},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"counts.train.repeats_other_label": 6}, ["severe"]),
        ({"counts.train.repeats_other_label": 5}, ["warning"]),
        ({"counts.train.empty": 6, "counts.train.incomplete": 5}, ["warning"]),
        ({"counts.train.empty": 5, "counts.train.incomplete": 5}, []),
        ({"raw.train.markup_left.tags": 10}, []),
        ({"raw.train.markup_left.tags": 11}, ["warning"]),
        ({"baseline.accuracy": 0.52}, ["warning"]),
        ({"baseline.accuracy": 0.996}, ["warning"]),
        ({"baseline": {"skipped": "too few"}}, []),
        ({"baseline": None}, []),
    ],
)
def test_text_findings(changes, expected):
    report = json.loads(json.dumps(REPORT))
    for path, value in changes.items():
        *keys, last = path.split(".")
        place = report
        for key in keys:
            place = place[key]
        place[last] = value
    assert [finding["severity"] for finding in text_findings(report)] == expected
