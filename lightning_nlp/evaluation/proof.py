"""The proof of an export: it predicts what was measured when its checkpoint was chosen, and in the test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import IGNORE_INDEX, takes_token_types

TEXTS, TOKENS = 256, 16_384  # kept of an evaluation, at most
PLACES = 2048  # in a batch: with a vocabulary of 50,000 these are 400 MB of logits
# How far log-probabilities may be apart on average: ROUNDINGS times what 16 bits change in this network, plus
# LEAST. Measured: once for a validation in bfloat16, and 50 times for the weights of one step before, or of the next
# epoch if all labels are the same.
ROUNDINGS, LEAST = 5, 0.002


def comparable(logits: Tensor, problem_type: str | None, scale: float = 1.0) -> Tensor:
    """What is compared: log-probabilities of classes or labels, or numbers in units of their standard deviation."""
    if problem_type == "regression":
        return logits / scale
    return F.logsigmoid(logits) if problem_type == "multi_label_classification" else logits.log_softmax(-1)


def evidence(
    kept: list[tuple[dict[str, Any], dict[str, Tensor]]], problem_type: str | None = None, scale: float = 1.0
) -> dict[str, Tensor]:
    """At most `TEXTS` texts, with about `TOKENS` tokens at most, evenly spread over some batches.

    Args:
        kept: Batches, padded or packed, each with the outputs of validation_step: `logits`, or `loss` of the
            masked tokens.
        problem_type: A classifier's, as in its configuration.
        scale: The standard deviation of numbers.

    Returns:
        `input_ids` (tokens,) of all texts, `lengths` (texts,), and `log_probabilities`: what is `comparable` of a
        classifier (texts, classes), or those of the true tokens (masked tokens,), with `targets` (tokens,), -100 where
        not masked. `token_type_ids` (tokens,) where the batches have them. `scale` (1,) where it is not 1.
    """
    ids, types, targets, found = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()
    for batch, outputs in kept:
        mask = batch["attention_mask"] if "attention_mask" in batch else torch.ones_like(batch["input_ids"])
        lengths = (batch["cu_seqlens"].diff() if "cu_seqlens" in batch else mask.sum(1)).tolist()
        ids += batch["input_ids"][mask.bool()].split(lengths)
        types += batch["token_type_ids"][mask.bool()].split(lengths) if "token_type_ids" in batch else ()
        if "logits" in outputs:
            found += comparable(outputs["logits"].float(), problem_type, scale).split(1)
        else:
            masked = batch["labels"][mask.bool()].split(lengths)
            found += (-outputs["loss"]).split([int((labels >= 0).sum()) for labels in masked])
            targets += masked
    every = max(-(-len(ids) // TEXTS), -(-sum(map(len, ids)) // TOKENS))
    columns = {"input_ids": ids, "log_probabilities": found} | ({"targets": targets} if targets else {})
    columns |= {"token_type_ids": types} if types else {}
    lengths = torch.tensor([len(text) for text in ids[::every]])
    scaled = {} if scale == 1 else {"scale": torch.tensor([scale])}
    return {"lengths": lengths, **scaled} | {name: torch.cat(parts[::every]).cpu() for name, parts in columns.items()}


def prove(network: Any, evaluations: Path, step: int, *, chosen: bool, suspects: Sequence[str] = ()) -> None:
    """Raise a UserError if an export differs from its evidence by more than rounding.

    Args:
        network: As transformers alone opens it.
        evaluations: The folder with the evidence of the best validation and of the test.
        step: The exported checkpoint's.
        chosen: Whether a validation chose it; the best validation's evidence must then be of the same step.
        suspects: Callbacks that may have changed the weights, for the message.
    """
    from safetensors.torch import load_file

    cure = (
        f"train without {', '.join(suspects)}" if suspects else "train anew with the --checkpoint settings as shipped"
    )
    network, dtype = network.to("cuda" if torch.cuda.is_available() else "cpu").eval(), network.dtype
    for path in [*evaluations.glob("val-*.safetensors"), *evaluations.glob("test.safetensors")]:
        what = "test" if path.stem == "test" else f"validation after step {int(path.stem.removeprefix('val-'))}"
        if path.stem not in ("test", f"val-{step:08d}"):
            if chosen:
                raise UserError(f"The best checkpoint is of step {step}, and not of the best {what}: {cure}.")
            continue
        kept = {name[6:]: tensor for name, tensor in load_file(path).items() if name.startswith("proof/")}
        measured = kept["log_probabilities"]
        ours = predictions(network.float(), kept)
        rounded = predictions(network.to(dtype), kept, autocast=dtype == torch.float32)
        finite = measured.isfinite()  # all of it, unless a training in 16 bits diverged
        apart, rounding = ((other - ours)[finite].abs().mean() for other in (measured, rounded))
        if finite.any() and not apart <= ROUNDINGS * rounding + LEAST:
            number = network.config.problem_type == "regression"
            far = (measured - ours if number else measured.exp() - ours.exp())[finite].abs()
            labels = f"{(measured.argmax(-1) != ours.argmax(-1)).sum()} other labels, " if ours.ndim == 2 else ""
            compared = "numbers, in standard deviations," if number else f"{labels}probabilities"
            raise UserError(
                f"The export does not give what was measured on {len(kept['lengths'])} texts of the {what}: {compared} "
                f"{far.mean():.4f} apart on average and {far.max():.4f} at most. Something has changed the weights in "
                f"between: {cure}."
            )


def predictions(network: Any, kept: dict[str, Tensor], *, autocast: bool = False) -> Tensor:
    """The `log_probabilities` of a network on the evidence, in padded batches and without its temperature."""
    lengths, device = kept["lengths"].tolist(), network.device
    temperature = getattr(network.config, "calibration", {}).get("temperature", 1.0)
    ids, masked = kept["input_ids"].long(), "targets" in kept
    scale = float(kept["scale"][0]) if "scale" in kept else 1.0
    targets = kept["targets"].long() if masked else torch.full_like(ids, IGNORE_INDEX)
    columns = [part.split(lengths) for part in (ids, torch.ones_like(ids), targets, kept.get("token_type_ids", ids))]
    typed = "token_type_ids" in kept and takes_token_types(network)
    size, found = max(1, PLACES // max(lengths)), []
    for start in range(0, len(lengths), size):
        input_ids, mask, labels, types = (
            pad_sequence(column[start : start + size], batch_first=True, padding_value=padding).to(device)
            for column, padding in zip(columns, (network.config.pad_token_id or 0, 0, IGNORE_INDEX, 0), strict=True)
        )
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            inputs = {"input_ids": input_ids, "attention_mask": mask} | ({"token_type_ids": types} if typed else {})
            logits = network(**inputs).logits.float()
        if masked:
            logits, labels = logits[labels >= 0], labels[labels >= 0]
            found.append(-F.cross_entropy(logits, labels, reduction="none"))
        else:
            found.append(comparable(logits * temperature, network.config.problem_type, scale))
    return torch.cat(found).cpu()
