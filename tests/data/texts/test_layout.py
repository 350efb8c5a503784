import re

import pytest

from lightning_nlp.data.texts.files import find_files
from lightning_nlp.data.texts.sources import labelled_source, text_source
from lightning_nlp.errors import UserError
from tests.data.texts.test_sources import make, rows, texts


@pytest.mark.parametrize(("name", "split"), [
    ("validation.csv", "validation"), ("valid.csv", "validation"), ("val_1.csv", "validation"),
    ("TEST.csv", "test"), ("imdb_test.csv", "test"), ("testing.csv", "test"), ("testset.jsonl", "test"),
    ("train2.csv", "train"), ("training.csv.gz", "train"),
    ("contest.csv", None), ("interval.csv", None), ("trains.csv", None), ("reviews-dev.tsv", "validation"),
])  # fmt: skip
def test_names_that_tell_the_split(tmp_path, name, split):
    make(tmp_path, "my-train.csv", name)
    expected = {"train": ["my-train.csv"]}
    if split:
        expected.setdefault(split, []).append(name)
    assert texts(labelled_source(str(tmp_path))) == expected


@pytest.mark.parametrize(("names", "train", "others", "left_out"), [
    (["default/train/0000.parquet", "default/test/0000.parquet"], 1, {"test": 1}, {}),
    (["train.parquet/part-0.parquet", "train.parquet/part-1.parquet", "train.parquet/_SUCCESS",
      "dev.parquet/part-0.parquet"], 2, {"validation": 1}, {}),
    (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "data/unsupervised-0.parquet"], 1,
     {"test": 1}, {"no split in its name": ["data/unsupervised-0.parquet"]}),
    (["part-00000-8d1c.csv", "part-00001-8d1c.csv", "_SUCCESS"], 2, {}, {}),
    (["0000.jsonl", "0001.jsonl", "0002.jsonl"], 3, {}, {}),
    (["train.csv", "evaluation.csv", "development.csv"], 1, {"validation": 2}, {}),
    (["train.csv", "validation_matched.csv", "validation_mismatched.csv"], 1, {"validation": 2}, {}),
    (["Train/a.csv", "Train/b.csv", "TEST/c.csv"], 2, {"test": 1}, {}),
    (["train.csv", "._train.csv", "~$test.csv", "_temporary/0/train.csv", "notes.csv", "test.xlsx"], 1, {}, {
        "hidden or temporary": ["._train.csv", "~$test.csv"],
        "no split in its name": ["notes.csv"], "format not supported": ["test.xlsx"]}),
    (["train.csv", "old/train.csv", "old/test.csv"], 1, {}, {"of another data set": ["old/test.csv", "old/train.csv"]}),
    (["data.csv", "old/data.csv"], 1, {}, {"in another folder": ["old/data.csv"]}),
    (["train_0.csv", "train_1.csv", "test-00000-of-00002.parquet", "test-00001-of-00002.parquet"], 2, {"test": 2}, {}),
    (["train.csv", "train (copy).csv", "train_old.csv", "test.csv", "test_predictions.csv"], 1, {"test": 1}, {
        "another file has the plain name; a pattern as --data.path reads both":
        ["train (copy).csv", "train_old.csv", "test_predictions.csv"]}),
    (["train.csv", "test.csv", "test.csv.gz", "test.jsonl"], 1, {"test": 1}, {
        "the same name in another format": ["test.csv.gz", "test.jsonl"]}),
])  # fmt: skip
@pytest.mark.parametrize("labelled", [True, False])
def test_which_file_is_which_split(tmp_path, names, train, others, left_out, labelled):
    make(tmp_path / "data [v2]", *names)
    found = find_files(str(tmp_path / "data [v2]"), labelled=labelled)
    assert {split: len(part) for split, part in found.splits.items()} == {"train": train} | others
    assert found.left_out == left_out
    assert found.splits["train"] == [tmp_path / "data [v2]" / name for name in found.names["train"]]
    if not left_out:  # a pattern gives the same, however the folder is called
        assert find_files(str(tmp_path / "data [v2]" / "**" / "*"), labelled=labelled) == found


def test_the_ways_out_of_a_folder_that_is_not_understood(tmp_path):
    make(tmp_path / "s [1]", "en/train.csv", "de/train.csv", "de/test.csv")
    make(tmp_path / "t [1]", "en.csv", "de.csv")
    with pytest.raises(UserError, match=r"contains several data sets \(de, en\): give --data\.path one"):
        labelled_source(str(tmp_path / "s [1]"))
    assert texts(labelled_source(str(tmp_path / "s [1]" / "de"))) == {
        "train": ["de/train.csv"],
        "test": ["de/test.csv"],
    }
    with pytest.raises(UserError, match=r"rename one to train\.csv, or .* single file, or '.*' to") as caught:
        labelled_source(str(tmp_path / "t [1]"))
    way_out = re.search(r"or '(.*)' to", str(caught.value))[1]
    assert texts(labelled_source(way_out)) == {"train": ["de.csv", "en.csv"]}


def test_folder_without_train_split(tmp_path):
    make(tmp_path, "test.csv", "validation.csv")
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"No file in .* train split: found test\.csv, validation\.csv; rename"):
            find(str(tmp_path))


@pytest.mark.parametrize(("names", "train"), [
    # three classes, one of them without texts, and what an editor leaves behind
    (["train/neg/0.txt", "train/neu/0.txt", "train/pos/0.txt", "train/mixed/0.jpg", "train/pos/._0.txt",
      "train/.ipynb_checkpoints/0.txt", "dev/neu/0.md", "test/pos/0.txt", "stray.csv"], ["neg", "neu", "pos"]),
    # as 20 newsgroups come
    (["20news-bydate-train/sci.med/1", "20news-bydate-train/sci.space/2", "20news-bydate-test/sci.med/3"],
     ["sci.med", "sci.space"]),
    # no split is told, and a class has a split's word in the name of a text
    (["ham/1.txt", "spam/2.txt", "spam/test.txt", "README"], ["ham", "spam", "spam"]),
])  # fmt: skip
def test_folders_of_one_class_each(tmp_path, names, train):
    make(tmp_path, *names)
    for path in (tmp_path, tmp_path / "**" / "*"):
        source = labelled_source(str(path))
        assert [label for _, label in rows(source)] == train
        used = {row.text.strip() for split in source.splits for row in source.splits[split]()}
        assert used == {n for n in names if not re.search(r"/\.|\.jpg|\.csv|README", n)}
    left_out = [line for line in labelled_source(str(tmp_path)).lines() if line.startswith("not used")]
    assert left_out == ["not used: stray.csv (no split in its name)"] * ("stray.csv" in names)


def test_texts_beside_folders_of_classes_are_named(tmp_path):
    make(tmp_path, "train/neg/0.txt", "train/pos/1.txt", "train/urls.txt", "test/2.txt", "test/3.txt", "README")
    assert labelled_source(str(tmp_path)).lines() == [
        "train is read from train/neg, train/pos",
        "not used: test, train/urls.txt (not in the folder of a class)",
    ]


@pytest.mark.parametrize("names", [
    ["train/1.txt", "test/2.txt", "only/3.txt"], ["neg/train/1.txt", "pos/train/2.txt", "pos/test/3.txt"],
])  # fmt: skip
def test_folders_of_texts_that_tell_no_class_are_refused(tmp_path, names):
    make(tmp_path, *names)
    with pytest.raises(UserError, match=r"has no data files \(.*, or texts as train/CLASS/1\.txt, CLASS/1\.txt\)"):
        labelled_source(str(tmp_path))
