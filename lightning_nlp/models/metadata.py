"""What a checkpoint says about itself, and whether a run may load it."""

from __future__ import annotations

from typing import Any

from lightning_nlp.errors import UserError
from lightning_nlp.hub import tokenizer_hash


def checkpoint_metadata(task: str, data: Any, **more: Any) -> dict[str, Any]:
    """What a checkpoint says about itself under "lightning_nlp": plain types, so that it loads with `weights_only`.

    Args:
        task: "classification" or "mlm".
        data: The data module, whose `record` says what is trained on; one of the user's own has none.
        **more: Other facts that a run must share with the checkpoint it loads.
    """
    known = {"data": data.record()} if hasattr(data, "record") else {}
    return {"task": task, "tokenizer": tokenizer_hash(data.tokenizer), **known, **more}


def check_checkpoint(checkpoint: dict[str, Any], expected: dict[str, Any], data: Any) -> None:
    """Raise a UserError unless a checkpoint was written for this task, these labels, this tokenizer and such data.

    Args:
        checkpoint: What `on_load_checkpoint` receives.
        expected: This run's `checkpoint_metadata`.
        data: The data module.
    """
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
            # two hashes would tell nobody anything
            how = "another one than this run's" if key == "tokenizer" else f"{was!r}, and this run's is {value!r}"
            raise UserError(f"The checkpoint's {key} is {how}: {cure}.")
