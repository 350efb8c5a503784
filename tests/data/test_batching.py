import numpy as np
import pytest
import torch

from lightning_nlp.data.batching import Batches, BatchPlan, ResumableLoader, evaluation_batches, training_batches
from lightning_nlp.data.budget import TokenBudget

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


def padding_efficiency(batches):
    return sum(LENGTHS[b].sum() for b in batches) / sum(LENGTHS[b].max() * len(b) for b in batches)


def test_each_example_once_an_epoch_and_each_epoch_differently():
    epochs = [training_batches(LENGTHS, 16, seed=1, epoch=epoch) for epoch in range(3)]
    for batches in epochs:
        assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
        assert {len(batch) for batch in batches} <= {15, 16}
    assert len({tuple(np.concatenate(batches)) for batches in epochs}) == 3
    partners = [{frozenset(batch) for batch in batches} for batches in epochs]
    assert len(partners[0] & partners[1]) < 3, "the same examples meet again and again"


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again = (training_batches(LENGTHS, 16, seed=1, epoch=2) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    other = training_batches(LENGTHS, 16, seed=2, epoch=2)
    assert any((a != b).any() for a, b in zip(first, other, strict=True) if len(a) == len(b))


def test_batches_hold_similar_lengths_and_the_longest_comes_first():
    batches = training_batches(LENGTHS, 16, seed=1, epoch=0)
    assert padding_efficiency(batches) > 0.9
    assert padding_efficiency(np.array_split(np.random.default_rng(0).permutation(len(LENGTHS)), len(batches))) < 0.6
    assert LENGTHS[batches[0]].max() == LENGTHS.max()
    heads = [LENGTHS[batch].max() for batch in batches[1:]]
    assert heads != sorted(heads, reverse=True), "training batches must not come sorted"


def test_evaluation_is_longest_first_and_complete():
    batches = evaluation_batches(LENGTHS, 32)
    assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
    ordered = LENGTHS[np.concatenate(batches)]
    assert (np.diff(ordered) <= 0).all()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("examples", "batch_size", "world_size"), [(1003, 16, 4), (5, 1, 4), (3, 8, 4), (64, 8, 2)])
def test_ranks_have_equally_many_batches_and_share_no_example(examples, batch_size, world_size, shuffle):
    plans = [
        BatchPlan(LENGTHS[:examples], batch_size, shuffle=shuffle, seed=3, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    keys = [list(plan) for plan in plans]
    assert {len(k) for k in keys} == {len(plans[0])}
    seen = [number for rank_keys in keys for _, numbers in rank_keys for number in numbers]
    assert sorted(seen) == list(range(examples))
    assert max(len(numbers) for rank_keys in keys for _, numbers in rank_keys) <= batch_size


def test_one_process_and_several_take_the_same_steps():
    whole = [set(numbers) for _, numbers in BatchPlan(LENGTHS, 16, shuffle=True, seed=3)]
    parts = [list(BatchPlan(LENGTHS, 4, shuffle=True, seed=3, rank=rank, world_size=4)) for rank in range(4)]
    assert len(whole) == len(parts[0]) > 10
    for step, expected in enumerate(whole):
        assert {number for part in parts for number in part[step][1]} == expected


def token_budget(lengths, tokens, **settings):
    defaults = {"packed": True, "shuffle": True, "window_batches": 8, "seed": 5}
    return TokenBudget(lengths, tokens, **{**defaults, **settings})


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("examples", "world_size"), [(1003, 1), (1003, 4), (3, 4)])
def test_ranks_share_batches_filled_to_a_budget(examples, world_size, packed, shuffle):
    lengths = LENGTHS[:examples]
    plans = [
        BatchPlan(
            lengths,
            1,
            shuffle=shuffle,
            rank=rank,
            world_size=world_size,
            budget=token_budget(lengths, 1000, packed=packed, shuffle=shuffle, multiple_of=world_size),
        )
        for rank in range(world_size)
    ]
    numbers = {len(plan) for plan in plans}
    for epoch in range(3):
        for plan in plans:
            plan.set_epoch(epoch)
        keys = [list(plan) for plan in plans]
        numbers |= {len(rank_keys) for rank_keys in keys}
        assert {key[0] for rank_keys in keys for key in rank_keys} == {epoch}
        batches = [rows for rank_keys in keys for _, rows in rank_keys]
        assert sorted(number for rows in batches for number in rows) == list(range(examples))
        assert max(lengths[rows].sum() for rows in batches if rows) <= 1000
    assert len(numbers) == 1


class Rows:
    """Stands for a table of token ids."""

    def __getitem__(self, numbers):
        return {"value": [number * 10 for number in numbers], "label": [1] * len(numbers)}


def collate(columns, epoch):
    return {
        "index": torch.tensor(columns["index"]),
        "epoch": torch.tensor(epoch),
        "labels": torch.tensor(columns["label"]),
    }


def make_loader(tokens=None, **kwargs):
    budget = None if tokens is None else token_budget(LENGTHS[:50], tokens)
    plan = BatchPlan(LENGTHS[:50], 8, shuffle=True, seed=5, budget=budget)
    return ResumableLoader(Batches(Rows(), collate), plan, **kwargs)


def indices(batches):
    return [batch["index"].tolist() for batch in batches]


@pytest.mark.parametrize(("num_workers", "tokens"), [(0, None), (2, None), (0, 900)])
def test_a_restored_loader_goes_on_where_the_other_stopped(num_workers, tokens):
    loader = make_loader(num_workers=num_workers, tokens=tokens)
    loader.sampler.set_epoch(1)
    whole = indices(loader)
    number = len(whole)
    assert number == len(loader) >= 6

    iterator = iter(loader)
    before = indices(next(iterator) for _ in range(3))
    state = loader.state_dict()

    resumed = make_loader(num_workers=num_workers, tokens=tokens)
    resumed.load_state_dict(state)
    resumed.sampler.set_epoch(1)  # as Lightning does
    assert len(resumed) == number, "a progress bar counts the whole epoch"
    after = indices(resumed)
    assert before + after == whole

    resumed.sampler.set_epoch(2)
    loader.sampler.set_epoch(2)
    assert indices(resumed) == indices(loader)
    assert len(indices(resumed)) == number


def test_a_state_at_the_end_of_an_epoch_leaves_nothing_of_it():
    loader = make_loader()
    assert len(indices(loader)) == 7
    resumed = make_loader()
    resumed.load_state_dict(loader.state_dict())
    assert indices(resumed) == []
    resumed.sampler.set_epoch(1)
    assert len(indices(resumed)) == 7


def test_a_resumed_loader_saves_its_true_position():
    loader = make_loader()
    iterator = iter(loader)
    next(iterator), next(iterator)
    second = make_loader()
    second.load_state_dict(loader.state_dict())
    next(iter(second))
    assert second.state_dict() == {"epoch": 0, "handed_out": 3}


def test_workers_do_not_change_the_batches():
    assert indices(make_loader(num_workers=2)) == indices(make_loader())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_leaves_the_global_generator_alone(num_workers):
    before = torch.get_rng_state()
    loader = make_loader(num_workers=num_workers)
    for _ in range(2):
        indices(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fixed_epoch_repeats_itself_and_offers_no_sampler():
    loader = make_loader(fixed_epoch=True)
    assert not hasattr(loader, "sampler")
    assert indices(loader) == indices(loader)


def test_a_process_without_examples_gets_a_batch_without_labels():
    batch = Batches(Rows(), collate)[(0, [])]
    assert batch["labels"].tolist() == [-100]
