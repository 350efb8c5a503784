import random
from dataclasses import replace

import numpy as np
import pytest

from lightning_nlp.data.texts.normalize import clean_text, join_pair, text_digest
from lightning_nlp.data.texts.sources import Row, Source
from lightning_nlp.data.texts.splits import build_splits, draw
from lightning_nlp.errors import UserError


def make_source(label_names=None, drop_incomplete=False, **splits):
    """A source of texts, (text, label) pairs or (text, label, group) triples."""

    def reader(name, items):
        triples = [(*(item if isinstance(item, tuple) else (item,)), None, None)[:3] for item in items]
        return lambda: iter([Row(t, y, f"{name}.csv, line {i}", g) for i, (t, y, g) in enumerate(triples, start=2)])

    readers = {name: reader(name, items) for name, items in splits.items()}
    labelled = any(row.label is not None for row in readers["train"]())
    return Source("made", "0", readers, labelled, label_names, drop_incomplete=drop_incomplete)


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


def test_missing_splits_are_held_out_of_train(tmp_path):
    source = make_source(train=reviews(3000))
    splits, names, counts = build_splits(source, work_dir=tmp_path, test_fraction=0.2, val_fraction=0.1)
    rows = contents(splits, names)
    assert sorted(row for part in rows.values() for row in part) == sorted(reviews(3000))
    # about so many: 600, and a tenth of the rest; five standard deviations are 110 and 75
    assert len(rows["test"]) == pytest.approx(600, abs=110)
    assert len(rows["validation"]) == pytest.approx(240, abs=75)
    assert (counts.test.read, counts.test.kept, counts.train.kept) == (0, len(rows["test"]), len(rows["train"]))
    assert counts.lines()[2] == f"test: held out from train; {len(rows['test'])} used"
    order = [int(text.split()[1]) for text, _ in rows["train"]]
    assert order == sorted(order)


def parts(tmp_path, items, **settings):
    """The part of each text."""
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    splits, _, _ = build_splits(make_source(train=items), work_dir=folder, **settings)
    found = [(row["text"], split) for split, data in splits.items() for row in data]
    assert len(dict(found)) == len(set(found)), "copies fall together"
    return dict(found)


def test_rows_that_come_go_or_change_places_move_no_other_text(tmp_path):
    rng = random.Random(0)
    rows = reviews(400)
    before = parts(tmp_path, rows)
    assert set(before.values()) == {"train", "validation", "test"}
    for size in (40, 41, 200, 399):
        fewer = rng.sample(rows, size)
        assert parts(tmp_path, fewer) == {text: before[text] for text, _ in fewer}
    more = [*rows, *reviews(300, 1000, ("neg", "new"))]
    rng.shuffle(more)
    assert before.items() < parts(tmp_path, more).items()


@pytest.mark.parametrize("settings", [{"deduplicate": False}, {"clean": False}, {"deduplicate": False, "clean": False}])
def test_a_text_stays_in_its_part_whatever_cleaning_does(tmp_path, settings):
    rows = [(form.format(i), "ab"[i % 2]) for i in range(100) for form in ("Film {}<br />bona", " Film {}\n\tbona ")]
    usual = {clean_text(text): part for text, part in parts(tmp_path, rows).items()}
    assert set(usual.values()) == {"train", "validation", "test"}
    other = parts(tmp_path, rows, **settings)
    assert {clean_text(text): part for text, part in other.items()} == usual
    assert all(part == usual[clean_text(text)] for text, part in other.items())


def test_the_draws_are_those_of_all_versions_to_come():
    """Of another cleaning or another hash, earlier runs would be tested on what they were trained on."""
    odd = ["", "A  film<br/>of e\u0301 \x00and \u200b ...", "\u0301" * 40, "ĝis!"]
    digests = b"".join(text_digest(clean_text(text)) for text in odd)
    assert (draw(digests, 42) >> np.uint64(48)).tolist() == [
        [59898, 19776, 41283],
        [43499, 41697, 25881],
        [18255, 44273, 27442],
        [42451, 35367, 34832],
    ]
    assert (draw(digests, 43) != draw(digests, 42)).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_part_that_chance_leaves_empty_takes_the_text_with_the_smallest_hash(tmp_path, seed):
    """Rows that are added then take nothing out of train."""
    trained, count = set(), 0
    for size in range(3, 60):
        found = parts(tmp_path, [f"frazo {i}" for i in range(size)], split_seed=seed, test_fraction=0.02)
        held_out = [text for text, part in found.items() if part != "train"]
        assert {found[text] for text in held_out} == {"validation", "test"}
        assert not trained & set(held_out)
        trained |= set(found) - set(held_out)
        count += sum(part == "test" for part in found.values()) == 1
    assert count > 10, "in most of these there was one test text"


def triples(number, authors):
    return [(f"review {i}", "neg" if i % 3 else "pos", f"author {i % authors}") for i in range(number)]


def test_texts_of_one_group_are_held_out_together(tmp_path):
    rows = [*triples(300, 40), *[(f"letter {i}", "neg", None) for i in range(100)]]
    found = parts(tmp_path, rows)
    authors = {}
    for text, _, author in rows:
        if author is not None:
            authors.setdefault(author, set()).add(found[text])
    assert all(len(part) == 1 for part in authors.values())
    assert set.union(*authors.values()) == {"train", "validation", "test"}
    assert len({found[text] for text, _, author in rows if author is None}) == 3, "each of these is its own group"
    shuffled = random.Random(1).sample(rows, len(rows))
    assert parts(tmp_path, shuffled[:250]).items() <= found.items()


def test_of_copies_in_several_groups_one_counts_whatever_their_order(tmp_path):
    rows = [*triples(300, 40), *[(text, label, f"again {author}") for text, label, author in triples(300, 40)]]
    found = parts(tmp_path, rows)
    assert parts(tmp_path, rows[::-1]) == found
    assert parts(tmp_path, rows, deduplicate=False) == found


def test_groups_in_a_split_of_the_data_are_dropped_from_the_others(tmp_path):
    source = make_source(
        test=[("t1", "a", "eva"), ("t2", "b", None)],
        validation=[("v1", "a", "eva"), ("v2", "b", "ada"), ("v3", "a", None)],
        train=[("x1", "a", "eva"), ("x2", "a", "ada"), ("x3", "b", "ann"), ("x4", "a", None), ("x5", "b", "ann")],
    )
    for deduplicate in (True, False):
        splits, _, counts = build_splits(source, work_dir=tmp_path / str(deduplicate), deduplicate=deduplicate)
        assert contents(splits) == {"train": ["x3", "x4", "x5"], "validation": ["v2", "v3"], "test": ["t1", "t2"]}
        assert [counts.train.other_group, counts.validation.other_group] == [2, 1]
        assert "2 with groups of another split dropped" in counts.lines()[0]


def test_what_stands_in_two_splits(tmp_path):
    source = make_source(
        test=[("t1", "a"), ("t2", "b"), ("t1", "a"), ("  T ", "b")],
        validation=[("v1", "a"), ("t2", "b"), ("v2", "b"), ("v1", "b")],
        train=[
            *(("x", "a"), ("x", "b"), ("y<br />z", "b"), ("y\nz", "b")),
            *((text, "a") for text in ("t1 ", "v1", "t2", "w")),
        ],
    )
    splits, names, counts = build_splits(source, work_dir=tmp_path / "left in", deduplicate=False)
    assert [len(rows) for rows in splits.values()] == [8, 4, 4]
    assert "dropped" not in "".join(counts.lines())
    splits, names, counts = build_splits(source, work_dir=tmp_path / "dropped")
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
        "train: 8 rows read, 2 found in test dropped, 1 found in validation dropped, "
        "2 repeats (1 with another label) dropped; 3 used",
        "validation: 4 rows read, 1 found in test dropped, 1 repeat (1 with another label) left in; 3 used",
        "test: 4 rows read, 1 repeat left in; 4 used",
    ]


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


def test_samples_are_the_texts_with_the_smallest_hashes(tmp_path):
    rows = {"train": reviews(400), "validation": reviews(40, 1000), "test": reviews(40, 2000)}
    source, digests = make_source(**rows), {}
    for column, split in enumerate(rows):
        drawn = draw(b"".join(text_digest(text) for text, _ in rows[split]), 3)[:, column]
        digests[split] = [rows[split][i][0] for i in np.argsort(drawn)]
    splits, _, counts = build_splits(
        source, work_dir=tmp_path / "a", split_seed=3, max_train_samples=100, max_val_samples=10, max_test_samples=1000
    )
    found = contents(splits)
    assert sorted(found["train"]) == sorted(digests["train"][:100])
    assert sorted(found["validation"]) == sorted(digests["validation"][:10])
    assert found["test"] == [text for text, _ in rows["test"]]
    assert found["train"] == sorted(found["train"], key=lambda text: int(text.split()[1]))
    assert (counts.train.kept, counts.validation.kept, counts.test.kept) == (100, 10, 40)
    more, _, _ = build_splits(source, work_dir=tmp_path / "b", split_seed=3, max_train_samples=200)
    assert set(found["train"]) < set(contents(more)["train"])


@pytest.mark.parametrize(("labels", "expected"), [
    (["10", "9", "2"], ["2", "9", "10"]),
    (["1", "-1", "-2"], ["-2", "-1", "1"]),
    (["pos", "Neg", "neutral"], ["Neg", "neutral", "pos"]),
    (["10", "9", "x"], ["10", "9", "x"]),
])  # fmt: skip
def test_order_of_labels(tmp_path, labels, expected):
    splits, names, _ = build_splits(make_source(train=reviews(60, labels=labels)), work_dir=tmp_path)
    assert names == expected
    assert set(contents(splits, names)["train"]) < {(text, str(label)) for text, label in reviews(60, labels=labels)}


INCOMPLETE = [("a", "1"), ("", "1"), ("b", None), ("c", "2"), ("  ", "2"), *zip("defg", "2121", strict=True)]


BOUNDS = "must be greater than 0 and less than 1, not"


@pytest.mark.parametrize(("train", "others", "message"), [
    (["a"], {}, "train has 1 row, too few.*--data.path"),
    (["a", "b", *"aaa"], {}, "train has 2 rows, too few"),
    (triples(30, 2), {}, "train has 30 rows of 2 different texts or groups, .*--data.val_fraction"),
    (reviews(9), {"validation": reviews(2, 50), "test": reviews(4, 50)}, "No row is left for validation .*: all are"),
    (reviews(9, labels="a"), {}, r"only one label, 'a' \(first in train\.csv, line 2\).*--data\.label_column"),
    ([("x", "a"), ("y", "b"), ("z", "a")], {}, "only one label after validation and test were held out of its 3 rows"),
    (reviews(20), {"max_train_samples": 1}, "only one label after samples were drawn from its 20.*--data.max_train_s"),
    (reviews(9), {"test": [("x", "odd"), ("y", "odd")]}, r"'odd' is in test \(first in test\.csv, line 2\) .*neg, pos"),
    (reviews(9), {"validation": [("x", "odd")]}, "'odd' is in validation"),
    (INCOMPLETE, {"test": [("t", None), ("u", "1")]},
     r"^4 rows without text or label: test.csv, line 2; train.csv, line 3; .*4; train.csv, line 6; .*drop_incomplete"),
    ([*reviews(4), *[("", "a")] * 1500], {}, r"1,500 rows .*, line 15 \(first 10\); fill"),
    *((reviews(9), {f"{split}_fraction": value}, f"--data.{split}_fraction {BOUNDS} {value}")
      for split, value in (("val", 0), ("test", 1), ("test", float("nan")))),
    *((reviews(9), {f"max_{split}_samples": 0}, f"--data.max_{split}_samples must be at least 1, not 0")
      for split in ("train", "val")),
])  # fmt: skip
def test_what_cannot_be_split(train, others, message, tmp_path):
    splits = {name: others.pop(name) for name in ("validation", "test") if name in others}
    with pytest.raises(UserError, match=message):
        build_splits(make_source(train=train, **splits), work_dir=tmp_path, **others)


def test_labelled_rows_that_cleaning_empties(tmp_path):
    pairs = [*reviews(20), ("<br />", "pos")]
    splits, _, counts = build_splits(make_source(train=pairs, test=pairs[-3:]), work_dir=tmp_path)
    assert (counts.train.empty, counts.test.empty) == (1, 1)
    assert contents(splits)["test"] == ["review 18", "review 19", ""]  # a benchmark keeps its rows
    assert "" not in contents(splits)["train"] + contents(splits)["validation"]


@pytest.mark.parametrize("clean", [True, False])
def test_pairs_repeat_and_leak_by_both_texts(clean, tmp_path):
    train = [join_pair(pair) for pair in [("a", "b"), ("b", "a"), ("a", "c"), ("ab", "b"), (" a", "b<br>"), ("x", "y")]]
    labelled = list(zip([*train, join_pair(["<br>", "z"])], "pnpnppn", strict=True))
    source = make_source(
        train=labelled, validation=[(join_pair(["q", "b"]), "p")], test=[(join_pair(["x ", "y"]), "p")]
    )
    splits, _, counts = build_splits(replace(source, paired=True), work_dir=tmp_path, clean=clean)
    assert contents(splits)["train"] == ["a\x1fb", "b\x1fa", "a\x1fc", "ab\x1fb"]
    assert contents(splits)["test"] == ["x\x1fy" if clean else "x \x1fy"]
    assert (counts.train.repeats, counts.train.in_test, counts.train.empty) == (1, 1, 1)
