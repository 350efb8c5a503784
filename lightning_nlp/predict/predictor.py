"""Texts to predictions: an exported network, run without padding where it can be."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_nlp.data.batches.collators import collate
from lightning_nlp.data.batches.eval_batches import cut
from lightning_nlp.data.texts.normalize import clean_pair, clean_text
from lightning_nlp.data.tokens.encoding import encode
from lightning_nlp.errors import UserError, one_line, warn_user
from lightning_nlp.evaluation.probes import fillings
from lightning_nlp.evaluation.words import driving_words
from lightning_nlp.hub.pretrained import fetch_pretrained
from lightning_nlp.models import packing
from lightning_nlp.models.heads import last_layer
from lightning_nlp.models.load_pretrained import realign
from lightning_nlp.predict.calibration import FITTED_FOR, layer_digest
from lightning_nlp.predict.inputs import checked_texts, paired
from lightning_nlp.predict.tags import tag_predictor
from lightning_nlp.tasks import Task, task_of_network
from lightning_nlp.training.precision import float32_products

Record = dict[str, Any]
READING = "lightning_nlp"  # in an export's config.json: how texts are read


def load_predictor(
    folder: str | Path, *, precision: str = "32-true", tokens_per_batch: int = 4096, top_k: int = 5
) -> Callable[[Iterable[Any]], list[Record]]:
    """Load an export from any folder; predicts like `predict`, with texts cleaned and cut as in training.

    Args:
        precision: "bf16-mixed" or "32-true".
        top_k: Fillings for each [MASK].

    Returns:
        A function from texts (tuples of two for pairs; for tags also lists of words) to their records:
        `index`, and `label` with `probabilities`, `fillings`, or `words` with `tags` and `entities`. A text without
        words, or a pair with one, has `label` None and a `reason`, or no `words`.

    Raises:
        UserError: If the folder is not an export.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings, architecture = config[READING], config["architectures"][0]
    except (OSError, ValueError, KeyError, TypeError) as error:
        cure = folder / "export" if (folder / "export").is_dir() else "the folder of an export"
        raise UserError(
            f"{folder} does not record how to read texts, as an export does ({one_line(error)}): give {cure}."
        ) from error
    predictor = make_predictor(folder, settings, precision=precision, tokens_per_batch=tokens_per_batch, top_k=top_k)
    tags = task_of_network(architecture).tags_words
    return lambda texts: predictor([*enumerate(checked_texts(texts, settings, lists=tags))])


def make_predictor(
    folder: Path,
    settings: dict[str, Any],
    *,
    precision: str,
    tokens_per_batch: int,
    top_k: int,
    explain: bool = False,
    thresholds: str | None = None,
) -> Callable[[list[tuple[int, str]]], list[Record]]:
    """A function from (index, text) to records in the same order; pairs are joined by `join_pair`.

    Args:
        settings: How the training read texts: `max_length`, and whatever else differs from the defaults.
        explain: Add the words that drove each prediction.
        thresholds: "best_f1" or "wanted": add the labels that reach that threshold.

    Raises:
        UserError: If the export cannot be used, or does not support what is asked for.
    """
    import transformers
    from transformers.utils.logging import disable_progress_bar

    if precision not in ("bf16-mixed", "32-true"):
        raise UserError(f"--precision must be bf16-mixed or 32-true, not {precision}.")
    disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        fetch_pretrained(str(folder), "tokenizer")
        fetch_pretrained(str(folder), "model")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"The export {folder} cannot be used ({one_line(error)[:300]}): the training's command with --ckpt_path "
            "last exports it again."
        ) from error
    task = task_of_network(config.architectures[0], config.problem_type)
    if explain and not task.calibrated:
        raise UserError(f"--explain is for text classifiers, and {folder} is for {task.title}: leave it out.")
    if thresholds is not None and not task.has_thresholds:
        raise UserError(f"--thresholds are for classes, and {folder} is for {task.title}: leave them out.")
    names = [config.id2label[i] for i in sorted(config.id2label)]
    auto_class = getattr(transformers, f"AutoModel{task.head}")
    network = auto_class.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).to(device).eval()
    realign(network)
    limits = limits_of(network, task, names, thresholds)
    packable = packing.why_not(network, device=device, precision=precision) is None
    packs = packable and settings.get("packing") is not False
    if packs:
        packing.enable(network)
    pair, truncation = bool(paired(settings)), settings.get("truncation", "head")
    reason = f"{'a text of the pair' if pair else 'the text'} has no words"
    # as in the training; UTF-8, and therefore the tokenizer, has no lone surrogates
    cleaning = clean_pair if pair else clean_text
    prepare = cleaning if settings.get("clean", True) else lambda text: text.encode("utf-8", "replace").decode()
    sizes: dict[str, Any] = {"max_length": settings["max_length"], "packed": packs}

    def logits_of(batch: dict[str, Any], positions: Tensor | None) -> Tensor:
        """(sequences, classes), or of a head for each token (positions, classes)."""
        batch = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in batch.items()}
        low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
        with torch.inference_mode(), low:
            return packing.forward(network, batch, None if positions is None else positions.to(device)).float().cpu()

    if task.tags_words:
        tagger = tag_predictor(tokenizer, logits_of, names, tokens_per_batch=tokens_per_batch, **sizes)
        return float32_products("highest")(lambda texts: list(tagger(texts)))

    @float32_products("highest")  # 32-true equals transformers, also after a training in this process
    def predictor(texts: list[tuple[int, str]]) -> list[Record]:
        records: list[Record] = [{"index": index} for index, _ in texts]
        cleaned = [prepare(text) for _, text in texts]
        ids, seconds, words = encode(
            cleaned, tokenizer, max_length=settings["max_length"], truncation=truncation, paired=pair
        )
        for record, text, tokens, number in zip(records, cleaned, ids, words, strict=True):
            if not number:
                record |= {task.predicts: None, "reason": reason}
            elif task.fills_masks:
                check_masks(record["index"], text, tokens, tokenizer)
        order = sorted((i for i, number in enumerate(words) if number), key=lambda i: -len(ids[i]))
        lengths = np.array([len(tokens) for tokens in ids])
        for rows in cut(lengths, np.array(order, dtype=np.int64), tokens_per_batch, packed=packs):
            at = [seconds[i] for i in rows] if pair else None
            sequences = [np.array(ids[i]) for i in rows]
            batch = collate(sequences, seconds=at, pad_token_id=tokenizer.pad_token_id, **sizes)
            if task.fills_masks:
                positions = (batch["input_ids"].flatten() == tokenizer.mask_token_id).nonzero().squeeze(1)
                for i, logits in zip(owners(batch, positions), logits_of(batch, positions), strict=True):
                    records[rows[i]].setdefault("fillings", []).append(fillings(logits, tokenizer, top_k))
                continue
            for i, logits in zip(rows, logits_of(batch, None), strict=True):
                records[i] |= PREDICTIONS[task.predicts](logits, names, limits)
                if explain:
                    second, best = seconds[i] if pair else 0, int(logits.argmax())
                    records[i]["words"] = driving_words(network, tokenizer, ids[i], best, second)
        return records

    return predictor


def owners(batch: dict[str, Any], positions: Tensor) -> list[int]:
    """The index of each position's sequence in the batch."""
    if "cu_seqlens" in batch:
        return (torch.searchsorted(batch["cu_seqlens"], positions.int(), right=True) - 1).tolist()
    return (positions // batch["input_ids"].shape[1]).tolist()


def check_masks(index: int, text: str, tokens: list[int], tokenizer: Any) -> None:
    """Raise a UserError unless a text has a [MASK], and all of them are among its tokens."""
    mask, which = tokenizer.mask_token, f"The text with index {index}, {text[:60]!r}, "
    if mask not in text:
        raise UserError(f"{which}has no {mask}: write {mask} where a word is to be filled in.")
    if tokens.count(tokenizer.mask_token_id) < text.count(mask):
        raise UserError(f"{which}is cut off before its last {mask}, after {len(tokens)} tokens: shorten it.")


def limits_of(network: Any, task: Task, names: list[str], which: str | None) -> dict[str, float] | None:
    """Each label's threshold, if any; None if only the likeliest label is predicted."""
    config, limits = network.config, dict[str, float]()
    if task.at_least is not None and getattr(config, "thresholds", None):
        which = which or "best_f1"
    try:  # without the labels that never reached the wanted precision
        for label, choice in config.thresholds.items() if which else ():
            limits |= {label: float(choice[which]["threshold"])} if which in choice else {}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The export has no thresholds for --thresholds {which}: its model card explains why; leave it out."
        ) from error
    layer, fitted_for = last_layer(network), getattr(config, FITTED_FOR, None)
    if which and layer is not None and fitted_for not in (None, layer_digest(layer)):
        warn_user(f"{config.name_or_path} was trained further since its thresholds were chosen: they are ignored.")
        limits, which = {}, None
    if task.at_least is not None and which != "wanted":
        return dict.fromkeys(map(str, names), task.at_least) | limits
    return limits if which else None


def _label(logits: Tensor, names: list[str], limits: dict[str, float] | None) -> Record:
    chances = dict(zip(names, logits.softmax(-1).tolist(), strict=True))
    record: Record = {"label": names[int(logits.argmax())], "probabilities": chances}
    return record if limits is None else record | {"reached": _reached(chances, limits)}


def _labels(logits: Tensor, names: list[str], limits: dict[str, float] | None) -> Record:
    chances = dict(zip(names, logits.sigmoid().tolist(), strict=True))
    return {"labels": _reached(chances, limits or {}), "probabilities": chances}


def _reached(chances: dict[str, float], limits: dict[str, float]) -> list[str]:
    return [label for label, chance in chances.items() if chance >= limits.get(str(label), math.inf)]


# make a text's record from its logits (outputs,), by what the task predicts
PREDICTIONS: dict[str, Callable[..., Record]] = {
    "label": _label,
    "labels": _labels,
    "value": lambda logits, names, limits: {"value": logits.item()},
}
