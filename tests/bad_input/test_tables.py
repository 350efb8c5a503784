"""Rows, columns and bytes that are no data: each message names the file, the place and the cure."""

import gzip
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bad_input.check import fails, with_data

pytestmark = pytest.mark.timeout(30, func_only=True)

TEXTS = [f"a {'good' if i % 2 else 'bad'} film number {i}" for i in range(40)]
LABELS = [i % 2 for i in range(40)]
TABLE = "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))
RECORDS = [json.dumps({"text": text, "label": label}) for text, label in zip(TEXTS, LABELS, strict=True)]


def jsonl(line: str) -> bytes:
    """Good records, and one bad line, the sixth."""
    return "\n".join([*RECORDS[:5], line, *RECORDS[5:]]).encode()


def parquet(columns: dict[str, list[object]], names: list[str] | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays([pa.array(c) for c in columns.values()], names=names or list(columns)), sink)
    return sink.getvalue().to_pybytes()


def archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo("epo-sentences.txt")
        member.size = 8000
        tar.addfile(member, io.BytesIO(b"1\tunu du" * 1000))
    return file.getvalue()


GOOD = parquet({"text": TEXTS, "label": LABELS})
TEXT, LABEL, PATH = "--data.text_column", "--data.label_column", "--data.path"
CLS = [  # name, content, words of the message
    ("twice.csv", TABLE.replace("text,label", "text,text,label").replace("film n", "film,n"), "2 columns 'text'", TEXT),
    ("twice.tsv", "label\ttext\tlabel\n" + "1\ta good film\t1\n" * 9, "2 columns 'label'", LABEL),
    ("utf16.csv", TABLE.encode("utf-16"), "0xff", "line 1", "iconv"),
    ("bytes.csv", bytes(range(256)) * 10, "no column 'text'", TEXT),
    ("zip.csv", b"PK\x03\x04" + bytes(100), "no column 'text'", r"PK\x03", TEXT),
    ("commas.tsv", TABLE, "only text,label", TEXT),
    ("text.txt", TABLE, "text.txt", "no format that is read here", ".jsonl"),
    ("plain.csv.gz", TABLE, "Not a gzipped file", PATH),
    ("array.jsonl", f"[{','.join(RECORDS)}]", "JSON list", "line 1", "each line must be one object"),
    ("number.jsonl", jsonl("5"), "JSON int", "line 6", "each line must be one object"),
    ("nested.jsonl", jsonl('{"text": {"a": "b"}, "label": 1}'), "dict", "line 6", TEXT),
    ("list.jsonl", jsonl('{"text": "a", "label": [1]}'), "list ([1])", "line 6", LABEL),
    ("float.jsonl", jsonl('{"text": "a", "label": 0.5}'), "float (0.5)", "line 6", LABEL),
    ("inf.jsonl", jsonl('{"text": "a", "label": 1e400}'), "float (inf)", "line 6", LABEL),
    ("half.jsonl", jsonl('{"text": "a", "label": "\\ud800"}'), r"\ud800", "half of a surrogate pair", "line 6", LABEL),
    ("twice.jsonl", jsonl('{"text": "a", "text": "b", "label": 1}'), "'text' stands in an object twice", "line 6"),
    ("digits.jsonl", jsonl(f'{{"text": "a", "label": {"9" * 5000}}}'), "5000 digits", "line 6"),
    ("cut.jsonl", jsonl('{"text": "a", "la'), "not JSON", "line 6", "one JSON object"),
    ("deep.jsonl", jsonl("[" * 100_000), "not JSON", "line 6", "one JSON object"),
    ("python.jsonl", jsonl("{'text': 'a', 'label': 1}"), "double quotes", "line 6"),
    ("blank.jsonl", jsonl('{"text": " ", "label": 1}'), "1 row without text or label", "line 6", "drop_incomplete"),
    ("null.jsonl", jsonl('{"text": "a", "label": null}'), "1 row without text or label", "line 6", "drop_incomplete"),
    ("cut.parquet", GOOD[: len(GOOD) // 2], "cut.parquet cannot be read", PATH),
    ("empty.parquet", b"", "0 bytes", PATH),
    ("html.parquet", b"<html>", "6 bytes", PATH),
    ("flipped.parquet", GOOD[:60] + bytes([GOOD[60] ^ 255]) + GOOD[61:], "cannot be read", PATH),
    (
        "twice.parquet",
        parquet({"a": TEXTS, "b": TEXTS, "c": LABELS}, ["text", "text", "label"]),
        "2 columns 'text'",
        TEXT,
    ),
    ("bytes.parquet", parquet({"text": [t.encode() for t in TEXTS], "label": LABELS}), "bytes", "row 0", TEXT),
    ("lists.parquet", parquet({"text": [[t] for t in TEXTS], "label": LABELS}), "list", "row 0", TEXT),
    ("unlabelled.parquet", parquet({"text": TEXTS}), "no column 'label'", "only text", LABEL),
    ("archive.tar.gz", archive(), "no format that is read here", PATH),
]
MLM = [
    ("empty.txt", b"", "holds no text", PATH),
    ("blank.txt", b"\n \n\t\n", "holds no text", PATH),
    ("control.txt", b"\0\n\1\n\2\n", "after cleaning", PATH),
    ("one.txt", b"unu\n", "1 row", PATH),
    ("latin1.txt", b"caf\xe9 unu\n", "0xe9", "line 1", "iconv"),
    ("half.txt", b"unu\ndu \xed\xa0\x80\n", "0xed", "line 2", "iconv"),
    ("leipzig.txt", b"".join(b"%d\tunu du\n" % i for i in range(120)) + b"tri\n", "'tri'", "line 121", PATH),
    ("specials.txt", b"[MASK]\n[PAD] [SEP]\n[CLS]\n[UNK]\n", "Not one token", "0.15", "--data.mlm_probability"),
    ("other.csv", b"a,b\n1,2\n", "only a, b", TEXT),
    ("cut.tar.gz", archive()[:60], "cut.tar.gz cannot be read", PATH),
]


@pytest.mark.parametrize(
    ("task", "name", "content", "words"),
    [(task, n, c, w) for task, cases in (("cls", CLS), ("mlm", MLM)) for n, c, *w in cases],
    ids=[case[0] for case in [*CLS, *MLM]],
)
def test_files_that_are_no_data(task, name, content, words, request, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    fails(with_data(request.getfixturevalue(f"tiny_{task}"), path, tmp_path), *words)
    if name != "specials.txt":  # good data, but for a classifier
        assert not [path for path in (tmp_path / "cache").glob("*") if path.suffix != ".lock"]


@pytest.mark.parametrize("case", ["not_utf8", "no_reviews"])
def test_a_broken_aclimdb_tree(case, tiny_cls, tmp_path):
    tree = tmp_path / "aclImdb"
    for split, label in ((s, y) for s in ("train", "test") for y in ("neg", "pos")):
        (tree / split / label).mkdir(parents=True)
        for i in range(3):
            (tree / split / label / f"{i}_1.txt").write_text(f"{label} {i}", encoding="utf-8")
    bad = tree / "test" / "pos"
    words = [str(bad / "1_1.txt"), "utf-8", PATH] if case == "not_utf8" else [str(tree / "test"), "lacks reviews"]
    (bad / "1_1.txt").write_bytes(b"caf\xe9")
    if case == "no_reviews":
        for path in bad.iterdir():
            path.unlink()
    fails(with_data(tiny_cls, tree, tmp_path), *words)


def test_gzip_of_something_else(tiny_cls, tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b"\x80\x81"))
    fails(with_data(tiny_cls, tmp_path / "x.jsonl.gz", tmp_path), "0x80", "line 1", "x.jsonl.gz")
