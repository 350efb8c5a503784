"""Lines out of text files; the limits against files made to fill memory are in tests/test_security.py."""

import gzip

import pytest

from lightning_nlp.data.texts.lines import read_lines
from lightning_nlp.errors import UserError


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_keep_their_ends_and_their_numbers(tmp_path, name):
    content = "\ufeffĉu\r\n\n\x0bne\x85ja\u2028\x00".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    # Only a line feed ends a line: an editor counts so, and the numbers are for error messages.
    assert list(read_lines(tmp_path / name)) == [(1, "ĉu\r\n"), (2, "\n"), (3, "\x0bne\x85ja\u2028\x00")]


def test_a_carriage_return_ends_a_line_where_no_line_feed_is(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"unu\rdu\r\rtri")
    assert list(read_lines(tmp_path / "a.txt")) == [(1, "unu\r"), (2, "du\r"), (3, "\r"), (4, "tri")]
    (tmp_path / "a.txt").write_bytes(b"unu\rdu\r\n")
    assert list(read_lines(tmp_path / "a.txt")) == [(1, "unu\rdu\r\n")]
    (tmp_path / "a.txt").write_bytes("unu\rdu\n\u0a0a\u010d\r\n".encode("utf-16"))
    assert list(read_lines(tmp_path / "a.txt", "utf-16")) == [(1, "unu\rdu\n"), (2, "\u0a0a\u010d\r\n")]


def test_a_byte_order_mark_counts_only_at_the_start(tmp_path):
    (tmp_path / "a.txt").write_text("a\n\ufeffb\n", encoding="utf-8")
    assert [line for _, line in read_lines(tmp_path / "a.txt")] == ["a\n", "\ufeffb\n"]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match=r"b\.txt cannot be read \(No such file or directory\)"):
        list(read_lines(tmp_path / "b.txt"))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"unu\n" * 1000)[:-9])
    with pytest.raises(UserError, match=r"a\.txt\.gz cannot be read"):
        list(read_lines(tmp_path / "a.txt.gz"))
