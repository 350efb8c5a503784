"""Data files that are broken, or are none, on the command line; test_tables.py has all the messages."""

import pytest

from tests.bad_input.check import fails, with_data

REVIEWS = "text,label\n" + "".join(f"a {'good' if i % 2 else 'bad'} film number {i},{i % 2}\n" for i in range(40))

FILES = {  # what the file holds -> what the message must name
    "header_only": (b"text,label\n", ["data.csv", "no rows"]),
    "no_label": (REVIEWS.replace("number 5,1", "number 5,").encode(), ["line 7", "--data.drop_incomplete"]),
    "not_utf8": (
        REVIEWS.replace("number 5,", "num\xe9ro 5,").encode("latin1"),
        ["UTF-8", "line 7", "numéro 5", "--data.encoding"],
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_broken_data(case, tiny_cls, tmp_path):
    content, words = FILES[case]
    (tmp_path / "data.csv").write_bytes(content)
    fails(with_data(tiny_cls, tmp_path / "data.csv", tmp_path), *words)


@pytest.mark.parametrize(("task", "name"), [("cls", "missing.csv"), ("mlm", "missing/folder/"), ("mlm", "")])
def test_missing_data(task, name, request, tmp_path):
    fails(with_data(request.getfixturevalue(f"tiny_{task}"), name, tmp_path), "--data.path")
