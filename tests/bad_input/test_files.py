"""Data files that are broken, or are no data."""

import gzip

import pytest

from tests.bad_input.check import fails, with_data

pytestmark = pytest.mark.timeout(30, func_only=True)

REVIEWS = "text,label\n" + "".join(f"a {'good' if i % 2 else 'bad'} film number {i},{i % 2}\n" for i in range(40))

FILES = {  # what the file holds -> what the message must name
    "empty": (b"", ["data.csv", "no rows"]),
    "header_only": (b"text,label\n", ["data.csv", "no rows"]),
    "wrong_text_column": (REVIEWS.replace("text,", "review,", 1).encode(), ["review, label", "--data.text_column"]),
    "wrong_label_column": (REVIEWS.replace(",label", ",stars", 1).encode(), ["text, stars", "--data.label_column"]),
    "one_class": (b"text,label\n" + b"".join(b"good film %d,1\n" % i for i in range(40)), ["one label", "'1'"]),
    "no_label": (REVIEWS.replace("number 5,1", "number 5,").encode(), ["line 7", "--data.drop_incomplete"]),
    "not_utf8": (REVIEWS.replace("number 5,", "num\xe9ro 5,").encode("latin1"), ["UTF-8", "line 7", "iconv"]),
    "ragged": (REVIEWS.replace("number 5,1", "number 5,1,2").encode(), ["3 fields", "line 7"]),
    "unclosed_quote": (REVIEWS.replace("a bad film number 4,", '"a bad film number 4,').encode(), ["line 6"]),
    "two_rows": (b"text,label\ngood,1\nbad,0\n", ["--data.path"]),
}


@pytest.mark.parametrize("case", FILES)
def test_broken_data(case, tiny_cls, tmp_path):
    content, words = FILES[case]
    (tmp_path / "data.csv").write_bytes(content)
    fails(with_data(tiny_cls, tmp_path / "data.csv", tmp_path), *words)
    assert not [path for path in (tmp_path / "cache").glob("*") if path.suffix != ".lock"]


@pytest.mark.parametrize("task", ["cls", "mlm"])
@pytest.mark.parametrize("name", ["missing.csv", "missing/folder/", "/no/such/file.txt", ""])
def test_missing_data(task, name, request, tmp_path, work):
    fails(with_data(request.getfixturevalue(f"tiny_{task}"), name, tmp_path), "--data.path")


def test_a_cut_gzip_file(tiny_mlm, tmp_path, work):
    path = tmp_path / "sentences.txt.gz"
    path.write_bytes(gzip.compress(b"unu du tri\n" * 500)[:-20])
    fails(with_data(tiny_mlm, path, tmp_path), "sentences.txt.gz", "--data.path")


def test_a_folder_without_data(tiny_cls, tmp_path, work):
    (tmp_path / "folder").mkdir()
    fails(with_data(tiny_cls, tmp_path / "folder", tmp_path), "holds no data files")


def test_a_label_in_test_that_train_lacks(tiny_cls, tmp_path, work):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text(REVIEWS, encoding="utf-8")
    (folder / "test.csv").write_text("text,label\nso so,0\nodd,7\n", encoding="utf-8")
    fails(with_data(tiny_cls, folder, tmp_path), "'7'", "test", "line 3", "not in train")
