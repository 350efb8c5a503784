import torch

from lightning_nlp.data.collators import packed_batch, pad_sequences
from lightning_nlp.predictor import owners


def test_owners():
    sequences = [torch.arange(n).numpy() for n in (7, 4, 4, 1)]
    packed = packed_batch(sequences)
    assert owners(packed, torch.tensor([0, 6, 7, 11, 14, 15])) == [0, 0, 1, 2, 2, 3]
    padded = {"input_ids": pad_sequences(sequences, padding_value=0)[0]}
    assert owners(padded, torch.tensor([0, 6, 8, 16, 31])) == [0, 0, 1, 2, 3]
