from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from lightning_nlp.models.freezing import freeze
from lightning_nlp.training.counts import count_batch
from lightning_nlp.training.flops import COUNTED, training_costs, training_flops
from tests.training.test_counts import packed, padded, random_ids

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 101,
    "max_position_embeddings": 80,
    **dict(
        zip(["pad_token_id", "bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"], range(5), strict=True)
    ),
}
OTHER_SIZES = {
    "distilbert": {"hidden_dim": 48},
    "electra": {"embedding_size": 20},  # so that it has a projection of the embeddings
    "modernbert": {"local_attention": 160},  # wider than any sequence here: eager attention computes all pairs
}
AUTO_CLASSES = {"mlm": AutoModelForMaskedLM, "classification": AutoModelForSequenceClassification}


def model(model_type, task, **sizes):
    sizes = {**SIZES, **OTHER_SIZES.get(model_type, {}), **sizes}
    config = AutoConfig.for_model(model_type, **sizes)
    return AUTO_CLASSES[task].from_config(config, attn_implementation="eager")


def executed(function, *args, **kwargs):
    with FlopCounterMode(display=False) as counter:
        function(*args, **kwargs)
    return counter.get_total_flops()


@pytest.mark.parametrize("form", [padded, packed])
def test_padding_counts_nothing(form):
    network, lengths = model("bert", "classification"), [24, 5, 11]
    batch = form(lengths, torch.tensor([0, 1, 1]))
    alone = sum(executed(network, random_ids(1, length)) for length in lengths)
    assert training_flops(training_costs(network), count_batch(batch)) == 3 * alone


@pytest.mark.parametrize("form", [padded, packed])
def test_head_only_on_masked_tokens(form):
    network, lengths = model("distilbert", "mlm"), [24, 5, 11]
    labels = torch.full_like(form(lengths, None)["input_ids"], -100)
    labels[0, [2, 3, 7]] = 50
    encoder = sum(executed(network.distilbert, random_ids(1, length)) for length in lengths)
    head = executed(lambda rows: network.vocab_projector(network.vocab_transform(rows)), torch.zeros(3, 32))
    assert head > 0
    assert training_flops(training_costs(network), count_batch(form(lengths, labels))) == 3 * (encoder + head)


def test_sliding_window():
    # layers 0 and 3 of 5 see all tokens, the others 4 to each side
    network = model("modernbert", "mlm", local_attention=8, num_hidden_layers=5)
    costs = training_costs(network)
    assert (costs.pair, costs.near_pair, costs.window) == (3 * 2 * 4 * 32, 3 * 3 * 4 * 32, 9)
    without = training_costs(model("bert", "mlm"))
    assert (without.pair, without.near_pair, without.window) == (3 * 3 * 4 * 32, 0, None)


@pytest.mark.parametrize("model_type", ["albert", "deberta-v2"])
def test_other_architectures_are_not_guessed(model_type):
    assert training_costs(SimpleNamespace(config=SimpleNamespace(model_type=model_type))) is None


@pytest.mark.parametrize("task", AUTO_CLASSES)
@pytest.mark.parametrize("part", [None, "embeddings", 1, "encoder"])
@pytest.mark.parametrize("model_type", sorted(COUNTED))
def test_as_many_as_pytorch_executes(model_type, part, task):
    network = model(model_type, task)
    freeze(network, part)
    input_ids = random_ids(2, 24)
    labels = input_ids if task == "mlm" else torch.tensor([0, 1])
    batch = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}

    def train():
        network(**batch).loss.backward()

    before = torch.get_rng_state()
    costs = training_costs(network)
    assert torch.get_rng_state().equal(before)
    assert network.training
    assert training_flops(costs, count_batch(batch, costs.window)) == executed(train)
