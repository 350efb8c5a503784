import json
import random
import re
import sys

import pytest
from datasets import Dataset
from datasets.utils.logging import enable_progress_bar
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import PreTrainedTokenizerFast

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.tokens.encoding import encode
from lightning_nlp.data.tokens.preparation import TextColumn, tokenized_texts, write_tokens
from lightning_nlp.data.tokens.tokenizer import train_wordpiece
from lightning_nlp.errors import UserError

WORDS = "la reĝo diris ke ĝi estas bona tago kaj poste ŝi iris hejmen por legi longan libron pri ĉevaloj".split()
RANDOM = random.Random(0)
TEXTS = [" ".join(RANDOM.choices(WORDS, k=k)) for k in (3, 40, 1, 12, 7, 120, 28, 29, 30, 31, 5)] + ["", "  ", "🙂 ☃"]


def bert_like():
    return train_wordpiece(TEXTS, vocab_size=120, max_length=512)


def roberta_like():
    backend = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend.train_from_iterator(TEXTS, vocab_size=300, special_tokens=specials, show_progress=False)
    # It takes its frame and its pair separator from a post-processor of another kind than BERT's.
    backend._tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend._tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def write(texts, path, tokenizer, max_length=16, truncation="head", **columns):
    """What is counted on the way."""
    split = Dataset.from_dict({"text": texts, **columns})
    return write_tokens(split, path, tokenized_texts(split, tokenizer, max_length, truncation))


@pytest.mark.parametrize("truncation", ["head", "head_tail", None])
def test_write_tokens_counts(tmp_path, truncation):
    tokenizer = bert_like()
    labels = [i % 3 for i in range(len(TEXTS))]
    counts = write(TEXTS, tmp_path / "a.arrow", tokenizer, truncation=truncation, label=labels)
    rows = Dataset.from_file(str(tmp_path / "a.arrow"))
    ids, origins, lengths = encode(TEXTS, tokenizer, max_length=16, truncation=truncation)
    assert rows["input_ids"][:] == ids
    assert rows["label"][:] == [labels[origin] for origin in origins]
    assert rows.features["input_ids"].feature.dtype == "int32"
    long = sum(length > 14 for length in lengths)
    assert long >= 5
    assert counts == {
        "texts": len(TEXTS),
        "rows": len(ids),
        "characters": sum(len(text) for text in TEXTS),
        "tokens": sum(lengths),
        "cut": 0 if truncation is None else long,
        "without_tokens": 2,
    }


def test_more_texts_than_a_batch_keep_their_order(tmp_path):
    texts = [f"la {'reĝo ' * (i % 20)}{i}" for i in range(2345)]
    tokenizer = train_wordpiece(texts, vocab_size=200)
    counts = write(texts, tmp_path / "a.arrow", tokenizer, max_length=8, truncation=None)
    rows = Dataset.from_file(str(tmp_path / "a.arrow"))
    assert rows.column_names == ["input_ids"]
    assert rows["input_ids"][:] == encode(texts, tokenizer, max_length=8, truncation=None)[0]
    assert counts["texts"] == 2345 < counts["rows"] == len(rows)
    column = TextColumn(Dataset.from_dict({"text": texts}))
    assert list(column) == list(column) == texts, "it can be read again"


def test_at_most_two_batches_are_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.data.tokens.preparation.BATCH_ROWS", 10)
    read, written = [], []

    class Watched(list):
        """The encodings of a batch, which know how far the reading has come when they are looked at."""

        def __iter__(self):
            written.append(len(read))
            return super().__iter__()

    class Backend:
        def encode_batch_fast(self, texts, **kwargs):
            read.append(texts)
            return Watched(backend.encode_batch_fast(texts, **kwargs))

    tokenizer = bert_like()
    backend = tokenizer.backend_tokenizer
    monkeypatch.setattr("lightning_nlp.data.tokens.preparation.plain_backend", lambda _: Backend())
    write(TEXTS * 10, tmp_path / "a.arrow", tokenizer)
    assert len(read) == len(written) == len(TEXTS)
    assert all(ahead <= number + 2 for number, ahead in enumerate(written))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_sees_how_many_texts_are_done(terminal, tmp_path, capsys, monkeypatch):
    enable_progress_bar()  # whatever a command before has asked for
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    write(TEXTS, tmp_path / "a.arrow", bert_like())
    said = capsys.readouterr().err
    assert bool(re.search(rf"Tokenizing a: 100%.*{len(TEXTS)}/{len(TEXTS)}", said)) == terminal == bool(said)


def prepare(folder, lines, **settings):
    """A classifier's data out of (text, label) pairs."""
    rows = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in lines)
    (folder / "a.jsonl").write_text(rows, encoding="utf-8")
    data = TextClassificationDataModule(str(folder / "a.jsonl"), cache_dir=str(folder / "cache"), **settings)
    data.prepare_data()
    data.setup()
    return data


def test_texts_of_which_the_tokenizer_leaves_nothing_are_counted(tmp_path):
    usual = [(f"la reĝo diris {i}", i % 2) for i in range(60)]
    odd = [(f"{chr(0xE000 + i)}", i % 2) for i in range(20)]
    lines = "\n".join(prepare(tmp_path, usual + odd).facts["cleaning"])
    assert re.search(r"train: the tokenizer returns no tokens for \d\d texts\n", lines)
    assert "validation: the tokenizer returns no tokens for 1 text" in lines.splitlines()
    assert len(prepare(tmp_path, usual).facts["cleaning"]) == 3


def test_texts_that_the_tokenizer_cannot_read_are_an_error_with_its_cause(tmp_path):
    texts = [(f"{'абвгдежз'[i % 8 :]} {i % 7} словo{i}", i % 2) for i in range(60)]
    bert_like().save_pretrained(tmp_path / "latin")
    with pytest.raises(UserError, match=r"% of the words in train are unknown.*give another --data.tokenizer, or null"):
        prepare(tmp_path, texts, tokenizer=str(tmp_path / "latin"))
    prepare(tmp_path, texts)  # the cure
    with pytest.raises(UserError, match=r"unknown.*larger --data.limit_alphabet"):
        prepare(tmp_path, texts, limit_alphabet=5)
    with pytest.raises(UserError, match=r"--data.lowercase false is for a tokenizer trained here"):
        prepare(tmp_path, texts, tokenizer=str(tmp_path / "latin"), lowercase=False)
