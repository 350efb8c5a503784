import logging
import shutil
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from lightning_nlp.errors import UserError
from lightning_nlp.models import encoder

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


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertForMaskedLM(bert_config()).save_pretrained(folder)
    return folder


def settings(**changes):
    return {"pretrained": None, "dropout": None, "attention_dropout": 0.0, **SIZES, **changes}


def build(auto_class=AutoModelForMaskedLM, tokenizer=None, max_length=16, device="cpu", **changes):
    return encoder.build(
        auto_class,
        settings(**changes),
        tokenizer=tokenizer or word_tokenizer(),
        max_length=max_length,
        max_position_embeddings=16,
        device=torch.device(device),
    )


# --- a new network


def test_a_new_network_has_the_sizes_asked_for():
    network = build(dropout=0.3)
    config = network.config
    assert (config.n_layers, config.n_heads, config.dim, config.hidden_dim) == (1, 2, 8, 16)
    assert (config.vocab_size, config.pad_token_id, config.max_position_embeddings) == (50, 0, 16)
    assert (config.dropout, config.attention_dropout) == (0.3, 0.0)
    assert network.distilbert.embeddings.dropout.p == 0.3  # it has reached the layers
    assert network.training
    assert config._attn_implementation == "sdpa"


def test_sizes_that_make_no_network_are_refused():
    with pytest.raises(UserError, match=r"dim is 9, which 2 .*--model.dim or --model.n_heads"):
        build(dim=9)
    for name in ("n_layers", "n_heads", "dim", "hidden_dim"):
        with pytest.raises(UserError, match=f"{name} is 0, .*--model.{name}"):
            build(**{name: 0})


def test_a_network_must_fit_into_the_gpu_that_it_trains_on(monkeypatch):
    """The host may have less or more."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=2**10))
    with pytest.raises(UserError, match=r"this GPU has 0: change --model\.n_layers"):
        build(device="cuda")
    assert build() is not None


# --- a pretrained network


def test_the_encoder_comes_from_the_checkpoint_and_the_head_is_new(bert_folder, caplog):
    reference = BertForMaskedLM.from_pretrained(bert_folder)
    with caplog.at_level(logging.INFO):
        network = encoder.from_pretrained(
            AutoModelForSequenceClassification, str(bert_folder), id2label={0: "a", 1: "b", 2: "c"}
        )
    assert network.config.num_labels == 3
    torch.testing.assert_close(
        network.bert.state_dict()["embeddings.word_embeddings.weight"], reference.get_input_embeddings().weight
    )
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "classifier.weight" in lines[0]
    assert "pooler" in lines[0]


def test_a_pretrained_network_trains_in_float32_with_dropout_on(tmp_path):
    BertForMaskedLM(bert_config()).to(torch.bfloat16).save_pretrained(tmp_path)
    network = encoder.from_pretrained(AutoModelForMaskedLM, str(tmp_path), dropout=0.4, attention_dropout=0.0)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert network.training
    assert all(module.training for module in network.modules())
    assert network.bert.embeddings.dropout.p == 0.4
    assert network.bert.encoder.layer[0].attention.self.dropout.p == 0.0
    assert network.cls.predictions.decoder.weight is network.bert.embeddings.word_embeddings.weight


def test_a_head_for_other_labels_is_replaced(tmp_path):
    BertForSequenceClassification(bert_config(num_labels=2)).save_pretrained(tmp_path)
    network = encoder.from_pretrained(
        AutoModelForSequenceClassification, str(tmp_path), id2label=dict(enumerate("abcde")), label2id={}
    )
    assert network.classifier.weight.shape == (5, 8)


def test_missing_encoder_weights_are_refused(bert_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_text((bert_folder / "config.json").read_text())
    weights = load_file(bert_folder / "model.safetensors")
    lost = "bert.encoder.layer.0.output.dense.weight"
    save_file({k: v for k, v in weights.items() if k != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"lacks 1 weights of its encoder.*{lost}.*--model.pretrained"):
        encoder.from_pretrained(AutoModelForMaskedLM, str(tmp_path))
    save_file(weights | {lost: torch.zeros(3, 3)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"another shape.*{lost}"):
        encoder.from_pretrained(AutoModelForMaskedLM, str(tmp_path))


def test_a_model_without_a_form_for_the_task_is_refused(bert_folder, tmp_path):
    GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=9).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((bert_folder / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"cannot be loaded as AutoModelForMaskedLM \(ValueError.*--model.pretrained"):
        encoder.from_pretrained(AutoModelForMaskedLM, str(tmp_path))


def test_the_tokenizer_must_belong_to_the_model(bert_folder):
    assert build(pretrained=str(bert_folder)).config.model_type == "bert"
    assert build(pretrained=str(bert_folder), tokenizer=word_tokenizer(40)) is not None  # a vocabulary rounded up
    with pytest.raises(UserError, match=r"51 tokens and the bert model 50 embeddings.*--data.tokenizer"):
        build(pretrained=str(bert_folder), tokenizer=word_tokenizer(46))
    with pytest.raises(UserError, match=r"pads with 4 and the model with 0.*--data.tokenizer"):
        build(pretrained=str(bert_folder), tokenizer=word_tokenizer(pad_first=False))
    with pytest.raises(UserError, match=r"50 tokens and the bert model 5000"):
        encoder.check_tokenizer(bert_config(vocab_size=5000), word_tokenizer())


def test_another_tokenizer_of_the_same_size_is_found_out_by_its_words(bert_folder, tmp_path):
    shutil.copytree(bert_folder, tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    assert build(pretrained=str(tmp_path / "model"), tokenizer=word_tokenizer()) is not None
    with pytest.raises(UserError, match=r"not that of .*model: 45 of its 50 words have other numbers.*data.tokenizer"):
        build(pretrained=str(tmp_path / "model"), tokenizer=word_tokenizer(first=1))


# --- settings


@pytest.mark.parametrize(
    ("config", "hidden", "attention"),
    [
        (DistilBertConfig(), ["dropout", "seq_classif_dropout"], "attention_dropout"),
        (BertConfig(), ["hidden_dropout_prob", "classifier_dropout"], "attention_probs_dropout_prob"),
        (RobertaConfig(), ["hidden_dropout_prob", "classifier_dropout"], "attention_probs_dropout_prob"),
        (ElectraConfig(), ["hidden_dropout_prob"], "attention_probs_dropout_prob"),
        (DebertaV2Config(), ["hidden_dropout_prob"], "attention_probs_dropout_prob"),
        (ModernBertConfig(), ["embedding_dropout", "mlp_dropout", "classifier_dropout"], "attention_dropout"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_dropout_is_set_under_each_architectures_names(config, hidden, attention):
    before = config.to_dict()
    encoder.set_dropout(config, None, None)
    assert config.to_dict() == before
    encoder.set_dropout(config, 0.35, 0.25)
    assert [getattr(config, name) for name in hidden] == [0.35] * len(hidden)
    assert getattr(config, attention) == 0.25
    encoder.set_dropout(config, None, 0.0)
    assert getattr(config, attention) == 0
    assert getattr(config, hidden[0]) == 0.35


def test_dropout_of_an_architecture_without_it_is_refused():
    from transformers import PreTrainedConfig

    encoder.set_dropout(PreTrainedConfig(), 0.0, 0.0)
    with pytest.raises(UserError, match=r"dropout is 0.1, .* no such setting: leave --model.dropout null"):
        encoder.set_dropout(PreTrainedConfig(), 0.1, None)


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        (DistilBertConfig(max_position_embeddings=20), 20),
        (BertConfig(max_position_embeddings=20), 20),
        (RobertaConfig(max_position_embeddings=20, pad_token_id=1), 18),
        (DebertaV2Config(max_position_embeddings=20, position_biased_input=False), None),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_max_length_may_not_exceed_the_positions(config, positions):
    encoder.check_max_length(config, positions or 10_000)
    if positions:
        with pytest.raises(
            UserError, match=f"max_length is {positions + 1}, .* {positions} positions.*--data.max_length"
        ):
            encoder.check_max_length(config, positions + 1)


def test_max_length_of_roberta_is_what_its_table_holds():
    """The limit is that of the network itself: one token more falls off its table of positions."""
    from transformers import RobertaModel

    config = RobertaConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    config.max_position_embeddings, config.pad_token_id = 10, 1
    network = RobertaModel(config).eval()
    encoder.check_max_length(config, 8)
    network(torch.full((1, 8), 5))
    with pytest.raises((IndexError, RuntimeError)):
        network(torch.full((1, 9), 5))


@pytest.mark.parametrize(
    ("position", "value", "name"),
    [
        (0, 1.0, "dropout"),
        (1, -0.1, "attention_dropout"),
        (2, 0.0, "lr"),
        (2, -1.0, "lr"),
        (2, float("nan"), "lr"),
        (3, -0.1, "weight_decay"),
        (4, "step", "schedule"),
        (5, 1.5, "warmup_ratio"),
    ],
)
def test_settings_out_of_range_are_refused(position, value, name):
    good = [0.1, 0.0, 1e-4, 0.01, "linear", 0.06]
    encoder.check_settings(*good)
    good[position] = value
    with pytest.raises(UserError, match=rf"--model\.{name}"):
        encoder.check_settings(*good)
