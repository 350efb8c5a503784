import pytest
import torch

from lightning_nlp.data.collators import collate_classification, collate_mlm
from lightning_nlp.evaluation.evidence import TEXTS, TOKENS, evidence

SPECIAL = {"special_ids": torch.tensor([0, 1, 2]), "word_ids": torch.arange(3, 50), "mask_token_id": 2}


def texts(number, length):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 50, (length + i % 5,), generator=generator).numpy() for i in range(number)]


def classified(sequences, packed):
    """A batch, and logits that tell of each text by its first tokens."""
    examples = {"input_ids": sequences, "label": [0] * len(sequences), "index": range(len(sequences))}
    batch = collate_classification(examples, 0, pad_token_id=0, max_length=600, packed=packed)
    first = [sequences[row][:3] for row in batch["rows"]]
    return batch, {"logits": torch.tensor([list(tokens) for tokens in first]).float(), "labels": batch["labels"]}


def guessed(sequences, packed):
    """A batch, and losses that tell of each masked token."""
    examples = {"input_ids": sequences, "index": list(range(len(sequences)))}
    batch = collate_mlm(examples, 0, pad_token_id=0, max_length=600, seed=1, packed=packed, **SPECIAL)
    targets = batch["labels"].flatten()[batch["masked"]]
    return batch, {"targets": targets, "loss": targets.float() / 100}


@pytest.mark.parametrize("packed", [True, False])
def test_each_text_has_its_own_prediction(packed):
    sequences = texts(9, 6)
    found = evidence([classified(sequences[:5], packed), classified(sequences[5:], packed)])
    ids = found["input_ids"].split(found["lengths"].tolist())
    assert sorted(map(tuple, map(torch.Tensor.tolist, ids))) == sorted(map(tuple, (list(s) for s in sequences)))
    for tokens, log_probabilities in zip(ids, found["log_probabilities"], strict=True):
        assert log_probabilities.equal(tokens[:3].float().log_softmax(-1))


@pytest.mark.parametrize("packed", [True, False])
def test_each_masked_token_has_its_own_prediction(packed):
    sequences = texts(9, 30)
    found = evidence([guessed(sequences[:5], packed), guessed(sequences[5:], packed)])
    masked = found["targets"] >= 0
    assert masked.sum() > 20
    assert found["log_probabilities"].equal(-found["targets"][masked].float() / 100)
    assert len(found["targets"]) == len(found["input_ids"]) == sum(map(len, sequences))
    shown = ~masked & (found["input_ids"] != 2)
    assert shown.sum() > 100


@pytest.mark.parametrize(("number", "length"), [(700, 4), (90, 500)])
def test_a_part_of_many_texts_is_spread_over_them(number, length):
    sequences = texts(number, length)
    found = evidence([classified(sequences[i : i + 30], True) for i in range(0, number, 30)])
    count = len(found["lengths"])
    assert min(TEXTS, number) / 3 <= count <= TEXTS
    assert len(found["input_ids"]) < TOKENS * 1.05
    ids = {tuple(part.tolist()) for part in found["input_ids"].split(found["lengths"].tolist())}
    for third in range(3):
        part = {tuple(s.tolist()) for s in sequences[third * number // 3 : (third + 1) * number // 3]}
        assert len(ids & part) == pytest.approx(count / 3, rel=0.25)
