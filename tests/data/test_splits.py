import csv
from collections import Counter

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from lightning_nlp.data.sources import Row, Source, labelled_source, text_source
from lightning_nlp.data.splits import build_splits, stratified_indices
from lightning_nlp.errors import UserError


def test_stratified_indices_against_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 1000, p=[0.5, 0.3, 0.15, 0.05])
    for size in (40, 100, 333, 999 - 4):
        drawn = stratified_indices(labels, size, 1000, seed=1)
        assert len(drawn) == len(np.unique(drawn)) == size
        assert (np.diff(drawn) > 0).all()
        _, reference = train_test_split(np.arange(1000), test_size=size, stratify=labels, random_state=0)
        ours, theirs = np.bincount(labels[drawn]), np.bincount(labels[reference])
        assert np.abs(ours - theirs).max() <= 1
        exact = size * np.bincount(labels) / 1000
        assert (np.floor(exact) <= ours).all()
        assert (ours <= np.ceil(exact)).all()


def test_largest_remainder():
    labels = [0] * 47 + [1] * 33 + [2] * 20
    # 10 of 100: 4.7, 3.3 and 2.0, so the first class gets the one that is left over
    assert np.bincount(np.array(labels)[stratified_indices(labels, 10, 100, 0)]).tolist() == [5, 3, 2]


def test_stratified_indices_depend_on_the_seed_alone():
    labels = [0, 1] * 50
    one, again, two = (stratified_indices(labels, 20, 100, seed) for seed in (0, 0, 1))
    assert one.tolist() == again.tolist() != two.tolist()
    assert not np.array_equal(one, np.arange(20))


def test_stratified_indices_without_labels():
    drawn = stratified_indices(None, 30, 100, 0)
    assert len(set(drawn.tolist())) == 30
    assert drawn.tolist() == sorted(drawn.tolist()) != list(range(30))
    hits = np.zeros(100)
    for seed in range(300):
        hits[stratified_indices(None, 30, 100, seed)] += 1
    assert 50 < hits.min() <= hits.max() < 130  # 90 expected of each; 5 standard deviations are 40


@pytest.mark.parametrize("size", [0, 10])
def test_stratified_indices_at_the_limits(size):
    for labels in (None, [0, 1] * 5):
        assert stratified_indices(labels, size, 10, 0).tolist() == list(range(size))


def test_small_classes_are_on_both_sides():
    labels = np.array([0] * 96 + [1] * 2 + [2] * 1 + [3] * 1)
    for size in (2, 5, 50, 90):
        drawn = np.bincount(labels[stratified_indices(labels, size, 100, 0)], minlength=4)
        assert drawn.sum() == size
        assert drawn[0] >= 1
        assert drawn[1] == 1
        assert drawn[2] == drawn[3] == 0  # a single example stays where most are
    # Too few to give one to each class, and too many to leave one of each: nothing is lost or doubled.
    for size in (1, 97, 98, 99):
        assert len(np.unique(stratified_indices(labels, size, 100, 0))) == size


def test_more_classes_than_can_be_drawn():
    labels = np.repeat(np.arange(50), 2)
    assert len(np.unique(stratified_indices(labels, 7, 100, 0))) == 7
    assert np.bincount(labels[stratified_indices(labels, 50, 100, 0)]).tolist() == [1] * 50


def make_source(label_names=None, drop_incomplete=False, **splits):
    """A source of (text, label) pairs or texts."""

    def reader(name, items):
        pairs = [item if isinstance(item, tuple) else (item, None) for item in items]
        return lambda: iter([Row(t, y, f"{name}.csv, line {i}") for i, (t, y) in enumerate(pairs, start=2)])

    readers = {name: reader(name, items) for name, items in splits.items()}
    return Source("made", "0", readers, label_names, drop_incomplete=drop_incomplete)


def reviews(n, start=0, labels=("neg", "pos")):
    return [(f"review {i}", labels[i % len(labels)]) for i in range(start, start + n)]


def contents(splits, names=None):
    rows = {split: list(data) for split, data in splits.items()}
    return {
        split: [(row["text"], names[row["label"]]) if names else row["text"] for row in part]
        for split, part in rows.items()
    }


def test_given_splits_stay(tmp_path):
    source = make_source(train=reviews(20), validation=reviews(6, 100), test=reviews(8, 200))
    splits, names, counts = build_splits(source, work_dir=tmp_path / "work")
    assert list(splits) == ["train", "validation", "test"]
    assert names == ["neg", "pos"]
    assert contents(splits, names) == {
        "train": reviews(20), "validation": reviews(6, 100), "test": reviews(8, 200)
    }  # fmt: skip
    assert splits["train"].features["text"].dtype == "string"
    assert splits["train"].features["label"].dtype == "int64"
    for split, data in splits.items():
        assert data.cache_files == [{"filename": str(tmp_path / "work" / f"{split}.arrow")}]  # memory-mapped
    assert (counts.train.read, counts.validation.kept, counts.test.kept) == (20, 6, 8)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == sorted(f"{split}.arrow" for split in splits)


def test_missing_splits_are_cut_from_train(tmp_path):
    source = make_source(train=reviews(1000, labels=("a", "a", "a", "b")))
    splits, names, counts = build_splits(source, work_dir=tmp_path, test_fraction=0.2, val_fraction=0.1)
    rows = contents(splits, names)
    assert {split: len(part) for split, part in rows.items()} == {"train": 720, "validation": 80, "test": 200}
    assert sorted([row for part in rows.values() for row in part]) == sorted(reviews(1000, labels=("a", "a", "a", "b")))
    assert {split: Counter(y for _, y in part)["b"] for split, part in rows.items()} == {
        "train": 180, "validation": 20, "test": 50
    }  # fmt: skip
    assert (counts.test.read, counts.test.kept, counts.train.kept) == (0, 200, 720)
    order = [int(text.split()[1]) for text, _ in rows["train"]]
    assert order == sorted(order)


def test_only_the_missing_split_is_cut(tmp_path):
    splits, _, _ = build_splits(make_source(train=reviews(100), test=reviews(10, 500)), work_dir=tmp_path)
    assert {split: len(data) for split, data in splits.items()} == {"train": 90, "validation": 10, "test": 10}
    assert contents(splits)["test"] == [text for text, _ in reviews(10, 500)]


def test_draws_depend_on_the_seed_alone(tmp_path):
    source = make_source(train=reviews(200))
    one, again, two = (
        contents(build_splits(source, work_dir=tmp_path / str(i), seed=seed, max_train_samples=50)[0])
        for i, seed in enumerate((0, 0, 1))
    )
    assert one == again
    assert all(one[split] != two[split] for split in one)


def test_what_stands_in_two_splits(tmp_path):
    source = make_source(
        test=[("t1", "a"), ("t2", "b"), ("t1", "a"), ("  T ", "b")],
        validation=[("v1", "a"), ("t2", "b"), ("v2", "b"), ("v1", "b")],
        train=[
            ("x", "a"),
            ("x", "b"),
            ("y<br />z", "b"),
            ("y\nz", "b"),
            ("t1 ", "a"),
            ("v1", "a"),
            ("t2", "a"),
            ("w", "a"),
        ],
    )
    splits, names, counts = build_splits(source, work_dir=tmp_path)
    assert contents(splits, names) == {
        "train": [("x", "a"), ("y\nz", "b"), ("w", "a")],
        "validation": [("v1", "a"), ("v2", "b"), ("v1", "b")],
        "test": [("t1", "a"), ("t2", "b"), ("t1", "a"), ("T", "b")],
    }
    train = counts.train
    assert (train.read, train.in_test, train.in_validation, train.repeats, train.repeats_other_label, train.kept) == (
        8, 2, 1, 2, 1, 3
    )  # fmt: skip
    assert (counts.validation.in_test, counts.validation.repeats, counts.validation.repeats_other_label) == (1, 1, 1)
    assert (counts.test.repeats, counts.test.repeats_other_label, counts.test.kept) == (1, 0, 4)
    assert counts.lines() == [
        "train: 8 rows read, 2 that stand in test dropped, 1 that stand in validation dropped, "
        "2 repeats (1 with another label) dropped; 3 used",
        "validation: 4 rows read, 1 that stand in test dropped, 1 repeat (1 with another label) left in; 3 used",
        "test: 4 rows read, 1 repeat left in; 4 used",
    ]


def test_without_deduplication(tmp_path):
    pairs = [("x", "a"), ("x", "b"), ("t", "a"), ("y", "a")]
    source = make_source(train=pairs, validation=[("t", "a")], test=[("t", "a")])
    splits, names, counts = build_splits(source, work_dir=tmp_path, deduplicate=False)
    assert contents(splits, names) == {"train": pairs, "validation": [("t", "a")], "test": [("t", "a")]}
    train = counts.train
    assert (train.in_test, train.in_validation, train.repeats, counts.validation.in_test) == (1, 0, 1, 1)
    assert "left in" in counts.lines()[0]
    assert "dropped" not in "".join(counts.lines())


def test_without_cleaning(tmp_path):
    source = make_source(
        train=[("a<br /> b\x00", "1"), ("a\nb", "2"), ("cut \ud83d", "2")],
        validation=reviews(2, labels="12"),
        test=[(" t", "1")],
    )
    splits, _, counts = build_splits(source, work_dir=tmp_path, clean=False)
    # The second row repeats the first one but for markup. UTF-8 cannot hold half a surrogate pair.
    assert contents(splits)["train"] == ["a<br /> b\x00", "cut ?"]
    assert contents(splits)["test"] == [" t"]
    assert counts.train.repeats == 1


def test_texts_without_labels(tmp_path):
    source = make_source(train=[f"frazo {i}" for i in range(100)] + ["frazo 1", "", " \x00<br />"])
    splits, names, counts = build_splits(source, work_dir=tmp_path)
    assert names is None
    assert splits["train"].column_names == ["text"]
    assert (len(splits["train"]), len(splits["validation"]), len(splits["test"])) == (81, 9, 10)
    assert (counts.train.repeats, counts.train.empty, counts.train.incomplete) == (1, 2, 0)
    assert "1 repeat dropped" in counts.lines()[0]


def test_samples_keep_the_proportions(tmp_path):
    source = make_source(
        train=reviews(400, labels="aaab"), validation=reviews(40, 1000, "ab"), test=reviews(40, 2000, "ab")
    )
    splits, _, counts = build_splits(
        source, work_dir=tmp_path, max_train_samples=100, max_val_samples=10, max_test_samples=1000
    )
    assert {split: np.bincount(data["label"]).tolist() for split, data in splits.items()} == {
        "train": [75, 25], "validation": [5, 5], "test": [20, 20]
    }  # fmt: skip
    assert (counts.train.kept, counts.validation.kept, counts.test.kept) == (100, 10, 40)


def test_rare_class_stays_in_train(tmp_path):
    source = make_source(train=[*reviews(99), ("rare", "rare")])
    splits, names, _ = build_splits(source, work_dir=tmp_path, max_train_samples=3)
    assert ("rare", "rare") in contents(splits, names)["train"]
    assert len(splits["train"]) == 3


@pytest.mark.parametrize(("labels", "expected"), [
    ([10, 9, 2], ["2", "9", "10"]),
    (["10", "9", "2"], ["2", "9", "10"]),
    ([1, -1, 0], ["-1", "0", "1"]),
    (["pos", "Neg", "neutral"], ["Neg", "neutral", "pos"]),
    (["10", "9", "x"], ["10", "9", "x"]),
])  # fmt: skip
def test_order_of_labels(tmp_path, labels, expected):
    splits, names, _ = build_splits(make_source(train=reviews(60, labels=labels)), work_dir=tmp_path)
    assert names == expected
    assert set(contents(splits, names)["train"]) < {(text, str(label)) for text, label in reviews(60, labels=labels)}


@pytest.mark.parametrize("labels", [(0, 1), ("pos", "neg")])
def test_names_of_the_source_win(tmp_path, labels):
    source = make_source(("pos", "neg", "unused"), train=reviews(60, labels=labels))
    splits, names, _ = build_splits(source, work_dir=tmp_path)
    assert names == ["pos", "neg", "unused"]
    assert all(row["label"] == int(row["text"].split()[1]) % 2 for row in splits["train"])


def test_label_unknown_to_the_source(tmp_path):
    with pytest.raises(UserError, match=r"'2' is none of a, b: train\.csv, line 4.*--data\.label_column"):
        build_splits(make_source(("a", "b"), train=[("x", 0), ("y", 1), ("z", 2)]), work_dir=tmp_path)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_label_that_train_lacks(tmp_path, split):
    source = make_source(train=reviews(20), **{split: [*reviews(4, 100), ("x", "mixed"), ("y", "mixed")]})
    with pytest.raises(UserError, match=rf"'mixed' stands in {split} \(first in {split}\.csv, line 6\) .*neg, pos"):
        build_splits(source, work_dir=tmp_path)


def test_one_class_only(tmp_path):
    with pytest.raises(UserError, match=r"one label only, 'a' \(first in train\.csv, line 2\).*--data\.label_column"):
        build_splits(make_source(train=reviews(20, labels="a")), work_dir=tmp_path)
    source = make_source(train=[("x", "a"), ("y", "b"), ("z", "a")])
    with pytest.raises(UserError, match="one label only after validation and test were held out of its 3 rows"):
        build_splits(source, work_dir=tmp_path)


@pytest.mark.parametrize("name", ["val_fraction", "test_fraction"])
@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, float("nan")])
def test_fractions_out_of_range(tmp_path, name, value):
    with pytest.raises(UserError, match=rf"--data\.{name} .*between 0 and 1, not {value}"):
        build_splits(make_source(train=reviews(20)), work_dir=tmp_path, **{name: value})


@pytest.mark.parametrize("name", ["max_train_samples", "max_val_samples", "max_test_samples"])
def test_too_few_samples(tmp_path, name):
    with pytest.raises(
        UserError, match=rf"--data\.{name} 2 is less than one example of each of the 3 classes: .* 3, or"
    ):
        build_splits(make_source(train=reviews(90, labels="abc")), work_dir=tmp_path, **{name: 2})
    with pytest.raises(UserError, match=rf"--data\.{name} 0 is less than one example"):
        build_splits(make_source(train=["a", "b", "c"]), work_dir=tmp_path, **{name: 0})


@pytest.mark.parametrize(("n", "left"), [(1, "1 row"), (2, "2 rows")])
def test_too_few_rows(tmp_path, n, left):
    texts = [f"frazo {i}" for i in range(n)] + ["frazo 0"] * 5
    with pytest.raises(UserError, match=rf"train has {left}, too few.*--data\.path"):
        build_splits(make_source(train=texts), work_dir=tmp_path)
    splits, _, _ = build_splits(make_source(train=["a", "b", "c"]), work_dir=tmp_path)
    assert [len(data) for data in splits.values()] == [1, 1, 1]


def test_split_that_is_left_empty(tmp_path):
    source = make_source(train=reviews(20), validation=reviews(2, 100), test=reviews(4, 100))
    with pytest.raises(
        UserError, match="No row is left for validation after cleaning: all are empty or stand in another"
    ):
        build_splits(source, work_dir=tmp_path)


INCOMPLETE = [
    ("a", "1"),
    ("", "1"),
    ("b", None),
    ("c", "2"),
    ("  ", "2"),
    ("d", "2"),
    ("e", "1"),
    ("f", "2"),
    ("g", "1"),
]


def test_incomplete_rows_are_listed_over_all_splits(tmp_path):
    source = make_source(train=INCOMPLETE, test=[("t", None), ("u", "1")])
    listed = r"^4 rows without text or label: test\.csv, line 2; train\.csv, lines 3, 4, 6; fill .*"
    with pytest.raises(UserError, match=listed + r"--data\.drop_incomplete true"):
        build_splits(source, work_dir=tmp_path)


def test_many_incomplete_rows_are_cut_short(tmp_path):
    source = make_source(train=[*reviews(4), *[("", "a")] * 1500])
    with pytest.raises(UserError, match=r"1,500 rows .*lines 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 \(first 10\); fill"):
        build_splits(source, work_dir=tmp_path)


def test_incomplete_rows_are_dropped_on_request(tmp_path):
    source = make_source(drop_incomplete=True, train=INCOMPLETE, test=[("t", None), ("u", "1")])
    splits, names, counts = build_splits(source, work_dir=tmp_path)
    rows = contents(splits, names)
    complete = [("a", "1"), ("c", "2"), ("d", "2"), ("e", "1"), ("f", "2"), ("g", "1")]
    assert sorted(rows["train"] + rows["validation"]) == complete
    assert rows["test"] == [("u", "1")]
    assert (counts.train.incomplete, counts.test.incomplete) == (3, 1)
    assert "3 without text or label dropped" in counts.lines()[0]


def test_labelled_rows_that_cleaning_empties(tmp_path):
    pairs = [*reviews(20), ("<br />", "pos")]
    splits, _, counts = build_splits(make_source(train=pairs, test=pairs[-3:]), work_dir=tmp_path)
    assert (counts.train.empty, counts.test.empty) == (1, 1)
    assert contents(splits)["test"] == ["review 18", "review 19", ""]  # a benchmark keeps its rows
    assert "" not in contents(splits)["train"] + contents(splits)["validation"]


def test_error_of_a_reader_comes_through(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,1\nb,2\nc\n")
    with pytest.raises(UserError, match=r"1 fields where the header has 2: .*a\.csv, line 4"):
        build_splits(labelled_source(str(tmp_path / "a.csv")), work_dir=tmp_path / "work")


def test_from_files_to_splits(tmp_path):
    with (tmp_path / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *[(f"film {i}<br />bona", i % 2) for i in range(50)], ("", "1")])
    with pytest.raises(UserError, match=r"1 row without text or label: train\.csv, line 52; fill"):
        build_splits(labelled_source(str(tmp_path / "train.csv")), work_dir=tmp_path / "one")
    source = labelled_source(str(tmp_path / "train.csv"), drop_incomplete=True)
    splits, names, _ = build_splits(source, work_dir=tmp_path / "two")
    assert names == ["0", "1"]
    rows = [row for part in contents(splits, names).values() for row in part]
    assert sorted(rows) == sorted((f"film {i}\nbona", str(i % 2)) for i in range(50))
    source = text_source(str(tmp_path / "train.csv"), cache_dir=tmp_path)
    splits, names, counts = build_splits(source, work_dir=tmp_path / "three")
    assert names is None
    assert sum(map(len, splits.values())) == 50
    assert counts.train.empty == 1
