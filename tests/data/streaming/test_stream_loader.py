from itertools import chain, islice

import pytest
import torch

from lightning_nlp.data.streaming import stream_loader as loader_module
from lightning_nlp.data.streaming.stream_loader import StreamLoader
from lightning_nlp.errors import UserError
from tests.data.streaming.test_blocks import BY_SIZE, BY_TOKENS, ToyCorpus, toy_blocks


def collate(columns, epoch):
    return columns["index"].tolist()


def make_loader(layout=BY_SIZE, blocks=None, **settings):
    return StreamLoader(blocks or toy_blocks(layout, collate=collate), 60, **settings)


def some(loader, number):
    return list(islice(loader, number))


@pytest.mark.parametrize(("layout", "num_workers"), [(BY_SIZE, 0), (BY_TOKENS, 0), (BY_SIZE, 2)])
def test_a_restored_loader_goes_on_where_the_other_stopped(layout, num_workers):
    whole = some(make_loader(layout, num_workers=num_workers), 60)
    for stop in (1, 22) if num_workers else (0, 1, 7, 22, 59):
        loader = make_loader(layout, num_workers=num_workers)
        before = some(loader, stop)
        resumed = make_loader(layout, num_workers=num_workers)
        resumed.load_state_dict(loader.state_dict())
        assert before + some(resumed, 60 - stop) == whole
        if stop == 22:
            assert before + some(loader, 38) == whole, "and so does its own next iteration"


@pytest.mark.parametrize(("before", "after"), [((0, BY_SIZE), (2, BY_SIZE)), ((0, BY_SIZE), (0, BY_TOKENS))])
def test_other_workers_or_batches_begin_at_the_next_block(before, after, monkeypatch):
    told = []
    monkeypatch.setattr(loader_module, "rank_zero_info", told.append)
    loader = make_loader(before[1], num_workers=before[0])
    seen = list(chain(*some(loader, 9)))
    begun = [position for position in loader.positions if position.left]
    other = make_loader(after[1], num_workers=after[0])
    other.load_state_dict(loader.state_dict())
    (line,) = told
    assert f"{sum(position.left for position in begun)} examples left in {len(begun)} begun block" in line
    for batch in other:
        seen += batch
        if other.passes:
            break
    assert len(set(seen)) == len(seen), "passes have keys of their own, so an equal one is a repeated example"


def test_ranks_read_different_shards_and_are_restored_from_one_checkpoint(monkeypatch):
    def rank_loaders():
        return [make_loader(rank=rank, world_size=2) for rank in range(2)]

    def gather(target, own):
        target[:] = [[list(position) for position in loader.positions] for loader in loaders]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    whole = [some(loader, 60) for loader in rank_loaders()]
    loaders = rank_loaders()
    before = [some(loader, 9) for loader in loaders]
    assert not set(chain(*before[0])) & set(chain(*before[1]))
    resumed = rank_loaders()
    for loader in resumed:
        loader.load_state_dict(loaders[0].state_dict())  # the first process's is what a checkpoint holds
    assert [first + some(loader, 51) for first, loader in zip(before, resumed, strict=True)] == whole


@pytest.mark.parametrize(("num_workers", "corpus"), [(0, ToyCorpus((0, 0, 0))), (1, ToyCorpus(text=" "))])
def test_a_corpus_without_texts_gives_one_error(num_workers, corpus):
    loader = make_loader(blocks=toy_blocks(BY_SIZE, corpus), num_workers=num_workers)
    with pytest.raises(UserError, match=r"^10 blocks of texts in a row had nothing to train on: check --data\.path"):
        next(iter(loader))


def test_another_corpus_is_refused():
    state = make_loader().state_dict()
    with pytest.raises(UserError, match="began with 3 shards and seed 3, and now there are 2 and seed 3"):
        make_loader(blocks=toy_blocks(BY_SIZE, ToyCorpus((9, 9)))).load_state_dict(state)
    with pytest.raises(UserError, match="began with 3 shards and seed 3, and now there are 3 and seed 4"):
        make_loader(blocks=toy_blocks(BY_SIZE, seed=4)).load_state_dict(state)
