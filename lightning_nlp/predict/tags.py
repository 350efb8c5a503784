"""Tags untagged texts: words, tags and entities."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_nlp.data.batches.eval_batches import cut
from lightning_nlp.data.tagging import collate_tags
from lightning_nlp.data.texts.tagged import join_words, words_of
from lightning_nlp.data.tokens.encoding import special_frame
from lightning_nlp.data.tokens.tagging import framed_words, joined_words, word_pieces
from lightning_nlp.evaluation.tags import are_entities, entities

Record = dict[str, Any]
Text = str | list[str]  # or its words


def tag_predictor(
    tokenizer: Any,
    logits_of: Callable[[dict[str, Any], Tensor], Tensor],
    names: list[str],
    *,
    max_length: int,
    tokens_per_batch: int,
    packed: bool,
) -> Callable[[list[tuple[int, Text]]], Iterator[Record]]:
    """A function from (index, text) pairs to records: `words`, `tags`, and `entities` if the tags mark them.

    A text may be a list of words; otherwise `words_of` splits it. An entity has its `type`, its `text`, where that
    starts and ends (in characters), and its `score`, the mean probability of its words' tags. Long texts are split
    between two words, as in the training.

    Args:
        logits_of: (words, tags) for a batch and the places of the words' first pieces.
        names: The tags, in the order of their ids.
    """
    frame, counted = special_frame(tokenizer), are_entities(names)

    def predictor(numbered: list[tuple[int, Text]]) -> Iterator[Record]:
        texts = [text if isinstance(text, str) else join_words(text) for _, text in numbered]
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # no tokenizer has lone surrogates
        spans = [
            words_of(text) if isinstance(words, str) else joined_words(text)[: len(words)]
            for text, (_, words) in zip(texts, numbered, strict=True)
        ]
        pieces, _ = word_pieces(texts, spans, tokenizer)
        ids, first_pieces, owners = list[np.ndarray](), list[np.ndarray](), list[int]()
        for owner, words in enumerate(pieces):
            for row, numbers in framed_words(words, range(len(words)), frame, max_length) if words else ():
                ids.append(np.array(row))
                first_pieces.append(np.array(numbers))
                owners.append(owner)
        tagged_words = [[(0, 0.0)] * len(words) for words in pieces]
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        for rows in cut(lengths, np.argsort(-lengths, kind="stable"), tokens_per_batch, packed=packed):
            columns = {"input_ids": [ids[i] for i in rows], "label": [first_pieces[i] for i in rows], "index": rows}
            padding = {"pad_token_id": tokenizer.pad_token_id, "max_length": max_length}
            batch = collate_tags(columns, 0, packed=packed, **padding)
            numbers = batch.pop("labels").flatten()[batch["words"]]
            chances, likeliest = logits_of(batch, batch["words"]).softmax(-1).max(-1)
            columns_of_words = torch.stack([batch["word_rows"], numbers, likeliest]).T.tolist()
            for (row, number, best), chance in zip(columns_of_words, chances.tolist(), strict=True):
                tagged_words[owners[row]][number] = best, chance
        for (index, _), text, places, tagged in zip(numbered, texts, spans, tagged_words, strict=True):
            tags = [names[tag] for tag, _ in tagged]
            record: Record = {"index": index, "words": [text[a:b] for a, b in places], "tags": tags}
            record |= {"entities": []} if counted else {}
            for first, end, kind in entities(tags) if counted else ():
                start, stop = places[first][0], places[end - 1][1]
                score = sum(chance for _, chance in tagged[first:end]) / (end - first)
                entity = {"type": kind, "text": text[start:stop], "start": start, "end": stop, "score": score}
                record["entities"].append(entity)
            yield record

    return predictor
