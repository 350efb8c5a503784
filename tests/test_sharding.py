from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import HashStore
from torch.distributed.tensor import DTensor
from transformers import DistilBertConfig, DistilBertForMaskedLM

from lightning_nlp.sharding import FullyShardedStrategy, is_sharded, local, shard, total, whole

CPU = torch.device("cpu")


@pytest.fixture
def group():
    """A process group of this process alone: tensors are sharded, in one part."""
    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def make_network(seed=0):
    torch.manual_seed(seed)
    sizes = {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 32, "vocab_size": 31, "max_position_embeddings": 8}
    return DistilBertForMaskedLM(DistilBertConfig(**sizes)).eval()


class Strategy(FullyShardedStrategy):
    """As the Trainer has it, of one process."""

    root_device = CPU
    world_size = 1

    def __init__(self, module):
        super().__init__()
        self._lightning_module = module


class Module(torch.nn.Module):
    """Stands for a training module."""

    def __init__(self, network, *, sharded=True):
        super().__init__()
        self.network = network
        self.trainer = SimpleNamespace(strategy=Strategy(self) if sharded else object())


def ids():
    return torch.arange(1, 9)[None]


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
def test_a_sharded_network_computes_the_same_and_is_made_whole_again(group):
    module, plain = Module(make_network()), make_network()
    shard(module)
    assert is_sharded(module)
    assert all(isinstance(parameter, DTensor) for parameter in module.network.parameters())
    with torch.no_grad():
        torch.testing.assert_close(module.network(input_ids=ids()).logits, plain(input_ids=ids()).logits)
    copy = whole(module.network)
    assert type(copy) is DistilBertForMaskedLM
    assert not is_sharded(copy)
    assert not copy.training
    assert copy.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in copy.state_dict().items())
    assert copy.vocab_projector.weight is copy.distilbert.embeddings.word_embeddings.weight


def test_another_strategy_leaves_the_network_whole(group):
    module = Module(make_network(), sharded=False)
    shard(module)
    assert not is_sharded(module)
    assert whole(module.network) is module.network


def step(network, optimizer):
    network(input_ids=ids(), labels=ids()).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def optimizer_of(module):
    return torch.optim.AdamW(module.parameters(), lr=0.01, fused=False)


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
def test_what_is_saved_is_that_of_a_whole_model_and_goes_both_ways(group):
    module, plain = Module(make_network()), Module(make_network(), sharded=False)
    shard(module)
    strategy = module.trainer.strategy
    optimizers = [optimizer_of(module), optimizer_of(plain)]
    for one, optimizer in zip((module, plain), optimizers, strict=True):
        step(one.network, optimizer)
    saved = {
        "state_dict": strategy.lightning_module_state_dict(),
        "optimizer_states": [strategy.optimizer_state(optimizers[0])],
    }
    wanted = deepcopy({"state_dict": plain.state_dict(), "optimizer_states": [optimizers[1].state_dict()]})
    torch.testing.assert_close(saved["state_dict"], wanted["state_dict"])
    torch.testing.assert_close(saved["optimizer_states"], wanted["optimizer_states"])
    tied = [
        saved["state_dict"][f"network.{name}.weight"].data_ptr()
        for name in ("vocab_projector", "distilbert.embeddings.word_embeddings")
    ]
    assert len(set(tied)) == 1, "tied weights are written once"

    other = Module(make_network(seed=1))
    shard(other)
    restored = other.trainer.strategy
    restored.optimizers = [optimizer_of(other)]
    restored.load_model_state_dict(wanted)
    restored.load_optimizer_state_dict(wanted)
    for one, optimizer in ((other, restored.optimizers[0]), (plain, optimizers[1])):
        step(one.network, optimizer)
    after = whole(other.network).state_dict()
    torch.testing.assert_close(after, plain.network.state_dict())


def test_plain_tensors_stay_as_they_are():
    tensor = torch.ones(3)
    assert local(tensor) is tensor
    assert total(tensor) is tensor
