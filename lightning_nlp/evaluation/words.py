"""The words that drive a prediction, and the worst mistakes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_nlp.evaluation import takes_token_types, token_types
from lightning_nlp.evaluation.groups import continues_a_word
from lightning_nlp.evaluation.temperature import probabilities

NUMBER = 50  # of mistakes
TEXTS_AT_A_TIME = 8
BETWEEN = " | "  # the texts of a pair, where both are shown
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
        rows: The split: `rows[numbers]["input_ids"]` is a list of token ids; of pairs there is `second` too.
        found: Its predictions: `logits` (N, classes), `labels` (N, ...) and `rows` (N,).
    """
    worst = worst_mistakes(found["logits"], found["labels"], label_names)
    if not worst:
        return []
    numbers = found["rows"][[wrong.at for wrong in worst]]
    columns = rows[numbers]
    ids = [list(map(int, tokens)) for tokens in columns["input_ids"]]
    seconds = columns["second"].tolist() if "second" in columns else [0] * len(ids)
    words = driving_words(network, tokenizer, ids, torch.tensor([wrong.output for wrong in worst]), seconds)
    return [
        {
            "row": int(row),
            "text": _shown(tokenizer, tokens, abs(second)),
            "label": wrong.label,
            "prediction": wrong.prediction,
            "probability": wrong.probability and float(wrong.probability),
            "words": [[word, wrong.sign * score] for word, score in driving],
        }
        for wrong, row, tokens, second, driving in zip(worst, numbers, ids, seconds, words, strict=True)
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


def _shown(tokenizer: Any, tokens: list[int], second: int) -> str:
    parts = [tokens[:second], tokens[second:]] if second else [tokens]
    return BETWEEN.join(tokenizer.decode(part, skip_special_tokens=True) for part in parts)


def driving_words(
    network: Any, tokenizer: Any, ids: list[list[int]], targets: Tensor, seconds: Sequence[int] | None = None
) -> list[list[tuple[str, float]]]:
    """How much each word speaks for a class: integrated gradients (Sundararajan et al. 2017).

    The gradient of the class's logit is averaged along the line from a text of masks to this one, and multiplied
    by their difference; a word's pieces are summed. The gradient at the text alone mostly has the wrong sign where
    the prediction is certain.

    Args:
        network: The classifier, in evaluation mode, in float32.
        ids: The token ids of each text, with special tokens.
        targets: A class for each text, (texts,).
        seconds: Of pairs, as in `encode`.

    Returns:
        The words of each text in order, without special tokens, with signed scores of magnitude 1 at most; of a pair
        there is a mark between the texts.
    """
    seconds = [0] * len(ids) if seconds is None else seconds  # 0: a single text
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    words: dict[int, list[tuple[str, float]]] = {}
    for start in range(0, len(order), TEXTS_AT_A_TIME):
        chosen = order[start : start + TEXTS_AT_A_TIME]
        found = _scores(network, tokenizer, [ids[i] for i in chosen], targets[chosen], [seconds[i] for i in chosen])
        words |= {i: _words(tokenizer, ids[i], row, abs(seconds[i])) for i, row in zip(chosen, found, strict=True)}
    return [words[i] for i in range(len(ids))]


def _scores(
    network: Any, tokenizer: Any, ids: list[list[int]], targets: Tensor, seconds: Sequence[int] = ()
) -> list[list[float]]:
    """Integrated gradients of each token; special tokens are not masked, and score 0."""
    words = network.get_input_embeddings().weight.detach()
    device, mask_id = words.device, tokenizer.mask_token_id
    with torch.inference_mode(False), torch.enable_grad():
        texts = [torch.tensor(row, device=device) for row in ids]
        tokens = pad_sequence(texts, batch_first=True, padding_value=tokenizer.pad_token_id)
        attention_mask = pad_sequence([torch.ones_like(row) for row in texts], batch_first=True)
        given = {"attention_mask": attention_mask}
        if takes_token_types(network) and any(seconds):
            types = [torch.from_numpy(token_types(len(row), at)) for row, at in zip(ids, seconds, strict=True)]
            given["token_type_ids"] = pad_sequence(types, batch_first=True).to(device)
        special = torch.isin(tokens, torch.tensor(tokenizer.all_special_ids, device=device))
        ends = words[tokens]
        starts = torch.where(special[..., None], ends, 0 if mask_id is None else words[mask_id])
        total = torch.zeros_like(ends)
        for step in range(STEPS):
            place = torch.lerp(starts, ends, (step + 0.5) / STEPS).requires_grad_()
            logits = network(inputs_embeds=place, **given).logits
            chosen = logits.gather(1, targets.to(device).clone()[:, None]).sum()
            total = total + torch.autograd.grad(chosen, [place])[0]
    products = (total / STEPS * (ends - starts)).sum(-1).float().cpu()
    return [row[: len(text)].tolist() for row, text in zip(products, ids, strict=True)]


def _words(tokenizer: Any, ids: list[int], scores: list[float], second: int) -> list[tuple[str, float]]:
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    continues = continues_a_word(pieces, set(tokenizer.all_special_tokens))
    groups: list[tuple[list[int], float]] = []
    inside, mark = False, 0
    for place, (token, score, goes_on) in enumerate(zip(ids, scores, continues, strict=True)):
        mark = len(groups) if place == second else mark
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
    words = [(tokenizer.decode(tokens).strip(), round(score / largest, 4)) for tokens, score in groups]
    return [*words[:mark], (BETWEEN.strip(), 0.0), *words[mark:]] if second else words
