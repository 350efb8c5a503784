import numpy as np
import torch

from lightning_nlp.data.batches.collators import collate, packed_batch


def test_padding_rounds_up_to_eight_but_not_beyond_the_model():
    sequences = [np.arange(1, 6), np.arange(1, 11)]
    input_ids, attention_mask = collate(sequences, packed=False).values()
    assert input_ids.shape == (2, 16)
    assert input_ids[0].tolist() == [1, 2, 3, 4, 5] + [0] * 11
    assert attention_mask.sum(1).tolist() == [5, 10]
    assert collate(sequences, packed=False, max_length=12)["input_ids"].shape == (2, 12)
    assert collate(sequences, packed=False, pad_token_id=7)["input_ids"][0].tolist() == [1, 2, 3, 4, 5] + [7] * 11


def test_packing_lays_sequences_end_to_end():
    sequences = [np.array([5, 6], dtype=np.int32), np.array([7]), np.array([8, 9, 10])]
    input_ids, position_ids, cu_seqlens, max_seqlen = packed_batch(sequences).values()
    assert input_ids.tolist() == [[5, 6, 7, 8, 9, 10]]
    assert position_ids.tolist() == [[0, 1, 0, 0, 1, 2]]
    assert cu_seqlens.tolist() == [0, 2, 3, 6]
    assert max_seqlen == 3
    assert type(max_seqlen) is int
    assert (input_ids.dtype, position_ids.dtype, cu_seqlens.dtype) == (torch.int64, torch.int64, torch.int32)
