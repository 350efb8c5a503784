from itertools import chain, islice

import numpy as np
import pytest
import torch

from lightning_nlp.data.streaming.loader import StreamLoader
from lightning_nlp.errors import UserError
from tests.data.streaming.test_blocks import BY_SIZE, BY_TOKENS, ToyCorpus, toy_blocks


def collate(columns, epoch):
    return {"keys": torch.tensor(columns["index"]), "input_ids": torch.from_numpy(np.concatenate(columns["input_ids"]))}


def make_loader(layout=BY_SIZE, length=60, blocks=None, **settings):
    return StreamLoader(blocks or toy_blocks(layout), collate, length, **settings)


def keys(batches):
    return [batch["keys"].tolist() for batch in batches]


@pytest.mark.parametrize(("layout", "num_workers"), [(BY_SIZE, 0), (BY_TOKENS, 0), (BY_SIZE, 2)])
def test_a_restored_loader_goes_on_where_the_other_stopped(layout, num_workers):
    whole = keys(make_loader(layout, num_workers=num_workers))
    assert len(whole) == 60
    for stop in (1, 22) if num_workers else (0, 1, 7, 22, 59):
        loader = make_loader(layout, num_workers=num_workers)
        before = keys(islice(loader, stop))
        resumed = make_loader(layout, num_workers=num_workers)
        resumed.load_state_dict(loader.state_dict())
        assert before + keys(resumed) == whole


def test_the_next_iteration_goes_on_too():
    whole = keys(make_loader(length=60))
    loader = make_loader(length=20)
    assert [key for _ in range(3) for key in keys(loader)] == whole


def test_passes_are_counted():
    loader, passes = make_loader(length=200), []
    for _ in loader:
        passes.append(loader.passes)
    assert passes == sorted(passes)
    assert passes[0] == 0
    assert passes.count(0) == pytest.approx(270 / 8, abs=8), "233 texts, some of them in two pieces"


def test_a_training_made_longer_goes_on():
    loader = make_loader(length=20)
    before = keys(loader)
    longer = make_loader(length=30)
    longer.load_state_dict(loader.state_dict())
    assert before + keys(longer) == keys(make_loader(length=30))


@pytest.mark.parametrize(("before", "after"), [((0, BY_SIZE), (2, BY_SIZE)), ((2, BY_SIZE), (0, BY_TOKENS))])
def test_other_workers_and_batches_repeat_and_lose_nothing(before, after):
    loader = make_loader(before[1], num_workers=before[0])
    seen = [key for batch in keys(islice(loader, 9)) for key in batch]
    other = make_loader(after[1], num_workers=after[0], length=100)
    other.load_state_dict(loader.state_dict())
    seen += [key for batch in keys(other) for key in batch]
    assert len(set(seen)) == len(seen), "passes have keys of their own, so an equal one is a repeated example"
    whole = {key for batch in keys(make_loader(length=30)) for key in batch}  # the first pass, or most of it
    assert whole <= set(seen)


def test_ranks_read_different_shards_and_are_restored_from_one_checkpoint(monkeypatch):
    def rank_loaders(**settings):
        return [make_loader(rank=rank, world_size=2, **settings) for rank in range(2)]

    def state(loaders):
        """What a checkpoint holds: the first process's, which has gathered the others'."""

        def gather(target, own):
            target[:] = [[reader.state() for reader in loader.readers] for loader in loaders]

        monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
        return loaders[0].state_dict()

    whole = [keys(loader) for loader in rank_loaders()]
    loaders = rank_loaders()
    before = [keys(islice(loader, 9)) for loader in loaders]
    assert not set(chain(*before[0])) & set(chain(*before[1]))
    resumed = rank_loaders()
    for loader in resumed:
        loader.load_state_dict(state(loaders))
    assert [first + keys(loader) for first, loader in zip(before, resumed, strict=True)] == whole

    alone = make_loader(length=100)
    alone.load_state_dict(state(loaders))
    seen = list(chain(*before[0], *before[1], *keys(alone)))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_corpus_that_cannot_be_read_gives_one_error(num_workers):
    loader = make_loader(blocks=toy_blocks(BY_SIZE, ToyCorpus(text=" ")), num_workers=num_workers)
    with pytest.raises(UserError, match=r"^A whole pass over the corpus gives no text: look at --data\.path"):
        next(iter(loader))


def test_another_corpus_is_refused():
    state = make_loader().state_dict()
    with pytest.raises(UserError, match="began with shards 3, and now it is 2"):
        make_loader(blocks=toy_blocks(BY_SIZE, ToyCorpus(sizes=(9, 9)))).load_state_dict(state)
    with pytest.raises(UserError, match="began with seed 3, and now it is 4"):
        make_loader(blocks=toy_blocks(BY_SIZE, seed=4)).load_state_dict(state)
