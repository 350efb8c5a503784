"""Untagged texts: what a record says, without a trained network."""

import torch

from lightning_nlp.data.tokens.tokenizer import train_tokenizer
from lightning_nlp.predict.tags import tag_predictor

TEXTS = ["Anna lives in New York.", "", " \u00a0", "in New York " * 30]


def predictor(names, packed, chosen):
    tokenizer = train_tokenizer(TEXTS[:1] * 5 + ["Anna in New York"], vocab_size=100, lowercase=False, max_length=16)
    wanted = {tokenizer.convert_tokens_to_ids(word): names.index(tag) for word, tag in chosen.items()}

    def logits_of(batch, words):
        """A network that knows some words by heart."""
        tags = [wanted.get(token, names.index("O")) for token in batch["input_ids"].flatten()[words].tolist()]
        return torch.nn.functional.one_hot(torch.tensor(tags), len(names)) * 5.0

    return tag_predictor(tokenizer, logits_of, names, max_length=16, tokens_per_batch=48, packed=packed)


def test_records_have_entities_with_their_places():
    chosen = {"Anna": "B-PER", "New": "B-LOC", "York": "I-LOC"}
    names = ["B-LOC", "B-PER", "I-LOC", "O"]
    found = [list(predictor(names, packed, chosen)(list(enumerate(TEXTS)))) for packed in (True, False)]
    assert found[0] == found[1]
    first, empty, blank, long = found[0]
    assert first["words"] == ["Anna", "lives", "in", "New", "York", "."]
    assert first["tags"] == ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"]
    assert [(e["type"], e["text"], e["start"], e["end"]) for e in first["entities"]] == [
        *(("PER", "Anna", 0, 4), ("LOC", "New York", 14, 22))
    ]
    assert 0.9 < first["entities"][0]["score"] < 1
    assert {"index": 1, "words": [], "tags": [], "entities": []} == empty == blank | {"index": 1}
    assert len(long["words"]) == 90  # split between words, and none is lost
    assert len(long["entities"]) == 30
    assert all(TEXTS[3][e["start"] : e["end"]] == "New York" for e in long["entities"])


def test_plain_tags_have_no_entities():
    (record,) = predictor(["NOUN", "O"], False, {"Anna": "NOUN"})([(7, "Anna lives")])
    assert record == {"index": 7, "words": ["Anna", "lives"], "tags": ["NOUN", "O"]}
