import csv
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from lightning_nlp.data.settings import LabelForm
from lightning_nlp.data.texts.sources import Source, labelled_source, text_source
from lightning_nlp.errors import UserError
from tests.data.texts.test_readers import PAIRS, write_table


def rows(source, split="train"):
    return [(row.text, row.label) for row in source.splits[split]()]


def make(folder, *names, pairs=None):
    """Files whose only text is the file's own name, so that a test sees which were read."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".jsonl", ".parquet")):
            write_table(path, pairs or [(name, "a")])
        else:
            path.write_text(name + "\n")


def texts(source):
    return {split: [row.text for row in read()] for split, read in source.splits.items()}


def test_a_single_file_is_train_whatever_its_name(tmp_path):
    make(tmp_path, "test.tsv", pairs=PAIRS)
    source = labelled_source(str(tmp_path / "test.tsv"))
    assert [*source.splits] == ["train"]
    assert rows(source) == PAIRS == rows(source), "a split can be read again"
    assert (source.description, source.label_names, source.labelled) == ("test.tsv", None, True)


def groups(source, split="train"):
    return [row.group for row in source.splits[split]()]


def test_groups_come_from_a_column(tmp_path):
    (tmp_path / "a.csv").write_text("text,who,label\na, eva ,1\nb,,2\nc,7,1\n")
    pq.write_table(pa.table({"text": ["a", "b"], "who": [7.0, None], "label": [1, 2]}), tmp_path / "a.parquet")
    found = labelled_source(str(tmp_path / "a.csv"), group_column="who")
    assert groups(found) == ["eva", None, "7"]
    assert rows(found) == [("a", "1"), ("b", "2"), ("c", "1")]
    assert groups(text_source(str(tmp_path / "a.parquet"), group_column="who", cache_dir=tmp_path)) == ["7", None]
    without = labelled_source(str(tmp_path / "a.csv"))
    assert groups(without) == [None] * 3
    assert without.fingerprint != found.fingerprint


def test_a_group_column_that_cannot_be(tmp_path):
    (tmp_path / "a.csv").write_text("text,who,label\na,eva,1\n")
    (tmp_path / "a.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"no column 'author'.*text, who, label: give --data\.group_column"):
        rows(labelled_source(str(tmp_path / "a.csv"), group_column="author"))
    with pytest.raises(UserError, match=r"Label and group are both column 'label'.*--data\.group_column"):
        rows(labelled_source(str(tmp_path / "a.csv"), group_column="label"))
    for find in (
        lambda: labelled_source("demo", group_column="who"),
        lambda: text_source("demo", group_column="who", cache_dir=tmp_path),
        lambda: labelled_source(str(acl_imdb(tmp_path / "aclImdb")), group_column="who"),
        lambda: rows(text_source(str(tmp_path / "a.txt"), group_column="who", cache_dir=tmp_path)),
    ):
        with pytest.raises(UserError, match=r"no columns, so there is no 'who': leave out --data\.group_column"):
            find()


def acl_imdb(folder):
    for name in ("train/pos/0_9", "train/pos/10_7", "train/pos/2_10", "train/neg/0_3", "test/pos/0_8", "test/neg/1_1"):
        make(folder, name + ".txt")
    make(folder, "train/unsup/0_0.txt", "imdb.vocab", "train/labeledBow.feat")
    return folder


def test_acl_imdb_tree(tmp_path):
    source = labelled_source(str(acl_imdb(tmp_path / "aclImdb")))
    assert list(source.splits) == ["train", "test"]
    assert source.lines() == [
        "train is read from train/neg, train/pos", "test is read from test/neg, test/pos",
        "not used: train/unsup (not in the folder of a class)",
    ]  # fmt: skip
    assert source.description == "aclImdb"
    train = list(source.splits["train"]())
    assert [row.where for row in train] == [
        "train/neg/0_3.txt", "train/pos/0_9.txt", "train/pos/2_10.txt", "train/pos/10_7.txt",
    ]  # fmt: skip
    assert [(row.text.strip(), row.label) for row in train] == [(r.where, r.where.split("/")[1]) for r in train]
    assert [label for _, label in rows(source, "test")] == ["neg", "pos"]


def test_fingerprint_changes_with_contents_and_columns_only(tmp_path):
    make(tmp_path / "one", "train.csv", "test.csv", pairs=PAIRS)
    make(tmp_path / "two", "train.csv", "test.csv", pairs=PAIRS)
    base = labelled_source(str(tmp_path / "one")).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", base)
    assert labelled_source(str(tmp_path / "two")).fingerprint == base
    make(tmp_path / "two", "unsupervised.csv")
    assert labelled_source(str(tmp_path / "two")).fingerprint == base
    others = [
        labelled_source(str(tmp_path / "one"), text_column="id").fingerprint,
        labelled_source(str(tmp_path / "one"), label_column="id").fingerprint,
        labelled_source(str(tmp_path / "one"), drop_incomplete=True).fingerprint,
        labelled_source(str(tmp_path / "one/train.csv")).fingerprint,
    ]
    make(tmp_path / "two", "test.csv", pairs=PAIRS[:2])
    others.append(labelled_source(str(tmp_path / "two")).fingerprint)
    (tmp_path / "two/test.csv").rename(tmp_path / "two/dev.csv")
    others.append(labelled_source(str(tmp_path / "two")).fingerprint)
    assert len({base, *others}) == 7


def test_fingerprint_of_the_tree(tmp_path):
    before = labelled_source(str(acl_imdb(tmp_path / "aclImdb"))).fingerprint
    (tmp_path / "aclImdb/train/neg/0_3.txt").rename(tmp_path / "aclImdb/train/pos/0_3.txt")
    make(tmp_path / "aclImdb", "train/neg/0_9.txt")
    assert labelled_source(str(tmp_path / "aclImdb")).fingerprint != before


def test_text_files_and_globs(tmp_path):
    make(tmp_path, "a.txt", "b.txt", "c.md", "d.jsonl", "frazoj")
    find = lambda name: text_source(str(tmp_path / name), cache_dir=tmp_path)  # noqa: E731
    assert texts(find("frazoj")) == {"train": ["frazoj"]}  # any file can be plain text
    assert texts(find("*.txt")) == {"train": ["a.txt", "b.txt"]}
    assert texts(find("*.md")) == {"train": ["c.md"]}
    assert texts(find("")) == {"train": ["a.txt", "b.txt", "d.jsonl"]}
    assert rows(find("a.txt")) == [("a.txt", None)]
    assert find("*.txt").label_names is None
    assert not find("*.txt").labelled
    assert find("*.txt").description == "a.txt (+1 files)"


def test_unpacked_leipzig_archive(tmp_path):
    make(tmp_path, "epo_x-words.txt", "epo_x-sources.txt")
    (tmp_path / "epo_x-sentences.txt").write_text("1\tUnua.\n2\tDua.\n")
    assert texts(text_source(str(tmp_path), cache_dir=tmp_path)) == {"train": ["Unua.", "Dua."]}


def test_pairs_are_the_same_in_each_format(tmp_path):
    pairs = [("a", "b", "x"), ("a\x1f ", "b", "y"), ("c", "", "x"), (None, "d", "y"), (5, "e", "x")]
    columns = dict(zip(("first", "label", "second"), zip(*((a, y, b) for a, b, y in pairs), strict=True), strict=True))
    expected = [("a\x1fb", "x"), ("a  \x1fb", "y"), ("", "x"), ("", "y"), ("5\x1fe", "x")]
    how = {"text_column": ["first", "second"]}
    texts = {**columns, "first": [text if text is None else str(text) for text in columns["first"]]}
    Dataset.from_dict(texts).save_to_disk(tmp_path / "saved")
    pq.write_table(pa.table(texts), tmp_path / "a.parquet")
    records = [dict(zip(("first", "second", "label"), row, strict=True)) for row in pairs]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("label", "second", "first"), *((y, b, a) for a, b, y in pairs)])
    for name in ("saved", "a.parquet", "a.jsonl", "a.csv"):
        source = labelled_source(str(tmp_path / name), **how)
        assert source.paired
        assert rows(source) == expected
        grouped = labelled_source(str(tmp_path / name), group_column="first", **how).splits["train"]()
        assert [row.group for row in grouped] == ["a", "a", "c", None, "5"]
        swapped = labelled_source(str(tmp_path / name), text_column=["second", "first"])
        assert swapped.fingerprint != source.fingerprint


def test_what_a_label_is_is_announced():
    several = Source("a.csv", "0", {}, labelled=True, form=LabelForm("labels"))
    assert several.lines() == ["A text may have several labels (--data.problem)."]
    assert Source("a.csv", "0", {}, labelled=True).lines() == []
