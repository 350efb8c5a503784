"""Whatever a text holds, it comes out of files unchanged, is cleaned once and for all, and becomes tokens."""

import gzip
import re
import tempfile
import unicodedata
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lightning_nlp.data.texts.cleaning import Reading, SplitCounts
from lightning_nlp.data.texts.columns import as_label
from lightning_nlp.data.texts.normalize import clean_text
from lightning_nlp.data.texts.readers import read_sentences, read_table
from lightning_nlp.data.texts.sources import Row, Source, labelled_source
from lightning_nlp.data.texts.targets import label_name
from lightning_nlp.data.tokens.encoding import encode
from lightning_nlp.data.tokens.tokenizer import train_wordpiece
from lightning_nlp.errors import UserError
from tests.data.texts.test_readers import write_table
from tests.properties.strategies import any_texts, labels, texts


@pytest.mark.parametrize("name", "A.CSV a.csv.gz a.tsv a.jsonl.gz a.parquet".split())
@given(rows=st.lists(st.tuples(texts, st.sampled_from(["a", "b c", "ĝ", "01"])), min_size=1, max_size=8))
@example(rows=[("\ufeff", "a"), ("word " * 200_000, "b c"), ("\u0301" * 500_000, "01"), ("a\r\nb\rc", "a")])
def test_tables_give_back_what_was_written(name, rows):
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / name, rows)
        found = list(read_table(Path(folder) / name, "text", "label"))
    assert [(row.text, row.label) for row in found] == rows


names = st.sampled_from(
    [*"pos 01 1 1.0 0 -3 a|b <b> 50%".split(), "Caf\u00e9", "Cafe\u0301", "a\u200bb", " ab ", "\uff11", "\u22123"]
)
columns_of_labels = st.one_of(
    *(st.lists(kind, min_size=2, max_size=8) for kind in (names, st.integers(-(2**63), 2**63 - 1), st.booleans())),
    st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=8),
    st.lists(st.none() | st.integers(0, 9).map(float) | st.just(float("nan")), min_size=2, max_size=8),
    st.lists(st.none() | st.sampled_from(["nan", "None", "N/A", "?", "a", "b"]), min_size=2, max_size=8),
)


@given(labels=columns_of_labels, words=st.lists(texts, min_size=8, max_size=8))
def test_equal_content_gives_equal_rows_classes_and_fingerprints_in_all_formats(labels, words):
    """What one writer makes of a value (1.0, 1, True, null, nan, nothing) must not decide what it is."""
    rows = [(f"text {i} {words[i]}", label) for i, label in enumerate(labels)]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
            write_table(Path(folder) / name, rows)
            source = replace(labelled_source(str(Path(folder) / name)), drop_incomplete=True)
            reading = Reading(source, clean=True, deduplicate=True)
            counts = SplitCounts()
            kept = list(reading.texts("train", counts))
            try:
                classes = reading.label_names()
            except UserError as error:
                classes = str(error).partition("(")[0]
            read = [(row.text, label_name(source, row)) for row in source.splits["train"]()]
            found[name] = read, kept, reading.labels, bytes(reading.kept["train"]), classes, counts
    assert found["a.csv"] == found["a.tsv"] == found["a.jsonl"] == found["a.parquet"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@given(lines=st.lists(texts.map(lambda text: text.replace("\n", " ")), min_size=1, max_size=8))
@example(lines=["\0\0\0"])  # with its line feed one character of UTF-32
@example(lines=["\0" * 59])
def test_sentences_come_back_one_a_line(suffix, lines):
    wanted = [text for text in (line.strip() for line in [lines[0].removeprefix("\ufeff"), *lines[1:]]) if text]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.txt{suffix}"
        content = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(content) if suffix else content)
        if not wanted:
            with pytest.raises(UserError, match="has no text"):
                list(read_sentences(path))
        else:
            assert [row.text for row in read_sentences(path)] == wanted


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.txt", "a.txt.gz"])
@given(content=st.binary(max_size=300) | any_texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(content=b"text,label\n\xed\xa0\x80,1\n")
@example(content=b"\x1f\x8b\x08")
def test_any_bytes_are_rows_or_one_error_with_the_place(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            rows = list(read_sentences(path) if ".txt" in name else read_table(path, "text", "label"))
        except UserError as error:
            assert name in str(error)  # noqa: PT017
        else:
            assert all(isinstance(row.text, str) and name in row.where for row in rows)


@given(any_texts)
@example("a <br " + "e\u0301" * 40 + "> b")
@example("a" + "\u0301\u0316" * 300_000)
@example("\u0958" * 40 + "\u093c" * 40)
def test_cleaning_is_idempotent_and_never_fails(text):
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert len(cleaned) <= 3 * len(text), "NFC takes one character into three at most"
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not re.search(r"\s\s|[^\S \n]|[\ud800-\udfff]", cleaned)
    assert cleaned == cleaned.strip()


@given(st.lists(labels, min_size=2, max_size=12))
def test_label_sets_are_sorted_and_do_not_depend_on_the_order_of_rows(found):
    def names(values: list[object]) -> list[str] | str:
        rows = [Row(f"text {i}", as_label(value, "x"), f"row {i}") for i, value in enumerate(values)]
        source = Source("x", "x", {"train": lambda: iter(rows)}, labelled=True)
        reading = Reading(source, clean=True, deduplicate=False)
        assert len(list(reading.texts("train", SplitCounts()))) == len(reading.labels["train"])
        try:
            found = reading.label_names() or []
        except UserError:
            return "one label"
        assert set(reading.labels["train"]) == set(found)
        return found

    mapping = names(found)
    assert mapping == names(found[::-1]) == names([*found, *found])
    assert mapping in ("one label", []) or len(set(mapping)) == len(mapping) >= 2


TOKENIZER = train_wordpiece(
    ["la hundo vidas ŝian katon <br /> kaj 北京 가나 e\u0301 שלום"] * 3, vocab_size=200, max_length=16
)


@given(
    st.lists(any_texts.map(clean_text), min_size=1, max_size=4),
    st.integers(3, 20),
    st.sampled_from(["head", "head_tail", None]),
)
def test_any_text_becomes_ids_in_range_and_no_longer_than_asked(texts, max_length, truncation):
    ids, origins, counts = encode(texts, TOKENIZER, max_length=max_length, truncation=truncation)
    words, first, last = len(TOKENIZER), TOKENIZER.cls_token_id, TOKENIZER.sep_token_id
    for piece in ids:
        assert len(piece) <= max_length
        assert (piece[0], piece[-1]) == (first, last)
        assert all(0 <= token < words for token in piece)
    for number in range(len(texts)):
        pieces = [piece[1:-1] for piece, origin in zip(ids, origins, strict=True) if origin == number]
        kept = sum(map(len, pieces))
        assert kept == (counts[number] if truncation is None else min(counts[number], max_length - 2))
        if truncation is None:
            assert [*chain(*pieces)] == TOKENIZER.backend_tokenizer.encode(texts[number], add_special_tokens=False).ids


@given(st.lists(any_texts.map(clean_text), min_size=1, max_size=6), st.integers(5, 300), st.integers(1, 50))
def test_a_tokenizer_can_be_trained_on_any_texts(texts, vocab_size, limit_alphabet):
    try:
        tokenizer = train_wordpiece(texts, vocab_size=vocab_size, min_frequency=1, limit_alphabet=limit_alphabet)
    except UserError as error:
        assert "--data.vocab_size" in str(error) or "no words" in str(error)  # noqa: PT017
        return
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    assert len(tokenizer) <= vocab_size
    encode(texts, tokenizer, max_length=8, truncation=None)
