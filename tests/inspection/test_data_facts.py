import errno
import json
import os
import re
from collections import Counter

import numpy as np
import pytest

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.inspection.data_facts import token_facts
from tests.bad_input.check import check
from tests.conftest import invoke

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def datamodule(reviews, cache_dir):
    module = TextClassificationDataModule(str(reviews), vocab_size=300, max_length=12, cache_dir=str(cache_dir))
    module.prepare_data()
    module.setup()
    return module


def ids(datamodule, split):
    rows = datamodule.token_rows[split]
    return [row.tolist() for row in rows[np.arange(len(rows.lengths))]["input_ids"]]


def test_token_facts_agree_with_counting_the_ids(datamodule):
    facts = token_facts(datamodule)
    assert json.loads(json.dumps(facts)) == facts, "nothing but what JSON has"
    assert list(facts) == "source fingerprint label_names cleaning splits lengths tokenizer warnings".split()
    assert facts["source"] == "reviews.csv"
    assert facts["fingerprint"] == datamodule.fingerprint
    assert facts["label_names"] == ["neg", "pos"]
    assert set(facts["splits"]) == set(SPLITS)
    assert sum(part["texts"] for part in facts["splits"].values()) == 60
    assert sum(sum(part["class_counts"]) for part in facts["splits"].values()) == 60
    special = {datamodule.tokenizer.convert_tokens_to_ids(token) for token in ("[CLS]", "[SEP]")}
    unknown = datamodule.tokenizer.unk_token_id
    tokens = {split: [n for row in ids(datamodule, split) for n in row if n not in special] for split in SPLITS}
    together = [number for part in tokens.values() for number in part]
    assert facts["tokenizer"]["used"] == len(set(tokens["train"]))
    assert facts["tokenizer"]["unknown_rate"] == pytest.approx(together.count(unknown) / len(together), abs=1e-6)
    for split, part in tokens.items():
        assert facts["splits"][split]["unknown_rate"] == pytest.approx(part.count(unknown) / len(part), abs=1e-6)
    assert facts["tokenizer"]["vocab_size"] == len(datamodule.tokenizer)
    assert facts["tokenizer"]["lowercase"] is True
    for split in SPLITS:
        lengths = Counter(len(row) for row in ids(datamodule, split))
        edges, counts = facts["lengths"]["edges"], facts["lengths"][split]
        assert len(edges) == len(counts) + 1
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            assert count == sum(number for length, number in lengths.items() if low <= length < high)
        assert sum(counts) == sum(lengths.values())


def test_rows_that_the_model_cannot_tell_apart(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.txt").write_text("La hundo kuras.\nLa kato kuras.\nLa birdo flugas.\n", encoding="utf-8")
    (folder / "test.txt").write_text("la Hundo kuras.\nLa hundo dormas.\n", encoding="utf-8")
    (folder / "valid.txt").write_text("La birdo kuras.\n", encoding="utf-8")
    module = MaskedLanguageModelingDataModule(
        str(folder), vocab_size=100, min_frequency=1, mlm_probability=0.9, cache_dir=str(tmp_path / "cache")
    )
    module.prepare_data()
    module.setup()
    facts = token_facts(module)
    copies = {split: part["copies_of_train"] for split, part in facts["splits"].items()}
    assert copies == {"train": 0, "validation": 0, "test": 1}
    assert facts["warnings"][0]["severity"] == "severe"
    assert facts["warnings"][0]["text"].startswith("1 of 2 test rows (50.00%) are also in train: they differ only in")


def test_a_fit_prints_what_its_user_can_act_on(tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, "--data.max_length", "8", "--trainer.max_steps", "1", "--runs_dir", tmp_path)
    facts = json.loads((outcome.run / "data.json").read_text(encoding="utf-8"))
    wanted = [f"{finding['severity']}: {finding['text']}" for finding in facts["warnings"]]
    assert wanted[-1].startswith("severe: 100% of the training texts lose words to --data.max_length 8")
    printed = outcome.err.splitlines()
    assert [line for line in printed if line.startswith(("severe:", "warning:", "note:"))] == wanted


def test_a_class_without_a_held_out_text_is_named_and_nothing_is_moved_for_it(tiny_cls, reviews, tmp_path):
    data = tmp_path / "reviews.csv"
    rare = "a film of its own,rare\nand one more,rare\n"
    data.write_text(reviews.read_text(encoding="utf-8") + rare, encoding="utf-8")
    more = ["--data.path", data, "--data.cache_dir", tmp_path / "cache", "--runs_dir", tmp_path]
    outcome = invoke("fit", *tiny_cls, "--trainer.max_steps", "1", *more)
    facts = json.loads((outcome.run / "data.json").read_text(encoding="utf-8"))
    assert [part["class_counts"][2] for part in facts["splits"].values()] == [2, 0, 0]
    for split, argument in (("validation", "val_fraction"), ("test", "test_fraction")):
        assert re.search(f"severe: No {split} text has the label 'rare'.*--data.{argument}", outcome.err)


def test_a_disk_without_room_is_one_error_and_no_run(tiny_cls, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lightning_nlp.inspection.data_facts.write_whole", full)
    outcome = invoke("fit", *tiny_cls, "--name", "full", "--runs_dir", tmp_path)
    check(outcome, "data.json cannot be written (No space left on device)")
    assert not list(tmp_path.rglob("data.json"))
    assert not (tmp_path / "full" / "0").exists()
