"""CSV and TSV as others write them; each message's advice is followed, and cures what it names."""

import re
import shutil
import subprocess

import pytest

from lightning_nlp.data.settings import Dialect
from lightning_nlp.data.texts.readers import read_table
from lightning_nlp.errors import UserError

ROWS = [(f"the {'warm' if i % 2 else 'cold'} lamp, number {i}", "pos" if i % 2 else "neg") for i in range(12)]
SMART = [("it’s “fine” – 5€", "pos"), ("a plain one", "neg")]


def read(path, label="label", **dialect):
    return [(row.text, row.label) for row in read_table(path, "text", label, dialect=Dialect(**dialect))]


def refused(path, **dialect):
    with pytest.raises(UserError) as caught:
        read(path, **dialect)
    return str(caught.value)


def quoted(rows, delimiter=","):
    return "".join(f'"{text}"{delimiter}{label}\n' for text, label in [("text", "label"), *rows])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("given", ["utf-8", "cp1252", "utf-16-le", "utf-32"])
def test_utf_16_and_utf_32_are_named_and_read(tmp_path, encoding, given):
    (tmp_path / "a.csv").write_bytes(quoted(SMART).encode(encoding))
    if given.removesuffix("-le") == encoding.removesuffix("-le") and given in (encoding, f"{encoding}-le"):
        return
    named = re.search(r"give --data\.encoding (\S+)\.$", refused(tmp_path / "a.csv", encoding=given))[1]
    assert named == encoding
    assert read(tmp_path / "a.csv", encoding=named) == SMART


def test_what_is_not_utf_8_is_shown_as_western_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(quoted(SMART).encode("cp1252"))
    message = refused(tmp_path / "a.csv")
    assert "a.csv, line 2" in message
    assert "e.g. cp1252" in message
    assert "it’s “fine” – 5€" in message
    assert read(tmp_path / "a.csv", encoding="cp1252") == SMART
    assert "a.csv is not UTF-16" in refused(tmp_path / "a.csv", encoding="utf-16")


@pytest.mark.parametrize(("encoding", "texts"), [("cp866", "рак Её"), ("gb18030", "рак 模"), ("utf-16-be", "рак 模")])
def test_what_is_truly_in_another_encoding_is_read(tmp_path, encoding, texts):
    rows = [(text, "a") for text in texts.split()] * 9  # in cp866, the first is valid UTF-8
    (tmp_path / "a.csv").write_bytes(quoted(rows).encode(encoding))
    assert read(tmp_path / "a.csv", encoding=encoding) == rows


@pytest.mark.parametrize("wrong", ["cp1252", "koi8-r", "gb18030", "utf-16-le"])
def test_utf_8_is_not_read_as_anything_else(tmp_path, wrong):
    (tmp_path / "a.csv").write_text(quoted(SMART), encoding="utf-8")
    message = refused(tmp_path / "a.csv", encoding=wrong)
    assert f"a.csv is UTF-8, not {wrong}: give --data.encoding utf-8." in message
    assert read(tmp_path / "a.csv", encoding="utf-8-sig") == SMART
    if wrong != "utf-16-le":  # told by the first line that is not ASCII, however late it comes
        late = [("a plain one", "neg")] * 10_000 + SMART
        (tmp_path / "a.csv").write_text(quoted(late), encoding="utf-8")
        assert "a.csv, line 10002 is UTF-8" in refused(tmp_path / "a.csv", encoding=wrong)


@pytest.mark.parametrize("header", ["text,label", "text, label", 'text, "label"', '"text", "label"'])
def test_a_space_before_a_quotation_mark(tmp_path, header):
    (tmp_path / "a.csv").write_text(header + '\n"so, he said ""no"", once", "pos"\n"b",  "neg"\n')
    assert read(tmp_path / "a.csv") == [('so, he said "no", once', "pos"), ("b", "neg")]
    (tmp_path / "b.csv").write_text('text,label\n a,pos\n"b, ""so"", c", pos\n')
    assert [row.text for row in read_table(tmp_path / "b.csv", "text")] == [" a", 'b, "so", c'], "no space is lost"


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ";"), ("a.csv", "tab"), ("a.csv", "|"), ("a.tsv", ",")])
@pytest.mark.parametrize("marks", ['"', ""])
def test_another_delimiter_is_named(tmp_path, name, delimiter, marks):
    rows = [(text.replace(",", ""), label) for text, label in ROWS]
    content = quoted(rows, "\t" if delimiter == "tab" else delimiter).replace('"', marks)
    (tmp_path / name).write_text("\ufeff" + content.replace("label\n", f"{marks}label{marks}\n", 1))
    assert re.search(r"give --data\.delimiter '(.*)'\.$", refused(tmp_path / name))[1] == delimiter
    assert read(tmp_path / name, delimiter=delimiter) == rows


def swallowing(delimiter, label_first):
    rows = [list(row) for row in ROWS]
    rows[3][0], rows[7][0] = f'"{rows[3][0]}', f'{rows[7][0]} "'  # a quotation goes over five rows
    cells = [(label, text) if label_first else (text, label) for text, label in [("text", "label"), *rows]]
    return "".join(delimiter.join(row) + "\n" for row in cells), [tuple(row) for row in rows]


@pytest.mark.parametrize("label_first", [False, True])
def test_a_quotation_over_several_rows(tmp_path, label_first):
    content, rows = swallowing("\t", label_first)
    (tmp_path / "a.tsv").write_text(content)
    message = refused(tmp_path / "a.tsv")
    assert re.search(r"contains whole rows, up to line 9: .*a\.tsv, line 5; give --data\.quoting false", message), (
        message
    )
    assert read(tmp_path / "a.tsv", quoting=False) == rows
    (tmp_path / "b.csv").write_text(content.replace(",", "").replace("\t", ","))
    assert "b.csv, line 5; give --data.quoting false" in refused(tmp_path / "b.csv")
    with pytest.raises(UserError, match="contains whole rows"):
        read(tmp_path / "a.tsv", label=None)


def test_texts_of_several_lines_hold_no_rows(tmp_path):
    verse = [("one, two\nthree, pos\r\nfour,\n", "pos"), ("a\tb\nc\td", "neg"), ("x\ny", None), ("z,\n", None)]
    cells = [("text", "label"), *((text, label or "") for text, label in verse)]
    for name, order in (("a.csv", 1), ("b.csv", -1)):
        lines = [",".join((f'"{text}"', label)[::order]) for text, label in cells]
        (tmp_path / name).write_text("\n".join(lines) + "\n", newline="")
        assert read(tmp_path / name) == verse


def follow(command, path):
    """Run what a message advises."""
    shutil.move(path, path.parent / "OLD")
    subprocess.run(command, shell=True, cwd=path.parent, check=True)
    shutil.move(path.parent / "NEW", path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_in_the_middle(tmp_path, mark):
    rows = [(text.replace(",", ""), label) for text, label in ROWS]
    part = mark + quoted(rows).replace('"', "")
    (tmp_path / "a.csv").write_text(part + part)
    message = refused(tmp_path / "a.csv")
    assert "The header is repeated" in message
    assert "a.csv, line 14;" in message
    follow(re.search("`(.*)`", message)[1], tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == rows * 2


def test_a_file_without_a_header(tmp_path):
    (tmp_path / "a.csv").write_text("".join(f'"{i % 2}","{text}"\n' for i, (text, _) in enumerate(ROWS)))
    message = refused(tmp_path / "a.csv")
    assert "its first line looks like data: 0, the cold lamp, number 0" in message
    follow(re.search("`(.*)`", message)[1], tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == [(text, str(i % 2)) for i, (text, _) in enumerate(ROWS)]


def test_a_file_of_pairs_without_a_header(tmp_path):
    (tmp_path / "a.csv").write_text("My sister called the soup dreadful.,entail,A neighbour hated it.\n" * 2)
    how = (tmp_path / "a.csv", ["premise", "hypothesis"], "label")
    with pytest.raises(UserError, match=r"printf 'premise,label,hypothesis\\n'") as caught:
        list(read_table(*how))
    follow(re.search("`(.*)`", str(caught.value))[1], tmp_path / "a.csv")
    row = ("My sister called the soup dreadful.\x1fA neighbour hated it.", "entail")
    assert [row[:2] for row in read_table(*how)] == [row] * 2


@pytest.mark.parametrize("place", [0, 1, 6])
def test_mixed_ends_of_lines(tmp_path, place):
    lines = quoted(ROWS).replace("\n", "\r\n").splitlines(keepends=True)
    mixed = "".join(lines[:place]) + "".join(lines[place:]).replace("\r\n", "\r", 3)
    (tmp_path / "a.csv").write_bytes(mixed.encode())
    message = refused(tmp_path / "a.csv")
    assert f"a.csv, line {place + 1};" in message
    follow(re.search("`(.*)`", message)[1], tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == ROWS


def test_marks_with_and_without_quoting(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"so" they say\tpos\nb\tneg\n')
    assert "--data.quoting false" in refused(tmp_path / "a.tsv")
    assert read(tmp_path / "a.tsv", quoting=False) == [('"so" they say', "pos"), ("b", "neg")]
    (tmp_path / "a.csv").write_text('text,label\n"a, b",pos\n')
    assert re.search("line 2;.*give --data.quoting true", refused(tmp_path / "a.csv", quoting=False))
