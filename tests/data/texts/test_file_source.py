"""Validation and test without labels are left out, whatever file they are in."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_nlp.data.texts.layout import FIRST_ROWS, UNLABELLED
from lightning_nlp.data.texts.sources import labelled_source, text_source
from lightning_nlp.errors import UserError
from tests.data.texts.test_sources import make, rows, texts


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "csv.gz"])
def test_a_test_without_labels_is_left_to_predict(tmp_path, suffix):
    make(tmp_path, f"train.{suffix}", f"dev.{suffix}", f"test-0.{suffix}", f"test-1.{suffix}", f"sub.{suffix}")
    for name in ("test-0", "test-1"):
        (tmp_path / f"{name}.{suffix}").unlink()
        without_labels(tmp_path / f"{name}.{suffix}", ["unseen"])
    source = labelled_source(str(tmp_path))
    assert texts(source) == {"train": [f"train.{suffix}"], "validation": [f"dev.{suffix}"]}
    assert source.lines()[2:] == [
        f"not used: sub.{suffix} (no split in its name)",
        f"not used: test-0.{suffix}, test-1.{suffix} ({UNLABELLED})",
    ]
    assert list(text_source(str(tmp_path), cache_dir=tmp_path).splits) == ["train", "validation", "test"]
    with pytest.raises(UserError, match=r"no column 'target' in .*train.*--data\.label_column"):
        rows(labelled_source(str(tmp_path), label_column="target"))


def without_labels(path, texts):
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": texts}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "wt") as file:
            file.write("\n".join(["text", *texts, ""]))


def test_a_test_with_one_label_or_a_mistake_is_not_left_out(tmp_path):
    make(tmp_path, "train.csv")
    (tmp_path / "test.csv").write_text("text,label\na,\nb,1\n")
    assert list(labelled_source(str(tmp_path)).splits) == ["train", "test"]
    (tmp_path / "test.csv").write_text("text,label\n" + "a,\n" * FIRST_ROWS + '"never read')  # not to its end each time
    assert list(labelled_source(str(tmp_path)).splits) == ["train"]
    (tmp_path / "test.csv").write_text('text,label\n"a,\n')
    with pytest.raises(UserError, match=r"test\.csv"):
        texts(labelled_source(str(tmp_path)))


@pytest.mark.parametrize(("word", "missing"), [("", None), ("?", None), ("-1", ["-1"]), ("1.0", ["1.0"])])
def test_a_test_whose_labels_are_all_missing_is_left_to_predict(word, missing, tmp_path):
    for split, labels in (("train", ["a", "b"]), ("test", [word, word])):
        rows = "".join(f"{split} {number},{label}\n" for number, label in enumerate(labels))
        (tmp_path / f"{split}.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    source = labelled_source(str(tmp_path), missing_labels=missing)
    assert [*source.splits] == ["train"]
    assert f"not used: test.csv ({UNLABELLED})" in source.lines()
