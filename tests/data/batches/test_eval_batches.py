from types import SimpleNamespace

import numpy as np
import pytest

from lightning_nlp.data.batches.collators import PAD_MULTIPLE
from lightning_nlp.data.batches.eval_batches import Evaluation
from lightning_nlp.errors import UserError

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


def evaluation(size=32, tokens=None, packed=False, world=1, limit=1.0, seed=1):
    trainer = SimpleNamespace(world_size=world, limit_test_batches=limit)
    return Evaluation(LENGTHS, "test", trainer, size, tokens, packed, seed)


@pytest.mark.parametrize(("tokens", "packed"), [(None, False), (8192, True), (8192, False)])
def test_batches_are_longest_first_and_full(tokens, packed):
    """properties/test_batches.py proves them complete."""
    batches = evaluation(tokens=tokens, packed=packed, world=4).batches
    padded = LENGTHS if packed else -(-LENGTHS // PAD_MULTIPLE) * PAD_MULTIPLE
    assert (np.diff(padded[np.concatenate(batches)]) <= 0).all()
    if tokens is None:
        assert len(batches) == -(-len(LENGTHS) // (32 * 4)) * 4
        assert max(map(len, batches)) - min(map(len, batches)) <= 1
        return
    full = [padded[batch] for batch in batches if len(batch)]
    assert len(batches) - len(full) < 4
    sizes = [lengths.sum() if packed else len(lengths) * lengths.max() for lengths in full]
    assert min(sizes[:-1]) > 8192 - 200


@pytest.mark.parametrize("tokens", [None, 500])
@pytest.mark.parametrize("limit", [7, 0.25])
def test_a_limited_evaluation_is_a_fair_part_whatever_the_processes(limit, tokens):
    def drawn(world, size, seed=1):
        found = evaluation(size, tokens, world=world, limit=limit, seed=seed)
        steps = len(evaluation(size, tokens, world=world).batches) // world
        assert len(found.batches) == steps * world, "Lightning's share is of all batches"
        taken = limit if isinstance(limit, int) else int(limit * steps)
        assert sum(map(len, found.batches[taken * world :])) == 0, "none is left for a batch that is not read"
        rows = np.concatenate(found.batches).tolist()
        assert abs(len(rows) / len(LENGTHS) - taken / steps) < 0.03
        assert found.part == f"{len(rows)} of 1,003 texts"
        return rows

    rows = drawn(1, 32)
    assert len(set(rows)) == len(rows)
    assert abs(LENGTHS[rows].mean() - LENGTHS.mean()) < 10  # the longest 7 batches have 150 on average
    assert sorted(rows) == sorted(drawn(1, 32)) != sorted(drawn(1, 32, seed=2))
    if tokens is None:
        assert sorted(rows) == sorted(drawn(2, 16))


@pytest.mark.parametrize("limit", [1.0, 0, 99])
def test_a_limit_that_leaves_all_or_nothing_changes_nothing(limit):
    whole = evaluation()
    assert [r.tolist() for r in evaluation(limit=limit).batches] == [r.tolist() for r in whole.batches]
    assert whole.part is None


def test_a_share_of_less_than_a_batch_is_an_error():
    with pytest.raises(UserError, match=r"limit_test_batches 0.01 of 32 is no batch: give 1"):
        evaluation(limit=0.01)
