import os
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    PreTrainedTokenizerFast,
)

from lightning_nlp.errors import UserError
from lightning_nlp.models import encoder
from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.mlm import MaskedLanguageModel

SIZES = {"n_layers": 1, "n_heads": 2, "dim": 8, "hidden_dim": 16}


def word_tokenizer(words=45, pad_first=True, first=0):
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = (special if pad_first else special[1:] + special[:1]) + [
        f"w{index}" for index in range(first, first + words)
    ]
    backend = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **dict(zip(names, special, strict=True)))


def bert_config(**changes):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertConfig(**sizes | {"vocab_size": 50, "max_position_embeddings": 16} | changes)


def build(tokenizer=None, device="cpu", tokenizer_name=None, **changes):
    settings = {"pretrained": None, "freeze": None, "dropout": None, "attention_dropout": 0.0, **SIZES, **changes}
    data = SimpleNamespace(tokenizer=tokenizer or word_tokenizer(), max_length=16, tokenizer_name=tokenizer_name)
    return encoder.build(AutoModelForMaskedLM, settings, data, torch.device(device))


def test_a_new_network_has_the_sizes_asked_for():
    network = build(dropout=0.3)
    config = network.config
    assert (config.n_layers, config.n_heads, config.dim, config.hidden_dim) == (1, 2, 8, 16)
    assert (config.vocab_size, config.pad_token_id, config.max_position_embeddings) == (50, 0, 16)
    assert (config.dropout, config.attention_dropout) == (0.3, 0.0)
    assert network.distilbert.embeddings.dropout.p == 0.3  # it has reached the layers
    assert network.training
    assert config._attn_implementation == "sdpa"


def test_heads_share_the_width():
    with pytest.raises(UserError, match=r"dim is 9, which 2 .*--model.dim or --model.n_heads"):
        SequenceClassifier(dim=9, n_heads=2)


def test_a_network_must_fit_into_the_device_that_it_trains_on(monkeypatch):
    """The host may have less or more than a GPU, and Windows does not tell."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=2**10))
    with pytest.raises(UserError, match=r"this GPU has 0: change --model\.n_layers"):
        build(device="cuda")
    assert 0.5 < encoder.memory_gib(torch.device("cpu")) < 1e5
    monkeypatch.delattr(os, "sysconf")
    assert build() is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", 1.0),
        ("attention_dropout", -0.1),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("weight_decay", -0.1),
        ("schedule", "step"),
        ("warmup_ratio", 1.5),
        ("warmup_ratio", float("nan")),
        ("n_layers", 0),
        ("n_heads", 0),
        ("dim", -1),
        ("hidden_dim", 0),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    for module_class in (MaskedLanguageModel, SequenceClassifier):
        with pytest.raises(UserError, match=rf"--model\.{name}"):
            module_class(**{name: value})
