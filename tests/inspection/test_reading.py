import csv
import random
import sys

import pytest

from lightning_nlp.data.texts.sources import labelled_source
from lightning_nlp.inspection import reading
from lightning_nlp.inspection.reading import linear_baseline, read_texts
from tests.conftest import BAD, GOOD, NOUNS


def read(folder, train, test=()):
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        if rows:
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("text", "label"), *rows])
    return read_texts(labelled_source(str(folder), drop_incomplete=True))


def test_facts_of_a_split(tmp_path):
    rows = [
        ("one two three", "a"),
        ("four<br />five", "b"),
        ("six  seven", "a"),
        ("<br />", "a"),
        (" ", "b"),
        ("x", ""),
    ]
    raw, texts, _ = read(tmp_path / "data", rows)
    assert raw["train"]["rows"] == 3, "of those with a text and a label"
    assert texts == [("one two three", "a"), ("four\nfive", "b"), ("six seven", "a")]


@pytest.mark.parametrize(
    ("text", "kind", "left"),
    [
        ("good<br>film", "line breaks", 0),
        ("good < BR / > film", "line breaks", 0),
        ('good <a href="x">film</a>', "tags", 1),
        ("</div> good", "tags", 1),
        ("Tom &amp; Jerry &#39;", "entities", 1),
        ("cafÃ© noir", "broken characters", 1),
        ("caf\ufffd noir", "broken characters", 1),
        *((text, None, 0) for text in ("1 < 2 and 3 > 2", "I <3 it", "AT&T; R&D", "a <- b", "100% & more;")),
    ],
)
def test_markup(text, kind, left, tmp_path):
    train = read(tmp_path / "data", [(text, "a")])[0]["train"]
    assert train["markup"] == ({kind: 1} if kind else {})
    assert train["markup_left"] == ({kind: 1} if left else {})


def test_texts_that_repeat_or_are_held_out_are_not_kept(tmp_path):
    train = [("a b", "x"), ("a b", "x"), ("a  b", "x"), ("c", "x"), ("c", "y"), ("d<br />e", "y"), ("f", "x")]
    test = [("f", "x"), ("f", "x"), ("d\ne", "x"), ("h", "y")]
    _, texts, found = read(tmp_path / "data", train, test)
    assert texts == [("a b", "x"), ("c", "x")]
    assert [(example["text"], example["labels"]) for example in found] == [("c", "x, y"), ("d e", "x, y")]
    assert all("line" in example["first"] and "line" in example["again"] for example in found)


def test_of_many_texts_a_sample_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_TEXTS", 50)
    rows = [(f"sentence {n}", "ab"[n % 2]) for n in range(800)]
    raw, texts, _ = read(tmp_path / "data", rows)
    places = [int(text.split()[1]) for text, _ in texts]
    assert len(set(places)) == 50
    assert 250 < sum(places) / 50 < 550, "from all over the file"
    assert raw["train"]["rows"] == 800
    assert read(tmp_path / "data", rows)[1] == texts


def reviews(number, wrong=()):
    rng = random.Random(0)
    texts = []
    for n in range(number):
        words = GOOD if n % 2 else BAD
        text = f"the {rng.choice(NOUNS)} was {rng.choice(words)}, the {rng.choice(NOUNS)} {rng.choice(words)} {n}"
        texts.append((text, ["neg", "pos"][(n + (n in wrong)) % 2]))
    return texts


def test_it_is_right_on_all_but_the_wrong_labels_and_leaves_out_a_class_too_small_for_the_folds():
    found = linear_baseline([*reviews(160, {7, 30, 55, 110}), *[(text, "odd") for text, _ in reviews(3)]])
    assert found["texts"] == 160
    assert found["accuracy"] == found["f1"] == 1 - 4 / 160
    assert found["error"] == pytest.approx((0.975 * 0.025 / 160) ** 0.5, abs=1e-6)
    assert found["majority"] == 0.5


@pytest.mark.parametrize(
    "texts",
    [reviews(10), [(text, "pos") for text, _ in reviews(60)], [("?!", label) for _, label in reviews(60)], []],
    ids=["few", "one class", "no words", "none"],
)
def test_where_nothing_can_be_learnt(texts):
    assert set(linear_baseline(texts)) == {"skipped"}


def test_without_scikit_learn_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    assert linear_baseline(reviews(60)) == {"skipped": "it needs scikit-learn: pip install -e '.[inspect]'"}
