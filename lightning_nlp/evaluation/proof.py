"""The proof of an export: it predicts what was measured when its checkpoint was chosen and in the test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import IGNORE_INDEX, takes_token_types

TEXTS, TOKENS = 256, 16_384  # kept from an evaluation, at most
PLACES = 2048  # per batch: with a vocabulary of 50,000 this is 400 MB of logits
# How far log-probabilities may differ on average: ROUNDINGS times the effect of 16-bit arithmetic on this network,
# plus LEAST. Measured ratios: 1 for a validation in bfloat16, and 50 for the weights of one step before, or of the
# next epoch if all labels are the same.
ROUNDINGS, LEAST = 5, 0.002
Kept = dict[str, Tensor]


def comparable(logits: Tensor, problem_type: str | None, scale: float = 1.0) -> Tensor:
    """The values to compare: log-probabilities, or numbers in units of their standard deviation."""
    if problem_type == "regression":
        return logits / scale
    return F.logsigmoid(logits) if problem_type == "multi_label_classification" else logits.log_softmax(-1)


def evidence(
    batches: list[tuple[dict[str, Any], Kept]], problem_type: str | None = None, scale: float = 1.0
) -> dict[str, Tensor]:
    """Keep at most `TEXTS` texts of about `TOKENS` tokens in total, evenly spread over some batches.

    Args:
        batches: Each with the outputs of validation_step: `logits`, or `loss` of the masked tokens.
        problem_type: A classifier's, as in its configuration.
        scale: The standard deviation of numbers.

    Returns:
        `input_ids` (tokens,) of all texts, `lengths` (texts,), and `log_probabilities`: what is `comparable` of a
        classifier (texts, classes), or those of the true tokens (masked tokens,), with `targets` (tokens,), -100 where
        not masked. `token_type_ids` (tokens,) where the batches have them. `scale` (1,) where it is not 1.
    """
    columns: dict[str, list[Tensor]] = {"input_ids": [], "log_probabilities": []}
    for batch, outputs in batches:
        mask = batch["attention_mask"] if "attention_mask" in batch else torch.ones_like(batch["input_ids"])
        lengths = (batch["cu_seqlens"].diff() if "cu_seqlens" in batch else mask.sum(1)).tolist()
        tensors: Kept = {name: batch[name] for name in ("input_ids", "token_type_ids") if name in batch}
        tensors |= {} if "logits" in outputs else {"targets": batch["labels"]}
        for name, values in tensors.items():
            columns.setdefault(name, []).extend(values[mask.bool()].split(lengths))
        if "logits" in outputs:
            columns["log_probabilities"] += comparable(outputs["logits"].float(), problem_type, scale).split(1)
        else:
            masked = [int((text >= 0).sum()) for text in columns["targets"][-len(lengths) :]]
            columns["log_probabilities"] += (-outputs["loss"]).split(masked)
    ids = columns["input_ids"]
    every = max(-(-len(ids) // TEXTS), -(-sum(map(len, ids)) // TOKENS))
    kept = {name: torch.cat(parts[::every]).cpu() for name, parts in columns.items()}
    kept |= {} if scale == 1 else {"scale": torch.tensor([scale])}
    return kept | {"lengths": torch.tensor([len(text) for text in ids[::every]])}


def prove(network: Any, evaluations: Path, step: int, *, chosen: bool, suspects: Sequence[str] = ()) -> None:
    """Raise a UserError if an export differs from its evidence by more than rounding.

    Args:
        network: As transformers alone loads it.
        evaluations: The folder with the evidence of the best validation and of the test.
        step: The exported checkpoint's step.
        chosen: Whether a validation chose it; the best validation's evidence must then have that step.
        suspects: Callbacks that may have changed the weights, for the message.
    """
    from safetensors.torch import load_file

    without = f"without {', '.join(suspects)}" if suspects else "anew with the --checkpoint settings as shipped"
    network, dtype = network.to("cuda" if torch.cuda.is_available() else "cpu").eval(), network.dtype
    for path in [*evaluations.glob("val-*.safetensors"), *evaluations.glob("test.safetensors")]:
        what = "test" if path.stem == "test" else f"validation after step {int(path.stem.removeprefix('val-'))}"
        if path.stem not in ("test", f"val-{step:08d}"):
            if chosen:
                raise UserError(f"The best checkpoint is of step {step}, but the best {what} is not: train {without}.")
            continue
        kept = {name[6:]: tensor for name, tensor in load_file(path).items() if name.startswith("proof/")}
        measured = kept["log_probabilities"]
        ours = predictions(network.float(), kept)
        rounded = predictions(network.to(dtype), kept, autocast=dtype == torch.float32)
        finite = measured.isfinite()  # all of it, unless a 16-bit training diverged
        apart, rounding = ((other - ours)[finite].abs().mean() for other in (measured, rounded))
        if finite.any() and not apart <= ROUNDINGS * rounding + LEAST:
            number = network.config.problem_type == "regression"
            far = (measured - ours if number else measured.exp() - ours.exp())[finite].abs()
            labels = f"{(measured.argmax(-1) != ours.argmax(-1)).sum()} other labels, " if ours.ndim == 2 else ""
            compared = "numbers, in standard deviations," if number else f"{labels}probabilities"
            raise UserError(
                f"The export does not reproduce what was measured on {len(kept['lengths'])} texts of the {what}: "
                f"{compared} {far.mean():.4f} apart on average and {far.max():.4f} at most. Something changed "
                f"the weights in between: train {without}."
            )


def predictions(network: Any, kept: Kept, *, autocast: bool = False) -> Tensor:
    """The `log_probabilities` of a network on the evidence, in padded batches and without its temperature."""
    lengths, device, config = kept["lengths"].tolist(), network.device, network.config
    temperature = getattr(config, "calibration", {}).get("temperature", 1.0)
    ids, scale = kept["input_ids"].long(), float(kept.get("scale", 1))
    texts = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "token_type_ids" in kept and takes_token_types(network):
        texts["token_type_ids"] = kept["token_type_ids"]
    texts |= {"targets": kept["targets"].long()} if "targets" in kept else {}
    padding = {"input_ids": config.pad_token_id or 0, "targets": IGNORE_INDEX}
    columns = {name: values.split(lengths) for name, values in texts.items()}
    size, found = max(1, PLACES // max(lengths)), []
    for start in range(0, len(lengths), size):
        batch = {
            name: pad_sequence(parts[start : start + size], batch_first=True, padding_value=padding.get(name, 0)).to(
                device
            )
            for name, parts in columns.items()
        }
        targets = batch.pop("targets", None)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits = network(**batch).logits.float()
        if targets is None:
            found.append(comparable(logits * temperature, config.problem_type, scale))
        else:
            found.append(-F.cross_entropy(logits[targets >= 0], targets[targets >= 0], reduction="none"))
    return torch.cat(found).cpu()
