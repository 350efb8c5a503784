import pytest
import torch

from lightning_nlp.training.counts import Counts, count_batch


def random_ids(*shape):
    return torch.randint(5, 101, shape)


def padded(lengths, labels):
    attention_mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": random_ids(*attention_mask.shape), "attention_mask": attention_mask, "labels": labels}


def packed(lengths, labels):
    cu_seqlens = torch.tensor([0, *lengths]).cumsum(0).int()
    return {"input_ids": random_ids(1, sum(lengths)), "cu_seqlens": cu_seqlens, "labels": labels}


def ints(counts):
    return Counts(*map(int, counts))


@pytest.mark.parametrize("form", [padded, packed])
def test_counts(form):
    assert ints(count_batch(form([20, 5], torch.tensor([0, 1])), window=9)) == Counts(
        tokens=25, pairs=400 + 25, near_pairs=20 * 9 + 5 * 5, sequences=2, head_rows=2
    )
    assert ints(count_batch(form([20, 5], None))) == Counts(25, 425, 0, 2, 2)


def test_large_counts_do_not_overflow():
    counts = count_batch({"input_ids": torch.zeros(1, 10**6), "cu_seqlens": torch.tensor([0, 10**6]).int()})
    assert int(counts.pairs) == 10**12
