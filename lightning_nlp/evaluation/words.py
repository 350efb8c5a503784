"""The words that drive a prediction, and the worst mistakes."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_nlp.evaluation.groups import continues_a_word
from lightning_nlp.evaluation.temperature import probabilities

NUMBER = 50  # of mistakes
TEXTS_AT_A_TIME = 8
STEPS = 16  # along the line


class Mistake(NamedTuple):
    """A wrong prediction."""

    at: int  # which text
    output: int  # which of the network's outputs is wrong
    sign: int  # 1 if it is too large, -1 if it is too small
    label: str
    prediction: str
    probability: float | None  # of the prediction; a number has none


def mistakes(
    network: Any, tokenizer: Any, rows: Any, found: dict[str, np.ndarray], label_names: list[str]
) -> list[dict[str, Any]]:
    """At most `NUMBER` wrong predictions, the surest first; of numbers those farthest off.

    Args:
        network: The classifier, in evaluation mode.
        rows: The split: `rows[numbers]["input_ids"]` is a list of token ids.
        found: Its predictions: `logits` (N, classes), `labels` (N, ...) and `rows` (N,).
    """
    worst = worst_mistakes(found["logits"], found["labels"], label_names)
    if not worst:
        return []
    numbers = found["rows"][[wrong.at for wrong in worst]]
    ids = [list(map(int, tokens)) for tokens in rows[numbers]["input_ids"]]
    words = driving_words(network, tokenizer, ids, torch.tensor([wrong.output for wrong in worst]))
    return [
        {
            "row": int(row),
            "text": tokenizer.decode(tokens, skip_special_tokens=True),
            "label": wrong.label,
            "prediction": wrong.prediction,
            "probability": wrong.probability and float(wrong.probability),
            "words": [[word, wrong.sign * score] for word, score in driving],
        }
        for wrong, row, tokens, driving in zip(worst, numbers, ids, words, strict=True)
    ]


def worst_mistakes(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> list[Mistake]:
    """At most `NUMBER`: `labels` are classes (N,), 0 and 1 for each label (N, labels), or numbers (N,), float."""
    if labels.dtype.kind == "f":
        off = logits[:, 0] - labels
        order = np.argsort(-np.abs(off), kind="stable")[:NUMBER]
        return [
            Mistake(at, 0, 1 if off[at] > 0 else -1, f"{labels[at]:.4g}", f"{logits[at, 0]:.4g}", None) for at in order
        ]
    if labels.ndim == 2:
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        surely = np.where(labels > 0, 1 - chances, chances)
        order = np.argsort(-surely, axis=None, kind="stable")[:NUMBER]
        says = [(f"not {name}", name) for name in names]
        return [
            Mistake(
                at, i, -1 if labels[at, i] else 1, says[i][labels[at, i]], says[i][1 - labels[at, i]], surely[at, i]
            )
            for at, i in zip(*np.unravel_index(order, surely.shape), strict=True)
            if surely[at, i] > 0.5
        ]
    chances = probabilities(logits)
    predicted = chances.argmax(axis=1)
    surest = chances[np.arange(len(labels)), predicted]
    wrong = np.flatnonzero(predicted != labels)
    return [
        Mistake(at, predicted[at], 1, names[labels[at]], names[predicted[at]], surest[at])
        for at in wrong[np.argsort(-surest[wrong], kind="stable")][:NUMBER]
    ]


def driving_words(network: Any, tokenizer: Any, ids: list[list[int]], targets: Tensor) -> list[list[tuple[str, float]]]:
    """How much each word speaks for a class: integrated gradients (Sundararajan et al. 2017).

    The gradient of the class's logit is averaged along the line from a text of masks to this one, and multiplied
    by their difference; a word's pieces are summed. The gradient at the text alone mostly has the wrong sign where
    the prediction is certain.

    Args:
        network: The classifier, in evaluation mode, in float32.
        ids: The token ids of each text, with special tokens.
        targets: A class for each text, (texts,).

    Returns:
        The words of each text in order, without special tokens, with signed scores of magnitude 1 at most.
    """
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    words: dict[int, list[tuple[str, float]]] = {}
    for start in range(0, len(order), TEXTS_AT_A_TIME):
        chosen = order[start : start + TEXTS_AT_A_TIME]
        found = _scores(network, tokenizer, [ids[i] for i in chosen], targets[chosen])
        words |= {i: _words(tokenizer, ids[i], row) for i, row in zip(chosen, found, strict=True)}
    return [words[i] for i in range(len(ids))]


def _scores(network: Any, tokenizer: Any, ids: list[list[int]], targets: Tensor) -> list[list[float]]:
    """Integrated gradients of each token; special tokens are not masked, and score 0."""
    words = network.get_input_embeddings().weight.detach()
    device, mask_id = words.device, tokenizer.mask_token_id
    with torch.inference_mode(False), torch.enable_grad():
        texts = [torch.tensor(row, device=device) for row in ids]
        tokens = pad_sequence(texts, batch_first=True, padding_value=tokenizer.pad_token_id)
        attention_mask = pad_sequence([torch.ones_like(row) for row in texts], batch_first=True)
        special = torch.isin(tokens, torch.tensor(tokenizer.all_special_ids, device=device))
        ends = words[tokens]
        starts = torch.where(special[..., None], ends, 0 if mask_id is None else words[mask_id])
        total = torch.zeros_like(ends)
        for step in range(STEPS):
            place = torch.lerp(starts, ends, (step + 0.5) / STEPS).requires_grad_()
            logits = network(inputs_embeds=place, attention_mask=attention_mask).logits
            chosen = logits.gather(1, targets.to(device).clone()[:, None]).sum()
            total = total + torch.autograd.grad(chosen, [place])[0]
    products = (total / STEPS * (ends - starts)).sum(-1).float().cpu()
    return [row[: len(text)].tolist() for row, text in zip(products, ids, strict=True)]


def _words(tokenizer: Any, ids: list[int], scores: list[float]) -> list[tuple[str, float]]:
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    continues = continues_a_word(pieces, set(tokenizer.all_special_tokens))
    groups: list[tuple[list[int], float]] = []
    inside = False
    for token, score, goes_on in zip(ids, scores, continues, strict=True):
        if token in special:
            inside = False
            continue
        if goes_on and inside:
            tokens, total = groups[-1]
            groups[-1] = [*tokens, token], total + score
        else:
            groups.append(([token], score))
        inside = True
    largest = max((abs(score) for _, score in groups), default=0.0) or 1.0
    return [(tokenizer.decode(tokens).strip(), round(score / largest, 4)) for tokens, score in groups]
