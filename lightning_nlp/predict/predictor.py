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
from lightning_nlp.data.tokens.encoding import Truncation, encode
from lightning_nlp.errors import PROGRAM, UserError, one_line, warn_user
from lightning_nlp.evaluation.probes import fillings
from lightning_nlp.evaluation.words import driving_words
from lightning_nlp.hub.pretrained import fetch_pretrained
from lightning_nlp.models import packing
from lightning_nlp.models.heads import last_layer
from lightning_nlp.models.load_pretrained import realign
from lightning_nlp.predict.calibration import FITTED_FOR, layer_digest
from lightning_nlp.predict.pairs import checked_texts, paired
from lightning_nlp.predict.tags import tag_predictor
from lightning_nlp.tasks import LABELS, NUMBER, Task, task_of_network
from lightning_nlp.training.peaks import float32_products

Record = dict[str, Any]
READING = "lightning_nlp"  # in an export's config.json: how texts are read


def load_predictor(
    folder: str | Path, *, precision: str = "32-true", tokens_per_batch: int = 4096, top_k: int = 5
) -> Callable[[Iterable[Any]], list[Record]]:
    """Open an export anywhere; it predicts as `predict` does, texts cleaned and cut as in its training.

    Args:
        precision: "bf16-mixed" or "32-true".
        top_k: Fillings for each [MASK].

    Returns:
        A function from texts, tuples of two for a model of pairs, or for tags lists of words too, to their records:
        `index`, and `label` with `probabilities`, `fillings`, or `words` with `tags` and `entities`. A text without
        words, or a pair with one, has `label` None and a `reason`, or no `words`.

    Raises:
        UserError: If it is no export, or one of an earlier version.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings, architecture = config[READING], config["architectures"][0]
    except (OSError, ValueError, KeyError, TypeError) as error:
        of_run = folder / "export"
        cure = f"give {of_run}" if of_run.is_dir() else "give the folder of an export"
        if (folder.parent / "config.yaml").is_file():  # of version 0.1.0
            cure = f"use `{PROGRAM} predict --run {folder.parent}`, which reads it from the run's config.yaml"
        raise UserError(
            f"{folder} does not say how texts are read, as an export does ({one_line(error)}): {cure}."
        ) from error
    predictor = make_predictor(folder, settings, precision=precision, tokens_per_batch=tokens_per_batch, top_k=top_k)

    tags = task_of_network(architecture).tags_words

    def predict(texts: Iterable[Any]) -> list[Record]:
        return predictor([*enumerate(checked_texts(texts, settings, lists=tags))])

    return predict


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
    """A function from (index, text) pairs to records in the same order.

    Args:
        settings: `max_length`, and `truncation`, `clean` and `packing` where they are not the defaults; for pairs,
            which come as `join_pair` puts them together, `text_column` is a list.
        precision: "bf16-mixed" or "32-true".
        explain: Add the words that drove a prediction.
        thresholds: "best_f1" or "wanted": add the labels that reach that threshold of the export.

    Raises:
        UserError: If the export cannot be used, or cannot be explained.
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
            f"The export {folder} cannot be used ({one_line(error)[:300]}): the same command and --ckpt_path last "
            "export it again."
        ) from error
    task = task_of_network(config.architectures[0], config.problem_type)
    fills_masks = task.fills_masks
    if explain and not task.calibrated:
        raise UserError(f"--explain is for a classifier of texts, and {folder} is for {task.title}: leave it out.")
    if task is LABELS and getattr(config, "thresholds", None):
        thresholds = thresholds or "best_f1"
    if task is NUMBER and thresholds is not None:
        raise UserError(f"--thresholds are for classes, and {folder} predicts a number: leave them out.")
    limits = None if thresholds is None else stored_thresholds(config, thresholds)
    auto_class = getattr(transformers, f"AutoModel{task.head}")
    network = auto_class.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).to(device).eval()
    realign(network)
    layer, fitted_for = last_layer(network), getattr(config, FITTED_FOR, None)
    if limits is not None and layer is not None and fitted_for not in (None, layer_digest(layer)):
        warn_user(f"{folder} was trained further since its thresholds were chosen: --thresholds is ignored.")
        limits = thresholds = None
    # of several labels, one that never reached the wanted precision is never given
    otherwise = 0.5 if task is LABELS and thresholds != "wanted" else math.inf
    packable = packing.why_not(network, device=device, precision=precision) is None
    packs = packable and settings.get("packing") is not False
    if packs:
        packing.enable(network)
    max_length, truncation = settings["max_length"], settings.get("truncation", "head")
    # as in the training; UTF-8, and therefore the tokenizer, has no lone surrogates
    pair = bool(paired(settings))
    cleaning = clean_pair if pair else clean_text
    prepare = cleaning if settings.get("clean", True) else lambda text: text.encode("utf-8", "replace").decode()

    def logits_of(batch: dict[str, Any], positions: Tensor | None) -> Tensor:
        """(sequences, classes), or of a head for each token (positions, classes)."""
        batch = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in batch.items()}
        low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
        with torch.inference_mode(), low:
            return packing.forward(network, batch, None if positions is None else positions.to(device)).float().cpu()

    if task.tags_words:
        names = [config.id2label[i] for i in sorted(config.id2label)]
        sizes = {"max_length": max_length, "tokens_per_batch": tokens_per_batch}
        tagger = tag_predictor(tokenizer, logits_of, names, packed=packs, **sizes)
        return float32_products("highest")(lambda texts: list(tagger(texts)))

    @float32_products("highest")  # 32-true gives what transformers gives, also after a training in this process
    def predictor(texts: list[tuple[int, str]]) -> list[Record]:
        texts = [(index, prepare(text)) for index, text in texts]
        ids, seconds = token_ids(texts, tokenizer, max_length, truncation, needs_mask=fills_masks, paired=pair)
        records: list[Record] = [{"index": index} for index, _ in texts]
        order = sorted((i for i in range(len(ids)) if ids[i]), key=lambda i: -len(ids[i]))
        lengths = np.array([len(tokens) for tokens in ids])
        for rows in cut(lengths, np.array(order, dtype=np.int64), tokens_per_batch, packed=packs):
            sequences = [np.array(ids[i]) for i in rows]
            at = [seconds[i] for i in rows] if pair else None
            padding: dict[str, Any] = {"pad_token_id": tokenizer.pad_token_id, "max_length": max_length}
            batch = collate(sequences, packed=packs, seconds=at, **padding)
            masked = batch["input_ids"].flatten() == (tokenizer.mask_token_id if fills_masks else -1)
            positions = masked.nonzero().squeeze(1)
            logits = logits_of(batch, positions if fills_masks else None)
            if fills_masks:
                for i, mask_logits in zip(owners(batch, positions), logits, strict=True):
                    records[rows[i]].setdefault("fillings", []).append(fillings(mask_logits, tokenizer, top_k))
            else:
                for i, row_logits in zip(rows, logits, strict=True):
                    records[i] |= prediction(task, row_logits, config.id2label, limits, otherwise)
                if explain:
                    words = driving_words(network, tokenizer, [ids[i] for i in rows], logits.argmax(-1), at)
                    for i, row_words in zip(rows, words, strict=True):
                        records[i]["words"] = row_words
        for record, tokens in zip(records, ids, strict=True):
            if not tokens:
                record |= {NAMES.get(task.name, "label"): None, "reason": "the text has no words"}
        return records

    return predictor


def owners(batch: dict[str, Any], positions: Tensor) -> list[int]:
    """The sequence of a batch that each position is in."""
    if "cu_seqlens" in batch:
        return (torch.searchsorted(batch["cu_seqlens"], positions.int(), right=True) - 1).tolist()
    return (positions // batch["input_ids"].shape[1]).tolist()


def token_ids(
    texts: list[tuple[int, str]],
    tokenizer: Any,
    max_length: int,
    truncation: Truncation,
    *,
    needs_mask: bool,
    paired: bool = False,
) -> tuple[list[list[int]], list[int]]:
    """Each text's ids with special tokens, none for a text without words; a needed [MASK] must be there.

    Of pairs also where the second text begins.
    """
    how: dict[str, Any] = {"max_length": max_length, "truncation": truncation, "paired": paired}
    ids, places, lengths = encode([text for _, text in texts], tokenizer, **how)
    for (index, text), tokens, length in zip(texts, ids, lengths, strict=True):
        if not needs_mask or not length:
            continue
        mask, which = tokenizer.mask_token, f"The text with index {index}, {text[:60]!r}, "
        if mask not in text:
            raise UserError(f"{which}has no {mask}: write {mask} where a word is to be filled in.")
        if tokens.count(tokenizer.mask_token_id) < text.count(mask):
            raise UserError(f"{which}is cut off before its last {mask}, after {max_length} tokens: shorten it.")
    return [tokens if length else [] for tokens, length in zip(ids, lengths, strict=True)], places


def stored_thresholds(config: Any, which: str) -> dict[str, float]:
    """The export's thresholds by label, without labels that never reached the wanted precision."""
    try:
        thresholds = config.thresholds.items()
        return {label: float(choice[which]["threshold"]) for label, choice in thresholds if which in choice}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The export has no thresholds for --thresholds {which}: its model card says why; leave the argument out."
        ) from error


def prediction(
    task: Task, logits: Tensor, id2label: dict[int, str], limits: dict[str, float] | None, otherwise: float
) -> Record:
    """One text's record, without its index; logits are (classes,), (labels,) or (1,).

    Args:
        limits: The probability from which on a label is given.
        otherwise: That of labels which have none.
    """
    if task is NUMBER:
        return {"value": logits.item()}
    chances = (logits.sigmoid() if task is LABELS else logits.softmax(-1)).tolist()
    named = {id2label[i]: chance for i, chance in enumerate(chances)}
    reached = [label for label, chance in named.items() if chance >= (limits or {}).get(str(label), otherwise)]
    if task is LABELS:
        return {"labels": reached, "probabilities": named}
    record: Record = {"label": id2label[int(logits.argmax())], "probabilities": named}
    return record if limits is None else record | {"reached": reached}


NAMES = {"labels": "labels", "number": "value"}  # of the prediction in a record, by task
