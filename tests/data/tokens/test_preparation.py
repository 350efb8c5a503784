import json
import random
import re
import sys
from dataclasses import replace

import pytest
from datasets import Dataset
from datasets.utils.logging import enable_progress_bar
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import PreTrainedTokenizerFast

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.texts.sources import Source, labelled_source
from lightning_nlp.data.tokens.encoding import encode
from lightning_nlp.data.tokens.preparation import (
    Cleaning,
    TextColumn,
    TokenizerTraining,
    prepare_tokens,
    quiet_datasets,
    write_tokens,
)
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


@pytest.mark.parametrize("truncation", ["head", "head_tail", None])
def test_write_tokens_counts(tmp_path, truncation):
    tokenizer = bert_like()
    labels = [i % 3 for i in range(len(TEXTS))]
    split = Dataset.from_dict({"text": TEXTS, "label": labels})
    settings = {"max_length": 16, "truncation": truncation}
    with quiet_datasets():
        counts = write_tokens(split, tmp_path / "a.arrow", tokenizer, **settings)
    rows = Dataset.from_file(str(tmp_path / "a.arrow"))
    ids, origins, lengths = encode(TEXTS, tokenizer, **settings)
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
    split = Dataset.from_dict({"text": texts})
    tokenizer = train_wordpiece(texts, vocab_size=200)
    with quiet_datasets():
        counts = write_tokens(split, tmp_path / "a.arrow", tokenizer, max_length=8, truncation=None)
    rows = Dataset.from_file(str(tmp_path / "a.arrow"))
    assert rows.column_names == ["input_ids"]
    assert rows["input_ids"][:] == encode(texts, tokenizer, max_length=8, truncation=None)[0]
    assert counts["texts"] == 2345 < counts["rows"] == len(rows)
    assert list(TextColumn(split)) == texts
    assert list(TextColumn(split)) == texts, "it can be read again"


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
    split = Dataset.from_dict({"text": TEXTS * 10})
    with quiet_datasets():
        write_tokens(split, tmp_path / "a.arrow", tokenizer, max_length=16, truncation="head")
    assert len(read) == len(written) == len(TEXTS)
    assert all(ahead <= number + 2 for number, ahead in enumerate(written))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_sees_how_many_texts_are_done(terminal, tmp_path, capsys, monkeypatch):
    enable_progress_bar()  # whatever a command before has asked for
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    split = Dataset.from_dict({"text": TEXTS})
    write_tokens(split, tmp_path / "a.arrow", bert_like(), max_length=16, truncation="head")
    said = capsys.readouterr().err
    assert bool(re.search(rf"Tokenizing a: 100%.*{len(TEXTS)}/{len(TEXTS)}", said)) == terminal == bool(said)


CLEANING, TRAINING = Cleaning(split_seed=1), TokenizerTraining(vocab_size=200, min_frequency=1)
SETTINGS = {"cleaning": CLEANING, "tokenizer": None, "training": TRAINING, "max_length": 16, "truncation": "head"}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "reviews.csv"
    rows = [
        f'"Nr. {i} <br />{" ".join(RANDOM.choices(WORDS, k=i % 30 + 1))}",{"good" if i % 3 else "bad"}'
        for i in range(60)
    ]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return labelled_source(str(path))


def test_the_folder_is_complete_and_holds_nothing_else(tmp_path, source):
    folder = prepare_tokens(source, tmp_path / "cache", **SETTINGS)
    assert sorted(p.name for p in folder.iterdir()) == [
        "facts.json", "test.arrow", "tokenizer", "train.arrow", "validation.arrow"
    ]  # fmt: skip
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    assert facts["source"] == "reviews.csv"
    assert facts["label_names"] == ["bad", "good"]
    assert len(facts["cleaning"]) == 3
    assert sum(facts[split]["texts"] for split in ("train", "validation", "test")) == 60
    assert sum(facts[split]["class_counts"][0] for split in ("train", "validation", "test")) == 20


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 17},
        {"truncation": "head_tail"},
        {"truncation": None},
        {"cleaning": replace(CLEANING, clean=False)},
        {"cleaning": replace(CLEANING, deduplicate=False)},
        {"cleaning": replace(CLEANING, max_train_samples=20)},
        {"cleaning": replace(CLEANING, split_seed=2)},
        {"training": replace(TRAINING, vocab_size=150)},
        {"training": replace(TRAINING, lowercase=False)},
        {"tokenizer": bert_like()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_setting_makes_tokens_of_its_own(tmp_path, source, change):
    folder = prepare_tokens(source, tmp_path / "cache", **SETTINGS)
    assert prepare_tokens(source, tmp_path / "cache", **SETTINGS) == folder
    assert prepare_tokens(source, tmp_path / "cache", **SETTINGS | change) != folder


def test_the_tokenizer_trained_here_does_not_matter_when_one_is_given(tmp_path, source):
    given = SETTINGS | {"tokenizer": bert_like()}
    folder = prepare_tokens(source, tmp_path / "cache", **given)
    assert prepare_tokens(source, tmp_path / "cache", **given | {"training": replace(TRAINING, vocab_size=1)}) == folder
    used = bert_like()
    used(["a", "b c"], padding=True, truncation=True, max_length=5)  # leaves its settings in the tokenizer
    assert prepare_tokens(source, tmp_path / "cache", **given | {"tokenizer": used}) == folder


def test_tokenizers_that_differ_in_their_special_tokens_alone(tmp_path, source):
    with_mask, without_mask = bert_like(), bert_like()
    without_mask.mask_token = None
    folders = [
        prepare_tokens(source, tmp_path / "cache", **SETTINGS | {"tokenizer": tokenizer})
        for tokenizer in (with_mask, without_mask)
    ]
    assert folders[0] != folders[1]


def test_tokens_come_from_the_cache_without_reading_a_row(tmp_path, source):
    folder = prepare_tokens(source, tmp_path / "cache", **SETTINGS)

    def explode():
        raise AssertionError("read the data")

    unread = Source(**vars(source) | {"splits": dict.fromkeys(source.splits, explode)})
    assert prepare_tokens(unread, tmp_path / "cache", **SETTINGS) == folder
    with pytest.raises(AssertionError, match="read the data"):
        prepare_tokens(unread, tmp_path / "other", **SETTINGS)


def prepare(folder, lines, **settings):
    """A classifier's data out of (text, label) pairs."""
    rows = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in lines)
    (folder / "a.jsonl").write_text(rows, encoding="utf-8")
    data = TextClassificationDataModule(str(folder / "a.jsonl"), cache_dir=str(folder / "cache"), **settings)
    data.prepare_data()
    data.setup()
    return data


def test_what_a_tokenizer_makes_of_odd_texts_is_told(tmp_path):
    usual = [(f"la reĝo diris {i}", i % 2) for i in range(60)]
    odd = [(f"{chr(0xE000 + i)}", i % 2) for i in range(20)] + [
        (f"bona [MASK] tago [SEP] {i}", i % 2) for i in range(20)
    ]
    lines = prepare(tmp_path, usual + odd, min_frequency=1).facts["cleaning"]
    told = "\n".join(lines)
    assert re.search(r"train: the tokenizer leaves nothing of \d+ texts", told)
    assert re.search(
        r"train: special tokens occur in the texts themselves, and act as such: \[SEP\] \d+, \[MASK\] \d+", told
    )
    (tmp_path / "usual").mkdir()
    assert len(prepare(tmp_path / "usual", usual, min_frequency=1).facts["cleaning"]) == 3


def test_texts_that_the_tokenizer_cannot_read_are_an_error_with_its_cause(tmp_path):
    texts = [(f"{'абвгдежз'[i % 8 :]} {i % 7} словo{i}", i % 2) for i in range(60)]
    bert_like().save_pretrained(tmp_path / "latin")
    with pytest.raises(UserError, match=r"% of the words of train are unknown.*give another --data.tokenizer, or null"):
        prepare(tmp_path, texts, tokenizer=str(tmp_path / "latin"))
    prepare(tmp_path, texts)  # the cure
    with pytest.raises(UserError, match=r"unknown.*larger --data.limit_alphabet"):
        prepare(tmp_path, texts, limit_alphabet=5)
    with pytest.raises(UserError, match=r"--data.lowercase false is for a tokenizer that is trained here"):
        prepare(tmp_path, texts, tokenizer=str(tmp_path / "latin"), lowercase=False)
