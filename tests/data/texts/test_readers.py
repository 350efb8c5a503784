import csv
import gzip
import json

import pytest

from lightning_nlp.data.texts.readers import file_format, read_sentences, read_table
from lightning_nlp.data.texts.sources import Row
from lightning_nlp.errors import UserError

PAIRS = [("Good, isn't it?", "pos"), ('He said "no"', "neg"), ("two\nlines", "pos"), ("ĝis la revido", "neg")]


def write_parquet(path, **columns):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, row_group_size=2)


def write_table(path, pairs):
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        write_parquet(path, id=list(range(len(pairs))), text=[p[0] for p in pairs], label=[p[1] for p in pairs])
        return
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if name.endswith(".jsonl"):
            file.writelines(json.dumps({"id": i, "text": t, "label": y}) + "\n" for i, (t, y) in enumerate(pairs))
        else:
            writer = csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",")
            writer.writerow(["id", "text", "label"])
            writer.writerows([i, t, y] for i, (t, y) in enumerate(pairs))


@pytest.mark.parametrize("name", ["a.json", "a.ndjson", "a.jsonl", "a.json.gz"])
@pytest.mark.parametrize("form", ["lines", "array", "pretty"])
def test_json_is_read_by_its_content(tmp_path, name, form):
    records = [{"text": text, "label": label} for text, label in PAIRS]
    content = "\n".join(map(json.dumps, records)) if form == "lines" else None
    content = content or json.dumps(records, indent=4 if form == "pretty" else None)
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
    rows = list(read_table(tmp_path / name, "text", "label"))
    assert [(row.text, row.label) for row in rows] == PAIRS
    assert rows[2].where == f"{name}, {'line 3' if form == 'lines' else 'row 2 (from 0)'}"


def test_one_object_over_several_lines_and_json_that_is_about_data(tmp_path):
    (tmp_path / "a.json").write_text('{\n "text": "a film"\n}\n')
    assert [row.text for row in read_table(tmp_path / "a.json", "text")] == ["a film"]
    assert [file_format(tmp_path / name) for name in ("dataset_info.json", "state.json")] == [".json", ".json"]
    (tmp_path / "a.json").write_text('[{"text": "a film"},\n{"te')
    with pytest.raises(UserError, match=r"The file is not JSON .*line 2.*a\.json"):
        list(read_table(tmp_path / "a.json", "text"))


def test_columns_are_told_by_more_than_the_first_record(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "not judged"}\n' + '{"text": "a", "label": "pos"}\n' * 2)
    assert [row.label for row in read_table(tmp_path / "a.jsonl", "text", "label")] == [None, "pos", "pos"]
    with pytest.raises(UserError, match=r"no column 'stars' in .*a\.jsonl, line 1, only text, label"):
        list(read_table(tmp_path / "a.jsonl", "text", "stars"))


def test_places(tmp_path):
    write_table(tmp_path / "a.csv", PAIRS)
    # The third text takes two lines, so the fourth row starts on line 6.
    assert [r.where for r in read_table(tmp_path / "a.csv", "text", "label")] == [
        f"a.csv, line {n}" for n in (2, 3, 4, 6)
    ]
    write_table(tmp_path / "a.parquet", PAIRS)
    assert list(read_table(tmp_path / "a.parquet", "text"))[3].where == "a.parquet, row 3 (from 0)"


def test_megabyte_fields_crlf_blank_lines_and_header_spaces(tmp_path):
    big = "word " * 250_000
    (tmp_path / "a.csv").write_text(f'text , label\r\n\r\n"{big}",1\r\n\r\nb,2\r\n', newline="")
    rows = list(read_table(tmp_path / "a.csv", "text", "label"))
    assert rows == [Row(big, "1", "a.csv, line 3"), Row("b", "2", "a.csv, line 5")]


def test_plain_sentences(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("Unua.\n\n  Dua kun tabo\tmeze. \r\n \n1984\tno id on each line\nTria")
    assert list(read_sentences(path)) == [
        Row("Unua.", None, "a.txt, line 1"),
        Row("Dua kun tabo\tmeze.", None, "a.txt, line 3"),
        Row("1984\tno id on each line", None, "a.txt, line 5"),
        Row("Tria", None, "a.txt, line 6"),
    ]


@pytest.mark.parametrize("name", ["x-sentences.txt", "x.txt.gz"])
def test_leipzig_sentences(tmp_path, name):
    content = "1\tUnua.\n2\tKun\ttabo.\r\n\n3\t\n12\tKvara ĝis.\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    rows = list(read_sentences(tmp_path / name))
    assert [row.text for row in rows] == ["Unua.", "Kun\ttabo.", "Kvara ĝis."]
    assert rows[2].where == f"{name}, line 5"


def test_reading_is_lazy(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "a,1\n" * 1000 + "ragged\n")
    (tmp_path / "a.txt").write_text("a\n" * 1000)
    assert next(read_table(tmp_path / "a.csv", "text", "label")).text == "a"
    assert next(read_sentences(tmp_path / "a.txt")).text == "a"
