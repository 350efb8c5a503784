"""Where the architectures of transformers differ: the names of their dropout rates, and how they count positions."""

from typing import Any

from lightning_nlp.errors import UserError

Rate = float | None  # None keeps the architecture's own

# The names of the rate on hidden states: the encoder's, and in the second line the head's.
DROPOUT_NAMES = (
    *("dropout", "hidden_dropout_prob", "hidden_dropout", "embedding_dropout", "mlp_dropout"),
    *("seq_classif_dropout", "classifier_dropout", "classifier_dropout_prob", "pooler_dropout", "cls_dropout"),
)
ATTENTION_DROPOUT_NAMES = ("attention_dropout", "attention_probs_dropout_prob")

# These count positions from pad_token_id + 1, so no token uses the first rows of their position table.
POSITIONS_AFTER_PADDING = frozenset(
    "roberta roberta-prelayernorm xlm-roberta xlm-roberta-xl xmod camembert longformer mpnet data2vec-text".split()
)


def set_dropout(config: Any, dropout: Rate, attention_dropout: Rate) -> None:
    """Set the dropout rates of a configuration under its own names; a UserError for one above 0 that it has not."""
    rates = {"dropout": (dropout, DROPOUT_NAMES), "attention_dropout": (attention_dropout, ATTENTION_DROPOUT_NAMES)}
    for argument, (rate, names) in rates.items():
        present = [name for name in names if rate is not None and hasattr(config, name)]
        if rate and not present:
            raise UserError(
                f"{argument} is {rate}, and a {config.model_type} has no such setting: leave --model.{argument} null."
            )
        for name in present:
            setattr(config, name, rate)


def check_max_length(config: Any, max_length: int) -> None:
    """Raise a UserError if `max_length` tokens, special ones included, exceed the model's positions."""
    positions = getattr(config, "max_position_embeddings", None) or 0
    if positions < 1 or not getattr(config, "position_biased_input", True):
        return
    if config.model_type in POSITIONS_AFTER_PADDING:
        positions -= config.pad_token_id + 1
    if max_length > positions:
        raise UserError(
            f"max_length is {max_length}, and the {config.model_type} model has {positions} positions: "
            f"give --data.max_length {positions} or less."
        )
