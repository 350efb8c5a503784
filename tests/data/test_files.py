import os
import re

import datasets
import pytest

from lightning_nlp.data.sources import labelled_source, text_source
from lightning_nlp.errors import UserError
from tests.data.test_sources import make, texts


def test_glob_is_train_in_the_order_of_names(tmp_path):
    make(tmp_path, "b.csv", "a.jsonl", "c.csv.gz", "notes.md", "d.txt")
    source = labelled_source(str(tmp_path / "*"))
    assert texts(source) == {"train": ["a.jsonl", "b.csv", "c.csv.gz"]}
    assert source.description == "a.jsonl (+2 files)"


def test_glob_whose_names_tell_the_split(tmp_path):
    make(tmp_path, "train-0.csv", "test-0.csv")
    assert texts(labelled_source(str(tmp_path / "*.csv"))) == {"train": ["train-0.csv"], "test": ["test-0.csv"]}


@pytest.mark.parametrize("subfolder", ["", "plain_text/", "data/"])
def test_folder_as_on_the_hub(tmp_path, subfolder):
    names = [f"{subfolder}{name}-00000-of-00001.parquet" for name in ("train", "test", "unsupervised")]
    make(tmp_path / "imdb", *names, "README.md")
    source = labelled_source(str(tmp_path / "imdb"))
    assert texts(source) == {"train": [names[0]], "test": [names[1]]}
    assert source.description == "imdb"


@pytest.mark.parametrize(("name", "split"), [
    ("validation.csv", "validation"), ("valid.csv", "validation"), ("val_1.csv", "validation"),
    ("dev.csv", "validation"), ("reviews-dev.tsv", "validation"),
    ("TEST.csv", "test"), ("imdb_test.csv", "test"), ("testing.csv", "test"), ("testset.jsonl", "test"),
    ("train2.csv", "train"), ("training.csv.gz", "train"),
    ("contest.csv", None), ("interval.csv", None), ("device.csv", None), ("testament.csv", None), ("trains.csv", None),
])  # fmt: skip
def test_names_that_tell_the_split(tmp_path, name, split):
    make(tmp_path, "my-train.csv", name)
    expected = {"train": ["my-train.csv"]}
    if split:
        expected.setdefault(split, []).append(name)
    assert texts(labelled_source(str(tmp_path))) == expected


def test_splits_come_in_the_usual_order(tmp_path):
    make(tmp_path, "dev.csv", "test.csv", "train.csv")
    assert list(labelled_source(str(tmp_path)).splits) == ["train", "validation", "test"]


def test_folder_without_train_split(tmp_path):
    make(tmp_path, "test.csv", "validation.csv")
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"No file in .* train split: found test\.csv, validation\.csv; rename"):
            find(str(tmp_path))


def test_folder_without_split_words(tmp_path):
    make(tmp_path, "a.csv", "b.csv")
    with pytest.raises(UserError, match=r"train split: found a\.csv, b\.csv"):
        labelled_source(str(tmp_path))
    assert texts(text_source(str(tmp_path), cache_dir=tmp_path)) == {"train": ["a.csv", "b.csv"]}


def test_folder_without_data(tmp_path):
    make(tmp_path, "README.md")
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))} holds no data files \(.csv.*--data\.path"):
        labelled_source(str(tmp_path))


@pytest.mark.parametrize(
    "path", ["", "reviews", "none/reviews.csv", "./org/name", "/none/at/all", "a/b/c", "~/nothing"]
)
def test_neither_file_nor_hub_id(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: pytest.fail("asked the Hub"))
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=rf"'{re.escape(path)}' is neither a file, a folder nor .*--data\.path"):
            find(path)


def test_glob_without_match(tmp_path):
    make(tmp_path, "a.txt")
    with pytest.raises(UserError, match=r"No data file \(.csv.*\) matches .*\*\.csv.*--data\.path"):
        labelled_source(str(tmp_path / "*.csv"))
    with pytest.raises(UserError, match="No data file"):
        labelled_source(str(tmp_path / "*.txt"))  # plain text has no labels


def test_file_of_an_unknown_format(tmp_path):
    make(tmp_path, "reviews.xlsx")
    with pytest.raises(UserError, match=r"reviews\.xlsx is in no format .* \.csv, \.tsv, \.jsonl, \.parquet"):
        labelled_source(str(tmp_path / "reviews.xlsx"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(tmp_path):
    make(tmp_path, "a.csv")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(UserError, match=r"a\.csv cannot be read \(Permission denied\)"):
        labelled_source(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("path", ["x" * 5000, "~nobody-of-this-name/reviews.csv", "a\0b"])
def test_names_that_no_file_can_have(tmp_path, path):
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"neither a file|File name too long"):
            find(path)
