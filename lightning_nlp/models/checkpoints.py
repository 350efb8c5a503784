"""What a checkpoint records, what may load it, and which settings win when a training resumes from it."""

import json
from typing import Any

from lightning_nlp.errors import UserError
from lightning_nlp.hub.pretrained import tokenizer_hash, tokenizer_state
from lightning_nlp.models.encoder import auto_class, from_config
from lightning_nlp.models.freezing import freeze
from lightning_nlp.training.schedules import module_lr_lambda

CURES = {
    "task": "give a checkpoint of the same task, or its encoder with --model.pretrained",
    "label_names": "give the data it was trained on, or its encoder with --model.pretrained",
    "tokenizer": "give --data.tokenizer the tokenizer of the run that wrote it, e.g. RUN/export",
}


def metadata(module: Any, data: Any) -> dict[str, Any]:
    """A checkpoint's "lightning_nlp" entry: plain types, so that it loads with `weights_only`.

    Args:
        module: An EncoderModule with a network, which `rebuild` can rebuild.
        data: The data module; its `record` describes the training data; a user's own has none.
    """
    tokenizer = data.tokenizer
    network: dict[str, Any] = {"config": module.network.config.to_json_string()}
    entry = {"task": module.task, "network": network}
    if module.label_names is not None:
        entry["label_names"] = module.label_names
    if hasattr(data, "record"):
        entry["data"] = data.record()
    if tokenizer is not None:
        # without the last call's padding, so that equal trainings write equal checkpoints
        network |= {"tokenizer": json.dumps(tokenizer_state(tokenizer)), "max_length": tokenizer.model_max_length}
        network |= {"special_tokens": tokenizer.special_tokens_map}
        entry["tokenizer"] = tokenizer_hash(tokenizer)
    return entry


def load(module: Any, checkpoint: dict[str, Any], data: Any) -> None:
    """Refuse another task's weights, and let this run's settings win; without `data`, build the network."""
    if data is None:  # in `load_from_checkpoint`
        rebuild(module, checkpoint)
    else:
        check_checkpoint(module, checkpoint, data)
        override_settings(module, checkpoint, data)


def rebuild(module: Any, checkpoint: dict[str, Any]) -> None:
    """Build an EncoderModule's network and tokenizer in `load_from_checkpoint`, which loads the weights afterwards.

    Raises:
        UserError: If the checkpoint is for another task, or from a version that did not save the network.
    """
    import transformers
    from tokenizers import Tokenizer

    entry, task, hparams = checkpoint.get("lightning_nlp", {}), module.task, module.hparams
    if entry.get("task", task) != task:
        raise UserError(f"The checkpoint's task is {entry['task']!r}, not {task!r}: load it with the other class.")
    if "network" not in entry:
        raise UserError(
            "The checkpoint, like those of earlier versions, does not describe its network: load its run's export with "
            f"transformers.{auto_class(task).__name__}.from_pretrained('RUN/export')."
        )
    parts = entry["network"]
    config = json.loads(parts["config"])
    config.pop("attn_implementation", None)  # someone else's might name code on the Hub
    rates = {name: hparams[name] for name in ("dropout", "attention_dropout")}
    module.network = from_config(auto_class(task), transformers.AutoConfig.for_model(**config), **rates)
    freeze(module.network, hparams["freeze"])
    if "tokenizer" in parts:
        names = parts["special_tokens"] | {"model_max_length": parts["max_length"]}
        backend = Tokenizer.from_str(parts["tokenizer"])
        module.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    module.loaded, module.label_names = entry, entry.get("label_names")


def check_checkpoint(module: Any, checkpoint: dict[str, Any], data: Any, *, same_texts: bool = True) -> None:
    """Raise a UserError unless a checkpoint has this task, these labels and this tokenizer.

    Args:
        same_texts: Whether its texts must also be those of the data.
    """
    entry, expected = checkpoint.get("lightning_nlp"), metadata(module, data)
    if not isinstance(entry, dict):
        raise UserError(
            "The checkpoint has no 'lightning_nlp' entry, so it was not written by this program: "
            "give --ckpt_path a file from a run's checkpoints folder."
        )
    if same_texts and hasattr(data, "go_on_from"):
        data.go_on_from(entry.get("data"))
    for key, cure in CURES.items():
        was, value = entry.get(key), expected.get(key)
        if was != value:
            # hashes would mean nothing to the reader
            difference = "different from this run's" if key == "tokenizer" else f"{was!r}, and this run's is {value!r}"
            raise UserError(f"The checkpoint's {key} is {difference}: {cure}.")


def override_settings(module: Any, checkpoint: dict[str, Any], data: Any) -> None:
    """Put this run's learning rate and weight decay into a checkpoint from which a `fit` resumes.

    Args:
        checkpoint: What `on_load_checkpoint` receives; changed in place. Moments and step counts stay.

    Raises:
        UserError: If other layers were frozen.
    """
    if module.trainer.state.fn != "fit":
        return
    hparams, before = module.hparams, checkpoint.get("hyper_parameters", {}).get("freeze")
    if before != hparams.get("freeze"):
        raise UserError(
            f"The checkpoint was trained with freeze {before}, and its optimizer fits only that: give --model.freeze "
            f"{'null' if before is None else before}, or start from its export with --model.pretrained RUN/export."
        )
    lr, factor = hparams["lr"], module_lr_lambda(module, data)
    optimizers, schedulers = checkpoint.get("optimizer_states", []), checkpoint.get("lr_schedulers", [])
    for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
        current = lr * factor(scheduler["last_epoch"])
        for group in optimizer["param_groups"]:
            group |= {"lr": current, "initial_lr": lr}
            group["weight_decay"] = hparams["weight_decay"] if group["name"] == "decay" else 0.0
        scheduler["base_lrs"] = [lr] * len(optimizer["param_groups"])
        scheduler["_last_lr"] = [current] * len(optimizer["param_groups"])
