import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    RobertaConfig,
)

from lightning_nlp.errors import UserError
from lightning_nlp.models.architectures import check_max_length, set_dropout
from lightning_nlp.models.packing import PROVEN


@pytest.mark.parametrize("model_type", [*PROVEN, "deberta-v2", "mpnet"])
@pytest.mark.parametrize("auto_class", [AutoModelForSequenceClassification, AutoModelForMaskedLM])
def test_all_dropout_has_the_rates_asked_for(model_type, auto_class):
    sizes = {"vocab_size": 50, "pad_token_id": 0, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(model_type, **sizes)
    before = config.to_dict()
    set_dropout(config, None, None)
    assert config.to_dict() == before
    for rates in ((0.0, 0.0), (0.35, 0.25)):
        set_dropout(config, *rates)
        with torch.device("meta"):
            network = auto_class.from_config(config)
        attention = getattr(config, "attention_dropout", getattr(config, "attention_probs_dropout_prob", None))
        assert attention == rates[1]
        assert {module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)} <= {*rates}


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
