from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from lightning_nlp.data.collators import collate_classification, collate_mlm, mask_noise, mask_tokens, pad_sequences

SPECIALS = torch.tensor([0, 1, 2, 3, 4])
WORDS = torch.arange(5, 1000)
MASK = 4


def test_padding_rounds_up_to_eight_but_not_beyond_the_model():
    sequences = [np.arange(1, 6), np.arange(1, 11)]
    input_ids, attention_mask = pad_sequences(sequences, padding_value=0)
    assert input_ids.shape == (2, 16)
    assert input_ids[0].tolist() == [1, 2, 3, 4, 5] + [0] * 11
    assert attention_mask.sum(1).tolist() == [5, 10]
    assert pad_sequences(sequences, padding_value=0, max_length=12)[0].shape == (2, 12)
    assert pad_sequences(sequences, padding_value=7, multiple_of=1)[0][0].tolist() == [1, 2, 3, 4, 5] + [7] * 5


def test_classification_batch():
    examples = {"input_ids": [np.array([2, 9, 3]), np.array([2, 3])], "label": np.array([1, 0]), "index": [0, 1]}
    batch = collate_classification(examples, 0, pad_token_id=0, max_length=512)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["labels"].tolist() == [1, 0]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def mask(input_ids, seed=0, **kwargs):
    rows, width = input_ids.shape
    noise = mask_noise(seed, 0, range(rows), [width] * rows, width)
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


def test_specials_and_padding_are_never_chosen():
    input_ids = torch.tensor([[2, 10, 11, 3, 0, 0], [2, 12, 1, 4, 3, 0]])
    masked, labels = mask(input_ids, mlm_probability=1.0)
    assert labels.tolist() == [[-100, 10, 11, -100, -100, -100], [-100, 12, -100, -100, -100, -100]]
    special = torch.isin(input_ids, SPECIALS)
    assert (masked[special] == input_ids[special]).all()


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [((1.0, 1.0, 0.0), [MASK] * 4), ((1.0, 0.0, 0.0), [9] * 4), ((0.0, 1.0, 0.0), [9] * 4)],
)
def test_knobs_at_their_ends(probabilities, expected):
    mlm_probability, mask_token_prob, random_token_prob = probabilities
    masked, labels = mask(
        torch.full((1, 4), 9),
        mlm_probability=mlm_probability,
        mask_token_prob=mask_token_prob,
        random_token_prob=random_token_prob,
    )
    assert masked.tolist() == [expected]
    assert (labels != -100).all() == (mlm_probability == 1.0)


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


def rows_of(indices, epoch):
    batch = collate({"input_ids": [SENTENCES[i] for i in indices], "index": indices}, epoch)
    width = {i: len(SENTENCES[i]) for i in indices}
    return {
        i: (batch["input_ids"][r, : width[i]].tolist(), batch["labels"][r, : width[i]].tolist())
        for r, i in enumerate(indices)
    }


def test_an_example_is_masked_alike_in_whichever_batch_it_comes():
    together, apart = rows_of([0, 1, 2, 3], epoch=2), rows_of([3, 1], epoch=2)
    assert {i: together[i] for i in (1, 3)} == apart


def test_masks_differ_by_epoch_example_and_seed():
    assert rows_of([1], epoch=0) != rows_of([1], epoch=1)
    noise = mask_noise(0, 0, [5, 6], [20, 20], 20)
    assert (noise[:, 0] != noise[:, 1]).any()
    assert (noise != mask_noise(1, 0, [5, 6], [20, 20], 20)).any()
    assert (noise >= 0).all()
    assert (noise < 1).all()
