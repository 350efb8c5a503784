"""The proof at the end of a fit: the export gives the predictions that its checkpoint was chosen by and tested with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_nlp.errors import UserError

PLACES = 2048  # in a batch: of 50,000 words these are 400 MB of logits
# How far log-probabilities may be apart on average: so many times what 16 bits change in this very network, plus 0.2%
# of a probability. Measured: once that for what was validated in bfloat16, and 50 times for the weights of one
# step before, or of the next epoch where all labels are the same.
ROUNDINGS, LEAST = 5, 0.002


def prove(network: Any, evaluations: Path, step: int, *, chosen: bool, suspects: Sequence[str] = ()) -> None:
    """Compare what an export makes of some texts with what was measured on them.

    Args:
        network: The export, as transformers alone opens it; it is moved to a GPU if there is one.
        evaluations: Where the callback `Evaluation` has kept texts of the best validation and of the test.
        step: After which the exported checkpoint was saved.
        chosen: Whether a validation chose that.
        suspects: Callbacks that may have changed the weights, for the message.

    Raises:
        UserError: If they are further apart than by rounding, or another step's validation was the best.
    """
    from safetensors.torch import load_file

    cause = f"train without {', '.join(suspects)}" if suspects else "leave a run's checkpoints alone, and train anew"
    network, dtype = network.to("cuda" if torch.cuda.is_available() else "cpu").eval(), network.dtype
    for path in [*evaluations.glob("val-*.safetensors"), *evaluations.glob("test.safetensors")]:
        what = "test" if path.stem == "test" else f"validation after step {int(path.stem.removeprefix('val-'))}"
        if path.stem not in ("test", f"val-{step:08d}"):
            if chosen:
                raise UserError(f"The best checkpoint is of step {step}, and not of the best {what}: {cause}.")
            continue
        kept = {name[6:]: tensor for name, tensor in load_file(path).items() if name.startswith("proof/")}
        if not kept:  # of an earlier version
            continue
        measured = kept["log_probabilities"]
        ours = predictions(network.float(), kept)
        rounded = predictions(network.to(dtype), kept, autocast=dtype == torch.float32)
        finite = measured.isfinite()  # as all is but in a training in 16 bits that diverges
        apart, rounding = ((other - ours)[finite].abs().mean() for other in (measured, rounded))
        if finite.any() and not apart <= ROUNDINGS * rounding + LEAST:
            far = (measured.exp() - ours.exp())[finite].abs()
            labels = f"{(measured.argmax(-1) != ours.argmax(-1)).sum()} other labels, " if ours.ndim == 2 else ""
            raise UserError(
                f"The export does not give what was measured on {len(kept['lengths'])} texts of the {what}: {labels}"
                f"probabilities {far.mean():.4f} apart on average and {far.max():.4f} at most. Something has changed "
                f"the weights in between: {cause}."
            )


def predictions(network: Any, kept: dict[str, Tensor], *, autocast: bool = False) -> Tensor:
    """The log-probabilities that a network gives for texts, in plain padded batches.

    Args:
        network: Of transformers; the temperature that it knows of is taken out again.
        kept: What `evidence` gave.
        autocast: Whether to compute in bfloat16, as `bf16-mixed` does.

    Returns:
        As `log_probabilities` there.
    """
    lengths, device = kept["lengths"].tolist(), network.device
    temperature = getattr(network.config, "calibration", {}).get("temperature", 1.0)
    targets = kept["targets"].long() if "targets" in kept else torch.full_like(kept["input_ids"], -100).long()
    columns = [part.split(lengths) for part in (kept["input_ids"].long(), torch.ones_like(targets), targets)]
    size, found = max(1, PLACES // max(lengths)), []
    for start in range(0, len(lengths), size):
        input_ids, mask, labels = (
            pad_sequence(column[start : start + size], batch_first=True, padding_value=padding).to(device)
            for column, padding in zip(columns, (network.config.pad_token_id or 0, 0, -100), strict=True)
        )
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits = network(input_ids=input_ids, attention_mask=mask).logits.float()
        if "targets" in kept:
            logits, labels = logits[labels >= 0], labels[labels >= 0]
            found.append(-F.cross_entropy(logits, labels, reduction="none"))
        else:
            found.append((logits * temperature).log_softmax(-1))
    return torch.cat(found).cpu()
