import os
import re

import datasets
import pytest

from lightning_nlp.data.texts.sources import labelled_source, text_source
from lightning_nlp.errors import UserError
from tests.data.texts.test_sources import make, texts


def test_glob_is_train_in_the_order_of_names(tmp_path):
    make(tmp_path, "b.csv", "a.jsonl", "c.csv.gz", "notes.md", "d.txt")
    source = labelled_source(str(tmp_path / "*"))
    assert texts(source) == {"train": ["a.jsonl", "b.csv", "c.csv.gz"]}
    assert source.description == "a.jsonl (+2 files)"


def test_links_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path, "elsewhere/a.csv", "data/test.csv")
    (tmp_path / "data" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "data")
    assert texts(labelled_source(str(tmp_path / "data"))) == {"train": ["elsewhere/a.csv"], "test": ["data/test.csv"]}


@pytest.mark.parametrize("path", ["https://host/reviews.csv", "s3://bucket/*.parquet", "https://host/a.jsonl?x=1"])
def test_an_address_that_is_not_read(tmp_path, path):
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"is an address,.*Leipzig tar\.gz.*StreamingDataModule.*`curl -LO`"):
            find(path)


@pytest.mark.parametrize(
    "path",
    ["", "reviews", "none/reviews.csv", "/none/at/all", "a/b/c", "~/nothing", "x" * 5000, "~nobody/a.csv", "a\0b"],
)
def test_neither_file_nor_hub_id(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: pytest.fail("asked the Hub"))
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"is neither a file, a folder nor .*--data\.path|File name too long"):
            find(path)


def test_glob_without_match(tmp_path):
    make(tmp_path, "a.txt")
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))} has no data files \(.csv.*--data\.path"):
        labelled_source(str(tmp_path))
    with pytest.raises(UserError, match=r"\*\.csv has no data files \(.csv.*--data\.path"):
        labelled_source(str(tmp_path / "*.csv"))
    with pytest.raises(UserError, match="has no data files"):
        labelled_source(str(tmp_path / "*.txt"))  # plain text has no labels


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(tmp_path):
    make(tmp_path, "a.csv")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(UserError, match=r"a\.csv cannot be read \(Permission denied\)"):
        labelled_source(str(tmp_path / "a.csv"))
