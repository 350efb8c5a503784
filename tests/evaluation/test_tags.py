import random

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from lightning_nlp.evaluation.tags import are_entities, count, entities, scores, tags_record, types_of

# What seqeval 1.2.2 gives for the sentences below, and for IOB1 and IOB2 nervaluate 1.2.1 (strict) too; both were
# compared on 60 such sets.
REFERENCE = {
    "BI": (0.596429, 0.598566, 0.597496),
    "IB": (0.596273, 0.605678, 0.600939),
    "BIES": (0.696532, 0.675070, 0.685633),
}
SCHEMES = {"BI": "iob2", "IB": "iob1", "BIES": "bioes"}


@pytest.mark.parametrize("prefixes", REFERENCE)
def test_entities_are_those_of_seqeval(prefixes):
    rng = random.Random(f"{SCHEMES[prefixes]}0")
    names = ["O"] + [f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC", "ORG")]
    gold = [[rng.choice(names) for _ in range(rng.randint(1, 12))] for _ in range(60)]
    predicted = [[tag if rng.random() < 0.6 else rng.choice(names) for tag in tags] for tags in gold]
    numbers = [np.array([names.index(tag) for tags in part for tag in tags]) for part in (gold, predicted)]
    rows = np.repeat(np.arange(60), [len(tags) for tags in gold])
    found = scores(count(*numbers, rows, names), names)
    assert tuple(found.values()) == pytest.approx(REFERENCE[prefixes], abs=2e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-A I-A O", [(1, 3, "A")]),
        ("I-A I-A B-A I-B", [(0, 2, "A"), (2, 3, "A"), (3, 4, "B")]),  # IOB1
        ("B-A E-A S-A I-A E-A", [(0, 2, "A"), (2, 3, "A"), (3, 5, "A")]),
        ("B-A L-A U-A B-A M-A E-A", [(0, 2, "A"), (2, 3, "A"), (3, 6, "A")]),
        ("E-A E-A O I-A-B", [(0, 1, "A"), (1, 2, "A"), (3, 4, "A-B")]),
        ("O", []),
    ],
)
def test_entities_of_a_sentence(tags, expected):
    assert entities(tags.split()) == expected


@pytest.mark.parametrize(("rows", "expected"), [([4, 5], 2), ([4, 4], 1)])
def test_an_entity_ends_with_its_sentence(rows, expected):
    tags = np.array([0, 1])
    assert count(tags, tags, np.array(rows), ["B-A", "I-A", "O"]).tolist() == [[expected] * 3]


def test_plain_tags_are_measured_as_by_scikit_learn():
    rng, names = np.random.default_rng(0), list("ABCDEFG")
    gold = rng.integers(0, 6, 300)
    predicted = np.where(rng.random(300) < 0.6, gold, rng.integers(0, 7, 300))
    found = scores(count(gold, predicted, np.zeros(300), names), names)
    theirs = precision_recall_fscore_support(gold, predicted, average="macro", zero_division=0)[:3]
    assert tuple(found.values()) == pytest.approx(theirs, abs=2e-6)


def test_what_counts_as_entities():
    assert are_entities(["O", "B-X", "S-X"])
    assert not are_entities(["O", "B-X", "X"])
    assert not are_entities(["O"])
    assert types_of(["B-X", "I-Y", "O"]) == ["X", "Y"]
    assert types_of(["NOUN", "VERB"]) == ["NOUN", "VERB"]


def test_a_record_is_the_same_in_any_order_of_batches():
    names = ["B-A", "I-A", "O"]
    found = {"targets": np.array([0, 1, 2, 0]), "predictions": np.array([0, 1, 0, 2]), "rows": np.array([3, 3, 3, 1])}
    record = tags_record(found, names)
    assert (record["words"], record["examples"], record["counted"]) == (4, 2, "entities")
    assert record["confusion"] == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
    (part,) = record["by_class"]
    assert (part["label"], part["precision"], part["recall"], part["support"]) == ("A", 0.5, 0.5, 2)
    swapped = {name: np.roll(values, 1) for name, values in found.items()}
    assert tags_record(swapped, names) == record
