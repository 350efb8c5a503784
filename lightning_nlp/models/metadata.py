"""What a checkpoint says about itself, and whether a run may load it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning_nlp.errors import UserError
from lightning_nlp.hub import tokenizer_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def checkpoint_metadata(task: str, tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """What a checkpoint says about itself under "lightning_nlp": plain types, so that it loads with `weights_only`.

    Args:
        task: "classification" or "mlm".
        tokenizer: The data's tokenizer.
        **more: Other facts that a run must share with the checkpoint it loads.
    """
    return {"task": task, "tokenizer": tokenizer_hash(tokenizer), **more}


def check_checkpoint(checkpoint: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise a UserError unless a checkpoint was written for this task, these labels and this tokenizer.

    Args:
        checkpoint: What `on_load_checkpoint` receives.
        expected: This run's `checkpoint_metadata`.
    """
    cures = {
        "task": "give a checkpoint of the same task, or its encoder with --model.pretrained",
        "tokenizer": "give --data.tokenizer the tokenizer of the run that wrote it",
        "label_names": "give the data it was trained on, or its encoder with --model.pretrained",
    }
    found = checkpoint.get("lightning_nlp")
    if not isinstance(found, dict):
        raise UserError(
            "The checkpoint holds no 'lightning_nlp' entry, so it was not written by this program: "
            "give --ckpt_path a file out of a run's checkpoints folder."
        )
    for key, value in expected.items():
        if found.get(key) != value:
            raise UserError(f"The checkpoint's {key} is {found.get(key)!r}, and this run's is {value!r}: {cures[key]}.")
