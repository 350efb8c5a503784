from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from lightning_nlp.data.batches.collators import collate_classification
from lightning_nlp.data.batches.loader import Batches
from lightning_nlp.data.batches.masking import collate_mlm, mask_noise, mask_tokens

SPECIALS = torch.tensor([0, 1, 2, 3, 4])
WORDS = torch.arange(5, 1000)
MASK = 4


def mask(input_ids, seed=0, **kwargs):
    rows, width = input_ids.shape
    noise = mask_noise(seed, 0, range(rows), [width] * rows).view(3, rows, width)
    return mask_tokens(input_ids, noise, special_ids=SPECIALS, word_ids=WORDS, mask_token_id=MASK, **kwargs)


def test_shares_of_masked_random_and_kept_tokens():
    input_ids = torch.randint(5, 1000, (400, 500), generator=torch.Generator().manual_seed(0))
    masked, labels = mask(input_ids)
    chosen = labels != -100
    assert chosen.float().mean() == pytest.approx(0.15, abs=0.003)
    assert (labels[chosen] == input_ids[chosen]).all()
    assert (masked[~chosen] == input_ids[~chosen]).all()
    assert (masked[chosen] == MASK).float().mean() == pytest.approx(0.8, abs=0.01)
    assert (masked[chosen] == input_ids[chosen]).float().mean() == pytest.approx(0.1, abs=0.01)


def test_random_words_cover_the_whole_vocabulary_evenly_and_no_special():
    input_ids = torch.full((400, 2000), 500)
    masked, _ = mask(input_ids, mlm_probability=1.0, mask_token_prob=0.0, random_token_prob=1.0)
    counts = torch.bincount(masked.flatten(), minlength=1000)
    assert counts[:5].sum() == 0
    assert chisquare(counts[5:].numpy()).pvalue > 1e-4


SENTENCES = [np.array([2, *range(10, 10 + n), 3]) for n in (5, 30, 12, 40)]
collate = partial(
    collate_mlm,
    pad_token_id=0,
    max_length=64,
    seed=7,
    special_ids=SPECIALS,
    word_ids=WORDS,
    mask_token_id=MASK,
    mlm_probability=0.5,
)


def rows_of(indices, epoch, **other):
    batch = collate({"input_ids": [SENTENCES[i] for i in indices], "index": indices}, epoch, **other)
    width = {i: len(SENTENCES[i]) for i in indices}
    return {
        i: (batch["input_ids"][r, : width[i]].tolist(), batch["labels"][r, : width[i]].tolist())
        for r, i in enumerate(indices)
    }


def test_a_mask_depends_on_the_example_epoch_and_seed_and_not_on_the_batch():
    together, apart = rows_of([0, 1, 2, 3], epoch=2), rows_of([3, 1], epoch=2)
    assert {i: together[i] for i in (1, 3)} == apart
    assert rows_of([1], epoch=0) != rows_of([1], epoch=1)
    assert rows_of([1], epoch=2, seed=8) != {1: apart[1]}


def test_noise_is_the_examples_own_stream():
    indices, lengths = [7, 0, 123_456, 7], [5, 31, 8, 2]
    expected = [
        np.random.Generator(np.random.Philox(key=[3, 9], counter=[0, 0, 0, index])).random((3, length), np.float32)
        for index, length in zip(indices, lengths, strict=True)
    ]
    assert mask_noise(3, 9, indices, lengths).numpy().tolist() == np.concatenate(expected, axis=1).tolist()


@pytest.mark.parametrize(
    ("collate_function", "shape"),
    [
        (partial(collate, packed=True), (1, 7)),
        (partial(collate_classification, pad_token_id=0, max_length=64, packed=True), (1,)),
    ],
)
def test_a_process_without_examples_gets_a_batch_without_labels(collate_function, shape):
    class Rows:
        def __getitem__(self, numbers):
            return {"input_ids": [SENTENCES[i] for i in numbers], "label": np.array([1 for _ in numbers])}

    batch = Batches(Rows(), collate_function)[(0, [])]
    assert batch["labels"].shape == shape
    assert (batch["labels"] == -100).all()
    assert len(batch.get("masked", [])) == 0
    assert batch["cu_seqlens"].tolist() == [0, 7]
