"""The words that drive a prediction, and the worst mistakes."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_nlp.evaluation import takes_token_types, token_types
from lightning_nlp.evaluation.groups import continues_a_word
from lightning_nlp.evaluation.temperature import probabilities

NUMBER = 50  # of mistakes to keep
BETWEEN = " | "  # the texts of a pair, where both are shown
STEPS = 16  # of the path integral


class Mistake(NamedTuple):
    """A wrong prediction."""

    at: int  # index of the text
    output: int  # index of the wrong output
    sign: int  # 1 if it is too large, -1 if it is too small
    label: str
    prediction: str
    probability: float | None  # of the prediction; a number has none


def mistakes(
    network: Any, tokenizer: Any, rows: Any, outputs: dict[str, np.ndarray], label_names: list[str]
) -> list[dict[str, Any]]:
    """At most `NUMBER` wrong predictions, the most confident first; for numbers those farthest off.

    `rows[numbers]` of the split are token ids in `input_ids`, and for pairs `second`; `outputs` has the predictions:
    `logits` (N, classes), `labels` (N, ...) and `rows` (N,).
    """
    worst = worst_mistakes(outputs["logits"], outputs["labels"], label_names)
    if not worst:
        return []
    numbers = outputs["rows"][[wrong.at for wrong in worst]]
    columns, explained = rows[numbers], []
    seconds = columns["second"].tolist() if "second" in columns else [0] * len(worst)
    for wrong, row, tokens, second in zip(worst, numbers, columns["input_ids"], seconds, strict=True):
        ids, split = list(map(int, tokens)), abs(second)
        texts = [ids[:split], ids[split:]] if second else [ids]
        words = driving_words(network, tokenizer, ids, int(wrong.output), second)
        explained.append(
            {
                "row": int(row),
                "text": BETWEEN.join(tokenizer.decode(text, skip_special_tokens=True) for text in texts),
                "label": wrong.label,
                "prediction": wrong.prediction,
                "probability": wrong.probability and float(wrong.probability),
                "words": [[word, wrong.sign * score] for word, score in words],
            }
        )
    return explained


def worst_mistakes(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> list[Mistake]:
    """At most `NUMBER`; `labels` are classes (N,), 0 and 1 for each label (N, labels), or floats (N,)."""
    if labels.dtype.kind == "f":
        off = logits[:, 0] - labels
        return [
            Mistake(at, 0, 1 if off[at] > 0 else -1, f"{labels[at]:.4g}", f"{logits[at, 0]:.4g}", None)
            for at in np.argsort(-np.abs(off), kind="stable")[:NUMBER]
        ]
    if labels.ndim == 2:
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        surely = np.where(labels > 0, 1 - chances, chances)
        order = np.argsort(-surely, axis=None, kind="stable")[:NUMBER]
        return [
            Mistake(at, i, -1, names[i], f"not {names[i]}", surely[at, i])
            if labels[at, i]
            else Mistake(at, i, 1, f"not {names[i]}", names[i], surely[at, i])
            for at, i in zip(*np.unravel_index(order, surely.shape), strict=True)
            if surely[at, i] > 0.5
        ]
    chances = probabilities(logits)
    predicted, surest = chances.argmax(axis=1), chances.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return [
        Mistake(at, predicted[at], 1, names[labels[at]], names[predicted[at]], surest[at])
        for at in wrong[np.argsort(-surest[wrong], kind="stable")][:NUMBER]
    ]


def driving_words(
    network: Any, tokenizer: Any, ids: list[int], target: int, second: int = 0
) -> list[tuple[str, float]]:
    """A text's words, each with how much it supports a class, from -1 to 1; a pair has a mark in between.

    Integrated gradients (Sundararajan et al. 2017): the gradient of the class's logit is averaged along the line from
    a text of masks to this one and multiplied by their difference; a word's pieces are summed. The gradient at the
    text alone mostly has the wrong sign where the prediction is confident.

    Args:
        network: A classifier in evaluation mode.
        ids: With special tokens.
        second: Where the second text of a pair begins, as in `encode`.
    """
    scores, special = _gradients(network, tokenizer, ids, target, second), {*tokenizer.all_special_ids}
    continues = continues_a_word(tokenizer.convert_ids_to_tokens(ids), {*tokenizer.all_special_tokens})
    starts = [
        place
        for place, token in enumerate(ids)
        if token not in special and not (continues[place] and place and ids[place - 1] not in special)
    ]
    words = [
        (tokenizer.decode([token for token in ids[start:end] if token not in special]).strip(), sum(scores[start:end]))
        for start, end in pairwise([*starts, len(ids)])
    ]
    largest = max((abs(score) for _, score in words), default=0.0) or 1.0
    words = [(word, round(score / largest, 4)) for word, score in words]
    if second:
        words.insert(sum(start < abs(second) for start in starts), (BETWEEN.strip(), 0.0))
    return words


def _gradients(network: Any, tokenizer: Any, ids: list[int], target: int, second: int) -> list[float]:
    """Integrated gradients of each token; special tokens are not masked, and score 0."""
    words = network.get_input_embeddings().weight.detach()
    device, mask_id = words.device, tokenizer.mask_token_id
    with torch.inference_mode(False), torch.enable_grad():
        tokens = torch.tensor(ids, device=device)
        special = torch.isin(tokens, torch.tensor(tokenizer.all_special_ids, device=device))
        end = words[tokens]
        start = torch.where(special[:, None], end, 0 if mask_id is None else words[mask_id])
        along = (torch.arange(STEPS).to(end)[:, None, None] + 0.5) / STEPS
        places = torch.lerp(start, end, along).requires_grad_()  # a batch: (steps, tokens, features)
        masked = {"attention_mask": torch.ones(STEPS, len(ids), dtype=torch.long, device=device)}
        if takes_token_types(network) and second:
            masked["token_type_ids"] = torch.from_numpy(token_types(len(ids), second)).to(device).expand(STEPS, -1)
        logits = network(inputs_embeds=places, **masked).logits[:, target].sum()
        (gradient,) = torch.autograd.grad(logits, [places])
    return (gradient.mean(0) * (end - start)).sum(-1).tolist()
