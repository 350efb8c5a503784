import numpy as np
import torch

from lightning_nlp.data.batches.collators import collate, collate_classification, packed_batch


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


def test_packed_classification_batch_is_longest_first_with_its_labels():
    sequences = [np.array([2, 9, 3]), np.array([2, 3]), np.array([2, 7, 7, 3]), np.array([2, 8, 3])]
    examples = {"input_ids": sequences, "label": np.array([1, 0, 4, 2]), "index": [0, 1, 2, 3]}
    batch = collate_classification(examples, 0, pad_token_id=0, max_length=512, packed=True)
    assert set(batch) == {"input_ids", "position_ids", "cu_seqlens", "max_seqlen", "labels", "rows"}
    assert batch["labels"].tolist() == [4, 1, 2, 0], "those of equal length stay in order"
    assert batch["rows"].tolist() == [2, 0, 3, 1]
    assert batch["input_ids"].tolist() == [[2, 7, 7, 3, 2, 9, 3, 2, 8, 3, 2, 3]]
    assert batch["cu_seqlens"].tolist() == [0, 4, 7, 10, 12]
    assert batch["max_seqlen"] == 4
