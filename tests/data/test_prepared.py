import inspect
import json
import random
from dataclasses import replace

import pytest
from lightning import Trainer
from transformers import AutoTokenizer

from lightning_nlp.data.base import TextDataModule
from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.prepared import token_folder
from lightning_nlp.data.settings import SPLITS, Cleaning, TokenizerTraining
from lightning_nlp.data.streaming.datamodule import StreamingDataModule
from lightning_nlp.data.texts.sources import labelled_source
from lightning_nlp.data.tokens import preparation
from lightning_nlp.models.classification import SequenceClassifier
from tests.data.tokens.test_preparation import WORDS, bert_like

CLEANING, TRAINING = Cleaning(split_seed=1), TokenizerTraining(vocab_size=200, min_frequency=1)
SETTINGS = {"cleaning": CLEANING, "tokenizer": None, "training": TRAINING, "max_length": 16, "truncation": "head"}


@pytest.fixture
def source(tmp_path):
    path, draw = tmp_path / "reviews.csv", random.Random(0)
    texts = [f"Nr. {i} <br />{' '.join(draw.choices(WORDS, k=i % 30 + 1))}" for i in range(60)]
    rows = [f'"{text}",{"good" if i % 3 else "bad"}' for i, text in enumerate(texts)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return labelled_source(str(path))


def test_the_folder_is_complete_and_holds_nothing_else(tmp_path, source):
    folder = token_folder(source, tmp_path / "cache", **SETTINGS)
    files = ["facts.json", "test.arrow", "tokenizer", "train.arrow", "validation.arrow"]
    assert sorted(path.name for path in folder.iterdir()) == files
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    assert facts["source"] == "reviews.csv"
    assert facts["label_names"] == ["bad", "good"]
    assert len(facts["cleaning"]) == 3
    assert sum(facts[split]["texts"] for split in SPLITS) == 60
    assert sum(facts[split]["class_counts"][0] for split in SPLITS) == 20


def test_each_setting_makes_tokens_of_its_own_and_equal_ones_come_from_the_cache(tmp_path, source, monkeypatch):
    without_mask, used = bert_like(), bert_like()
    without_mask.mask_token = None
    used(["a", "b c"], padding=True, truncation=True, max_length=5)  # leaves its settings in the tokenizer
    written = []
    monkeypatch.setattr(preparation, "write_folder", lambda folder, *settings: written.append(settings))

    def folder(**change):
        return token_folder(source, tmp_path / "cache", **SETTINGS | change)

    changes = [
        {},
        {"max_length": 17},
        {"truncation": "head_tail"},
        {"truncation": None},
        {"cleaning": replace(CLEANING, clean=False)},
        {"cleaning": replace(CLEANING, max_train_samples=20)},
        {"cleaning": replace(CLEANING, split_seed=2)},
        {"training": replace(TRAINING, vocab_size=150)},
        {"training": replace(TRAINING, lowercase=False)},
        {"tokenizer": bert_like()},
        {"tokenizer": without_mask},
    ]
    folders = [folder(**change) for change in changes]
    assert len({*folders}) == len(written) == len(changes)
    assert [folder(**change) for change in changes] == folders
    given = folder(tokenizer=used, training=replace(TRAINING, vocab_size=1))
    assert given == folders[-2], "what would be trained without it does not matter"
    assert len(written) == len(changes)


BATCHES = "batch_size eval_batch_size tokens_per_batch packing num_workers seed cache_dir max_tokens shuffle_rows"
MASKS, TRAINED = "mlm_probability mask_token_prob random_token_prob", "tokenizer_model vocab_size min_frequency"
MODULES = [TextClassificationDataModule, MaskedLanguageModelingDataModule, StreamingDataModule]


@pytest.mark.parametrize("module", MODULES)
def test_a_checkpoint_records_each_argument_that_decides_on_texts_and_tokens(module):
    """Under the names of the arguments, with which another run is compared."""
    bases = [base for base in module.__mro__ if issubclass(base, TextDataModule)]
    arguments = {name for base in bases for name in inspect.signature(base.__init__).parameters}
    settings = module("a.txt").settings
    assert set(settings) - {"streaming"} == arguments - {"self", "args", "kwargs", *BATCHES.split(), *MASKS.split()}
    given = module("a.txt", tokenizer="b", max_length=9, deduplicate=False).settings
    assert {name for name in given if given[name] != settings[name]} == {"tokenizer", "max_length", "deduplicate"}
    assert set(settings) - set(given) == {*TRAINED.split(), "limit_alphabet", "lowercase"}, "none is trained"


def test_counts_of_texts_with_a_split_of_their_own(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"reĝo {i} la la,{i % 2}\n" for i in range(10)))
    (tmp_path / "valid.csv").write_text("text,label\nla la reĝo,0\nla la,1\n")
    (tmp_path / "test.csv").write_text("text,label\nla reĝo,0\nla reĝo la la la la,1\n")
    data = TextClassificationDataModule(str(tmp_path), max_length=4, batch_size=3, cache_dir=str(tmp_path / "cache"))
    data.prepare_data()
    data.setup()
    assert data.tokenizer.tokenize("la la reĝo") == ["la", "la", "reĝo"]
    assert data.chars_per_token == {
        "train": (10 * len("reĝo 0 la la")) / (10 * 4),
        "validation": (len("la la reĝo") + len("la la")) / 5,
        "test": (len("la reĝo") + len("la reĝo la la la la")) / 8,
    }
    assert data.class_counts == [5, 5]
    assert data.label_names == ["0", "1"]
    assert [data.facts[split]["cut"] for split in ("train", "validation", "test")] == [10, 1, 1]
    assert data.train_batches == 4


@pytest.mark.parametrize("module", [TextClassificationDataModule, MaskedLanguageModelingDataModule])
def test_texts_of_one_author_are_held_out_together(module, tmp_path):
    """As test_splits.py proves, once the column is handed on."""
    (tmp_path / "a.csv").write_text("text,author,label\nla reĝo,eva,0\n", encoding="utf-8")
    source = module(str(tmp_path / "a.csv"), group_column="author").source()
    assert [row.group for row in source.splits["train"]()] == ["eva"]


def test_the_data_of_a_fit_stay_when_its_file_goes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(40)))
    data = TextClassificationDataModule(str(path), cache_dir=str(tmp_path / "cache"))
    data.prepare_data()
    data.setup("fit")
    before = data.token_rows["test"].texts()["hash"]
    path.unlink()
    data.prepare_data()
    data.setup("test")
    assert data.token_rows["test"].texts()["hash"].equal(before)


def test_tokenizer_trained_on_train_alone(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"bona tago {i},{i % 2}\n" for i in range(20)))
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"ŝipo {i},{i % 2}\n" for i in range(20)))
    data = TextClassificationDataModule(str(tmp_path), max_length=32, vocab_size=60, cache_dir=str(tmp_path / "cache"))
    data.prepare_data()
    data.setup()
    assert "tago" in data.tokenizer.get_vocab()
    assert not any("ŝ" in token for token in data.tokenizer.get_vocab())
    assert len(data.tokenizer) == max(data.tokenizer.get_vocab().values()) + 1 <= 60
    assert data.tokenizer.model_max_length == 32


def test_a_pretrained_model_brings_its_tokenizer_from_python_too(reviews, cache_dir, pretrained, tmp_path):
    data = TextClassificationDataModule(str(reviews), max_length=32, cache_dir=str(cache_dir))
    trainer = Trainer(fast_dev_run=True, logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    trainer.fit(SequenceClassifier(pretrained=str(pretrained)), data)
    assert data.tokenizer.get_vocab() == AutoTokenizer.from_pretrained(pretrained).get_vocab()
