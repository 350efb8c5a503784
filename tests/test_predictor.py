import random
from itertools import pairwise

import pytest
import torch

from lightning_nlp.data.collators import pack_sequences, pad_sequences
from lightning_nlp.predictor import PACKED, PADDED, batches_within, owners


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("budget", [1, 12, 40, 1000])
def test_batches_stay_within_the_budget(budget, padded):
    lengths = random.Random(0).choices(range(1, 30), k=50)
    order = sorted(range(50), key=lambda i: -lengths[i])
    batches = list(batches_within(order, lengths, budget, padded=padded))
    assert [row for batch in batches for row in batch] == order

    def size(batch):
        return len(batch) * lengths[batch[0]] if padded else sum(lengths[row] for row in batch)

    assert all(len(batch) == 1 or size(batch) <= budget for batch in batches)
    # none could have been larger: the next row would not have fitted
    assert all(size([*batch, following[0]]) > budget for batch, following in pairwise(batches))
    assert list(batches_within([], [], budget, padded=padded)) == []


def test_owners():
    sequences = [torch.arange(n).numpy() for n in (7, 4, 4, 1)]
    packed = dict(zip(PACKED, pack_sequences(sequences), strict=True))
    assert owners(packed, torch.tensor([0, 6, 7, 11, 14, 15])) == [0, 0, 1, 2, 2, 3]
    padded = dict(zip(PADDED, pad_sequences(sequences, padding_value=0), strict=True))
    assert owners(padded, torch.tensor([0, 6, 8, 16, 31])) == [0, 0, 1, 2, 3]
