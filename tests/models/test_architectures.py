import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
)

from lightning_nlp.errors import UserError
from lightning_nlp.models.architectures import check_max_length, set_dropout
from lightning_nlp.models.packing import PROVEN


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
    set_dropout(config, None, None)
    assert config.to_dict() == before
    set_dropout(config, 0.35, 0.25)
    assert [getattr(config, name) for name in hidden] == [0.35] * len(hidden)
    assert getattr(config, attention) == 0.25
    set_dropout(config, None, 0.0)
    assert getattr(config, attention) == 0
    assert getattr(config, hidden[0]) == 0.35


@pytest.mark.parametrize("model_type", [*PROVEN, "deberta-v2", "mpnet"])
@pytest.mark.parametrize("auto_class", [AutoModelForSequenceClassification, AutoModelForMaskedLM])
def test_no_dropout_is_left_at_0(model_type, auto_class):
    sizes = {"vocab_size": 50, "pad_token_id": 0, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(model_type, **sizes)
    set_dropout(config, 0.0, 0.0)
    with torch.device("meta"):
        network = auto_class.from_config(config)
    assert [module for module in network.modules() if isinstance(module, torch.nn.Dropout) and module.p > 0] == []


def test_dropout_of_an_architecture_without_it_is_refused():
    from transformers import PreTrainedConfig

    set_dropout(PreTrainedConfig(), 0.0, 0.0)
    with pytest.raises(UserError, match=r"dropout is 0.1, .* no such setting: leave --model.dropout null"):
        set_dropout(PreTrainedConfig(), 0.1, None)


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
    check_max_length(config, positions or 10_000)
    if positions:
        with pytest.raises(
            UserError, match=f"max_length is {positions + 1}, .* {positions} positions.*--data.max_length"
        ):
            check_max_length(config, positions + 1)


def test_max_length_of_roberta_is_what_its_table_holds():
    """The limit is that of the network itself: one token more falls off its table of positions."""
    from transformers import RobertaModel

    config = RobertaConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    config.max_position_embeddings, config.pad_token_id = 10, 1
    network = RobertaModel(config).eval()
    check_max_length(config, 8)
    network(torch.full((1, 8), 5))
    with pytest.raises((IndexError, RuntimeError)):
        network(torch.full((1, 9), 5))
