"""What a checkpoint says about itself, and whether a run may load it."""

import json
from typing import Any

from lightning_nlp.errors import UserError
from lightning_nlp.hub.pretrained import tokenizer_hash, tokenizer_state
from lightning_nlp.models.encoder import auto_class, from_config
from lightning_nlp.models.freezing import freeze


def checkpoint_metadata(task: str, data: Any, network: Any) -> dict[str, Any]:
    """A checkpoint's "lightning_nlp" entry: plain types, so that it loads with `weights_only`.

    Args:
        data: The data module; its `record` says what is trained on, a user's own has none.
        network: Which `rebuild` rebuilds, with the data's tokenizer if it has one.
    """
    known = {"data": data.record()} if hasattr(data, "record") else {}
    tokenizer, parts = data.tokenizer, {"config": network.config.to_json_string()}
    if tokenizer is not None:
        # without its last call's padding: equal trainings write equal checkpoints
        parts |= {"tokenizer": json.dumps(tokenizer_state(tokenizer)), "max_length": tokenizer.model_max_length}
        parts |= {"special_tokens": tokenizer.special_tokens_map}
        known |= {"tokenizer": tokenizer_hash(tokenizer)}
    return {"task": task, "network": parts, **known}


def rebuild(module: Any, checkpoint: dict[str, Any], task: str) -> None:
    """Build a module's network and tokenizer in `load_from_checkpoint`, which loads the weights afterwards.

    Args:
        module: Without a Trainer; its `network`, `tokenizer` and `loaded` are set.

    Raises:
        UserError: If the checkpoint is of another task, or of a version that did not save the network.
    """
    import transformers
    from tokenizers import Tokenizer

    found = module.loaded = checkpoint.get("lightning_nlp", {})
    if found.get("task", task) != task:
        raise UserError(f"The checkpoint's task is {found['task']!r}, not {task!r}: load it with the other class.")
    if "network" not in found:
        raise UserError(
            "The checkpoint does not tell its network, as those of earlier versions do not: load its run's export with "
            f"transformers.{auto_class(task).__name__}.from_pretrained('RUN/export')."
        )
    parts, hparams = found["network"], module.hparams
    config = json.loads(parts["config"])
    config.pop("attn_implementation", None)  # a stranger's might name code on the Hub
    rates = {name: hparams[name] for name in ("dropout", "attention_dropout")}
    module.network = from_config(auto_class(task), transformers.AutoConfig.for_model(**config), **rates)
    freeze(module.network, hparams["freeze"])
    if "tokenizer" in parts:
        names = parts["special_tokens"] | {"model_max_length": parts["max_length"]}
        backend = Tokenizer.from_str(parts["tokenizer"])
        module.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def check_checkpoint(checkpoint: dict[str, Any], expected: dict[str, Any], data: Any) -> None:
    """Raise a UserError unless a checkpoint has this task, these labels, this tokenizer and compatible data."""
    cures = {
        "task": "give a checkpoint of the same task, or its encoder with --model.pretrained",
        "label_names": "give the data it was trained on, or its encoder with --model.pretrained",
        "tokenizer": "give --data.tokenizer the tokenizer of the run that wrote it, such as RUN/export",
    }
    found = checkpoint.get("lightning_nlp")
    if not isinstance(found, dict):
        raise UserError(
            "The checkpoint holds no 'lightning_nlp' entry, so it was not written by this program: "
            "give --ckpt_path a file out of a run's checkpoints folder."
        )
    if hasattr(data, "go_on_from"):
        data.go_on_from(found.get("data"))
    for key, cure in cures.items():
        was, value = found.get(key), expected.get(key)
        if was != value:
            # hashes mean nothing to a reader
            how = "another one than this run's" if key == "tokenizer" else f"{was!r}, and this run's is {value!r}"
            raise UserError(f"The checkpoint's {key} is {how}: {cure}.")
