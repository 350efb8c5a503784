"""A data module of tagged sentences: batches, and what it refuses."""

import json

import numpy as np
import pytest
import torch

from lightning_nlp.data.tagging import TokenClassificationDataModule, collate_tags
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.tags import joined_pieces
from tests.conftest import write_tagged


def open_data(path, tmp_path, **settings):
    settings = {"vocab_size": 200, "max_length": 16, "batch_size": 4, "cache_dir": str(tmp_path / "cache")} | settings
    data = TokenClassificationDataModule(str(path), **settings)
    data.setup()
    return data


def test_packed_and_padded_batches_have_the_same_words(tmp_path):
    data = open_data(write_tagged(tmp_path / "a.jsonl"), tmp_path)
    assert data.label_names == ["B-LOC", "B-PER", "O"]
    rows = data.token_rows["train"]
    columns = {**rows[[5, 0, 9]], "index": [5, 0, 9]}
    assert joined_pieces(data.tokenizer, columns["input_ids"][0], columns["label"][0])[:2] == ["the", "man"]
    sizes = {"pad_token_id": data.tokenizer.pad_token_id, "max_length": 16}
    padded, packed = collate_tags(columns, 0, **sizes), collate_tags(columns, 0, packed=True, **sizes)
    assert padded["labels"].shape == padded["input_ids"].shape
    assert packed["labels"].shape == packed["input_ids"].shape
    found = []
    for batch in (padded, packed):
        tags, rows_of = batch["labels"].flatten()[batch["words"]], batch["word_rows"]
        assert torch.equal(batch["words"], (batch["labels"] != -100).flatten().nonzero().squeeze(1))
        found.append(sorted(zip(rows_of.tolist(), tags.tolist(), strict=True)))
    assert found[0] == found[1]
    assert len(found[0]) == 18


def test_a_filler_has_no_words(tmp_path):
    data = open_data(write_tagged(tmp_path / "a.jsonl"), tmp_path)
    filler = data.train_dataloader()._loader.dataset[0, []]
    assert len(filler["words"]) == len(filler["word_rows"]) == 0
    assert set(filler["labels"].flatten().tolist()) == {-100}


def test_long_sentences_are_split_and_counted(tmp_path):
    data = open_data(write_tagged(tmp_path / "a.jsonl"), tmp_path, max_length=8)
    facts = data.facts["train"]
    assert (
        sum(np.count_nonzero(row >= 0) for row in data.token_rows["train"][range(facts["rows"])]["label"])
        == (facts["words"])
    )
    assert sum(facts["class_counts"]) == facts["words"]
    assert any("more rows, from sentences split" in line for line in data.facts["cleaning"])


def test_other_tags_of_the_same_words_are_noticed(tmp_path):
    path = write_tagged(tmp_path / "a.jsonl")
    then = open_data(path, tmp_path).record()
    path.write_text(path.read_text().replace('"O", "B-LOC"', '"B-LOC", "O"', 1))
    from lightning_nlp.data.trained_on import changes

    assert changes(then, open_data(path, tmp_path).record()) == "1 text with another label"


def test_an_unknown_tag_of_validation_is_an_error(tmp_path):
    write_tagged(tmp_path / "train.jsonl")
    (tmp_path / "dev.jsonl").write_text(2 * (json.dumps({"tokens": ["a"], "ner_tags": ["B-ORG"]}) + "\n"))
    with pytest.raises(
        UserError, match=r"'B-ORG' is in validation .*dev.jsonl.* not in train, which has B-LOC, B-PER, O"
    ):
        open_data(tmp_path, tmp_path)


def test_empty_sentences_are_an_error_or_dropped(tmp_path):
    path = write_tagged(tmp_path / "a.jsonl")
    path.write_text(path.read_text() + json.dumps({"tokens": [], "ner_tags": []}) + "\n")
    with pytest.raises(UserError, match=r"1 row without text or label: a.jsonl, line 81; .*drop_incomplete true"):
        open_data(path, tmp_path)
    counts = open_data(path, tmp_path, drop_incomplete=True).facts["counts"]
    assert counts["train"]["incomplete"] == 1


def test_a_tokenizer_trained_here_keeps_capitals_and_another_one_decides_itself(tmp_path):
    data = open_data(write_tagged(tmp_path / "a.jsonl"), tmp_path)
    assert data.tokenizer.tokenize("Kar") != data.tokenizer.tokenize("kar")
    data.tokenizer.save_pretrained(tmp_path / "tokenizer")
    assert open_data(tmp_path / "a.jsonl", tmp_path, tokenizer=str(tmp_path / "tokenizer")).label_names
