"""Rows, columns and bytes that are no data: each message names the file, the place and the cure."""

import gzip
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.streaming.datamodule import StreamingDataModule
from lightning_nlp.data.tagging import TokenClassificationDataModule
from lightning_nlp.data.texts.sources import labelled_source
from lightning_nlp.errors import UserError, printable

TEXTS = [f"a {'good' if i % 2 else 'bad'} film number {i}" for i in range(40)]
LABELS = [i % 2 for i in range(40)]
TABLE = "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))
RECORDS = [json.dumps({"text": text, "label": label}) for text, label in zip(TEXTS, LABELS, strict=True)]


def jsonl(line: str) -> bytes:
    """Good records, and one bad line, the sixth."""
    return "\n".join([*RECORDS[:5], line, *RECORDS[5:]]).encode()


def parquet(columns: dict[str, list[object]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
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
    ("short.csv", "text,label\na,1\nb\n", "1 fields where the header has 2", "short.csv, line 3"),
    ("open.csv", 'label,text\n1,a\n0,"b\n1,c\n0,d\n', "malformed", "open.csv, line 3"),
    ("nothing.csv", "", "has no rows", PATH),
    ("nothing.parquet", parquet({"text": [], "label": []}), "has no rows", PATH),
    ("bytes.csv", bytes(range(256)) * 10, "not UTF-8 (byte 0x80)", "line 2", "--data.encoding"),
    ("text.txt", TABLE, "text.txt", "format that is not supported", ".jsonl"),
    ("plain.csv.gz", TABLE, "Not a gzipped file", PATH),
    ("columns.json", '{"text": ["a", "b"], "label": ["x", "y"]}', "list", "write one row per text"),
    ("pandas.json", json.dumps({"text": dict(enumerate(TEXTS))}), "one JSON object", "orient='records', lines=True"),
    ("under.json", json.dumps({"data": [{"text": text} for text in TEXTS]}), "one JSON object", "a list of rows"),
    ("split.json", json.dumps({"columns": ["text"], "data": [[text] for text in TEXTS]}), "one JSON object"),
    ("other.json", '{"meta": {"text": "a"}, "n": 1}', "no column 'text' in ", "only meta, n"),
    ("number.jsonl", jsonl("5"), "JSON int", "line 6", "one JSON object on each line"),
    ("inf.jsonl", jsonl('{"text": "a", "label": 1e400}'), "inf is a score", "line 6", LABEL),
    ("half.jsonl", jsonl('{"text": "a", "label": "\\ud800"}'), r"\ud800", "half of a surrogate pair", "line 6", LABEL),
    ("digits.jsonl", jsonl(f'{{"text": "a", "label": {"9" * 5000}}}'), "5000 digits", "line 6"),
    ("array.jsonl", f"[{','.join(RECORDS)}, 5]", "JSON int", "row 40", "one JSON object on each line"),
    ("deep.jsonl", jsonl("[" * 100_000), "not JSON", "line 6", "one JSON object"),
    ("cut.jsonl", jsonl('{"text": "a", "la'), "not JSON", "line 6", "one JSON object"),
    ("python.jsonl", jsonl("{'text': 'a', 'label': 1}"), "double quotes", "line 6"),
    ("cut.parquet", GOOD[: len(GOOD) // 2], "cut.parquet cannot be read", PATH),
    ("flipped.parquet", GOOD[:60] + bytes([GOOD[60] ^ 255]) + GOOD[61:], "cannot be read", PATH),
    ("bytes.parquet", parquet({"text": [t.encode() for t in TEXTS], "label": LABELS}), "bytes", "row 0", TEXT),
    ("unlabelled.parquet", parquet({"text": TEXTS}), "no column 'label'", "only text", LABEL),
    ("archive.tar.gz", archive(), "format that is not supported", PATH),
]
MLM = [
    ("empty.txt", b"", "has no text", PATH),
    ("blank.txt", b"\n \n\t\n", "has no text", PATH),
    ("json.txt", b'{"text": "a"}\n{"text": "b"}\n', "looks like JSON, one object per line: name it .jsonl"),
    ("junk.txt.gz", gzip.compress(b"")[:10] + b"\x03\x00" + b"\0" * 8 + b"junk", "junk.txt.gz cannot be read ("),
    ("control.txt", b"\0\n\1\n\2\n", "after cleaning", PATH),
    ("one.txt", b"unu\n", "1 row", PATH),
    ("latin1.txt", b"caf\xe9 unu\n", "0xe9", "line 1", "café unu", "--data.encoding"),
    ("leipzig.txt", b"".join(b"%d\tunu du\n" % i for i in range(120)) + b"tri\n", "'tri'", "line 121", PATH),
    ("specials.txt", b"[MASK]\n[PAD] [SEP]\n[CLS]\n", "Not one token", "0.15", "--data.mlm_probability"),
    ("archive.tar.gz", archive(), "format that is not supported", PATH),
]


PAIRS = "first,second,label\n" + "".join(f"{text},a book,{y}\n" for text, y in zip(TEXTS, LABELS, strict=True))
COLUMNS = ["first", "second"]
OF_PAIRS = [  # content, text_column, other arguments, words of the message
    (PAIRS, ["first", "third"], {}, "no column 'third'", "only first, second, label", TEXT),
    (PAIRS, ["first", "second", "label"], {}, "--data.text_column is [first, second, label]", "two different ones"),
    (PAIRS, ["first", "label"], {}, "both column 'label'", LABEL),
    (PAIRS, "first", {"group_column": "first"}, "Text and group are both column 'first'", TEXT),
    (PAIRS + "a film,,1\n", COLUMNS, {}, "1 row without text or label", "line 42", "drop_incomplete"),
    (PAIRS, COLUMNS, {"max_length": 4}, "no room for two texts", "--data.max_length"),
    (PAIRS, COLUMNS, {"module": MaskedLanguageModelingDataModule}, "[first, second], and pairs of texts are for", TEXT),
    (PAIRS, ("first", "second"), {"module": TokenClassificationDataModule}, "are for a TextClassification", TEXT),
    (PAIRS, "[first, second]", {"module": StreamingDataModule}, "pairs of texts are for a TextClassification", TEXT),
]


@pytest.mark.parametrize(("content", "columns", "how", "words"), [(c, t, h, w) for c, t, h, *w in OF_PAIRS])
def test_pairs_that_are_none(content, columns, how, words, tmp_path):
    (tmp_path / "pairs.csv").write_text(content)
    how = {"module": TextClassificationDataModule, "max_length": 32, **how}
    with pytest.raises(UserError) as caught:
        how.pop("module")(
            str(tmp_path / "pairs.csv"), text_column=columns, vocab_size=300, cache_dir=str(tmp_path / "cache"), **how
        ).setup()
    for word in words:
        assert word in str(caught.value)


def test_folders_of_classes_have_no_pairs(tmp_path):
    for name in ("pos/1.txt", "neg/1.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("a film")
    with pytest.raises(UserError, match=r"have one text per file, not pairs: leave out --data.text_column"):
        labelled_source(str(tmp_path), text_column=COLUMNS)


@pytest.mark.parametrize(
    ("module", "name", "content", "words"),
    [
        (module, name, content, words)
        for module, cases in ((TextClassificationDataModule, CLS), (MaskedLanguageModelingDataModule, MLM))
        for name, content, *words in cases
    ],
    ids=[case[0] for case in [*CLS, *MLM]],
)
def test_files_that_are_no_data(module, name, content, words, tmp_path):
    path, cache = tmp_path / name, tmp_path / "cache"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    data = module(str(path), max_length=32, vocab_size=300, cache_dir=str(cache))
    with pytest.raises(UserError) as caught:
        data.setup()
    message = printable(str(caught.value))
    for word in words:
        assert word in message
    if name != "specials.txt":  # good data, but for a classifier
        assert not [path for path in cache.glob("*") if path.suffix != ".lock"]
