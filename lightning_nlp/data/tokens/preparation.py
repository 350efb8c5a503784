"""Texts become token ids once: one Arrow file a split, in a folder that each run of the same data reuses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightning_nlp.data.cache import cached_folder
from lightning_nlp.data.texts.arrow import write_token_ids
from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.texts.splits import build_splits
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.tokens.subwords import train_tokenizer
from lightning_nlp.errors import UserError
from lightning_nlp.hub.pretrained import tokenizer_hash

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

Truncation = Literal["head", "head_tail"]

# The share of a long review that comes from its beginning (Sun et al. 2019, "How to fine-tune BERT for text
# classification?", section 5.3.1: the first 128 and the last 382 of 510 tokens).
HEAD_SHARE = 0.25

# Texts tokenized at a time: many for each core, and few enough to stay in the caches. All of a corpus in one
# call takes longer, and memory in proportion.
BATCH_ROWS = 1000

MOST_UNKNOWN = 0.4  # of the words of train: with more, what is trained learns how often a word is unknown

TOKEN_FORMAT = 4  # raise it when what the folders hold changes: old ones are then used by their own runs alone


def prepare_tokens(
    source: Source,
    cache_dir: Path,
    *,
    cleaning: dict[str, Any],
    tokenizer: PreTrainedTokenizerFast | None,
    training: dict[str, Any],
    max_length: int,
    truncation: Truncation | None,
    own: Path | None = None,
) -> Path:
    """The folder of a source's token ids, made now or found in the cache.

    It holds `train.arrow`, `validation.arrow`, `test.arrow`, `tokenizer/` and `facts.json`.

    Args:
        cleaning: Arguments of `build_splits`.
        tokenizer: None trains one on the training texts.
        training: Arguments of `train_wordpiece` or `train_bpe`, and which (`tokenizer_model`), without a `tokenizer`.
        max_length: The most tokens of an example, special tokens included.
        truncation: How long texts are cut; None splits them.
        own: The folder that a run began with, as for `cached_folder`.
    """
    key = {
        "format": TOKEN_FORMAT,
        "source": source.fingerprint,
        "cleaning": cleaning,
        "tokenizer": {"trained": training} if tokenizer is None else tokenizer_hash(tokenizer),
        # which the hash leaves out: the same words with another padding or mask token
        "special_tokens": None if tokenizer is None else {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
        "max_length": max_length,
        "truncation": truncation,
    }

    def build(folder: Path) -> None:
        work_dir = folder / "texts"
        with quiet_datasets():
            splits, label_names, counts = build_splits(source, work_dir=work_dir, **cleaning)
        used = tokenizer or train_tokenizer(TextColumn(splits["train"]), max_length=max_length, **training)
        used.save_pretrained(folder / "tokenizer")
        facts: dict[str, Any] = {"source": source.description, "label_names": label_names, "cleaning": counts.lines()}
        facts |= {"fingerprint": source.fingerprint, "counts": dataclasses.asdict(counts)}
        for name in SPLITS:
            path = folder / f"{name}.arrow"
            facts[name] = write_tokens(splits[name], path, used, max_length=max_length, truncation=truncation)
            if label_names is not None:
                facts[name]["class_counts"] = np.bincount(splits[name]["label"], minlength=len(label_names)).tolist()
        facts["cleaning"] += list(odd_texts(used, folder, facts, given=tokenizer is not None))
        (folder / "facts.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        splits.clear()  # unmap the files before their folder goes
        shutil.rmtree(work_dir, ignore_errors=True)

    return cached_folder(cache_dir, key, build, own)


def odd_texts(tokenizer: Any, folder: Path, facts: dict[str, Any], *, given: bool) -> Iterator[str]:
    """Lines about what a tokenizer makes of the texts that their owner would not expect.

    Args:
        folder: Of the ids that the tokenizer made.
        facts: The counts of `write_tokens`, by split.
        given: Whether the tokenizer was given, or trained on these texts.

    Raises:
        UserError: If so many words of train are unknown to it that there is nothing to learn from.
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    framing = Counter(chain(*special_frame(tokenizer)))
    for split in SPLITS:
        found, counts = TokenRows(folder / f"{split}.arrow").id_counts(len(tokenizer)), facts[split]
        unknown = 0 if tokenizer.unk_token_id is None else found[tokenizer.unk_token_id] / max(counts["tokens"], 1)
        if split == "train" and unknown > MOST_UNKNOWN:
            cure = "give another --data.tokenizer, or null to train one on them"
            trained = "give more of them, a larger --data.vocab_size, or a larger --data.limit_alphabet"
            raise UserError(
                f"{unknown:.0%} of the words of train are unknown to the tokenizer, more than {MOST_UNKNOWN:.0%}: it "
                f"cannot read these texts; {cure if given else trained}."
            )
        if number := counts["without_tokens"]:
            yield f"{split}: {number:,} texts of which the tokenizer leaves nothing, which say nothing of a label"
        within = {
            token: number
            for token in sorted(special)
            if (number := int(found[token]) - counts["rows"] * framing[token]) > 0
        }
        if within:
            names = ", ".join(
                f"{tokenizer.convert_ids_to_tokens(token)} {number:,}" for token, number in within.items()
            )
            yield f"{split}: special tokens stand in the texts themselves, and act as such: {names}"


def truncate_ids(ids: list[int], room: int, truncation: Truncation) -> list[int]:
    """The first `room` of a text's token ids, without specials; `head_tail` takes three quarters from its end."""
    if len(ids) <= room:
        return ids
    if truncation == "head":
        return ids[:room]
    head = int(room * HEAD_SHARE)
    return ids[:head] + ids[len(ids) - (room - head) :]


def special_frame(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text, e.g. ([101], [102])."""
    backend = tokenizer.backend_tokenizer
    for text in chain("a", (backend.decode([number]) for number in range(backend.get_vocab_size()))):
        probe = backend.encode(text, add_special_tokens=False).ids
        framed = backend.encode(text, add_special_tokens=True).ids
        start = next((i for i in range(len(framed)) if probe and framed[i : i + len(probe)] == probe), None)
        if start is not None:
            return framed[:start], framed[start + len(probe) :]
    raise UserError("The tokenizer reads none of its own words: give another --data.tokenizer, or null to train one.")


def encode(
    texts: list[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    truncation: Truncation | None,
) -> tuple[list[list[int]], list[int], list[int]]:
    """Token ids with special tokens; long texts are cut or, without `truncation`, split so that nothing is lost.

    Args:
        max_length: The most tokens of a result, special tokens included.

    Returns:
        The ids, for each of them the number of the text that it comes from, and for each text its length in
        tokens before truncation and without special tokens.
    """
    backend = _plain_backend(tokenizer)
    encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    return _frame(encodings, special_frame(tokenizer), max_length, truncation)


def _plain_backend(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend


def _frame(
    encodings: list[Encoding], frame: tuple[list[int], list[int]], max_length: int, truncation: Truncation | None
) -> tuple[list[list[int]], list[int], list[int]]:
    """What `encode` returns, from the encodings of the texts without special tokens."""
    before, after = frame
    room = max_length - len(before) - len(after)
    results: list[list[int]] = []
    origins: list[int] = []
    lengths: list[int] = []
    for number, encoding in enumerate(encodings):
        ids = encoding.ids
        lengths.append(len(ids))
        if truncation is None:
            pieces = [ids] if 0 < len(ids) <= room else [ids[i : i + room] for i in range(0, len(ids), room)]
        else:
            pieces = [truncate_ids(ids, room, truncation)]
        for piece in pieces:
            results.append(before + piece + after)
            origins.append(number)
    return results, origins, lengths


def _encoded_ahead(split: Dataset, backend: Tokenizer) -> Iterator[tuple[dict[str, list[Any]], list[Encoding]]]:
    """Batches of a split with their encodings; the next one is tokenized while the caller works on this one.

    The tokenizer's own threads do not hold Python's lock, so the two overlap, with two batches in memory.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[dict[str, list[Any]], Future[list[Encoding]]] | None = None
        for batch in split.iter(BATCH_ROWS):
            future = pool.submit(backend.encode_batch_fast, batch["text"], add_special_tokens=False)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = batch, future
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def write_tokens(
    split: Dataset,
    path: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    truncation: Truncation | None,
) -> dict[str, int]:
    """Tokenize a split as `encode` does: an Arrow stream of `input_ids`, lists of int32, the others int64.

    Args:
        split: A column `text`, and whole numbers: `hash` and, for labelled data, `label`.

    Returns:
        Counts: `texts`, `rows`, `characters`, `tokens` (before truncation, without specials), `cut` (texts
        truncated), `without_tokens` (texts of which the tokenizer leaves nothing).
    """
    counts = dict.fromkeys(("texts", "rows", "characters", "tokens", "cut", "without_tokens"), 0)
    from datasets.utils import tqdm

    others = [name for name in split.column_names if name != "text"]
    backend, frame = _plain_backend(tokenizer), special_frame(tokenizer)
    room = max_length - sum(map(len, frame))
    # disable=None: on a terminal only
    bar = tqdm(total=len(split), desc=f"Tokenizing {path.stem}", unit=" texts", disable=None)
    with write_token_ids(path, others) as write, bar:
        for batch, encodings in _encoded_ahead(split, backend):
            texts = batch["text"]
            ids, origins, lengths = _frame(encodings, frame, max_length, truncation)
            write(ids, {name: [batch[name][origin] for origin in origins] for name in others})
            counts["texts"] += len(texts)
            counts["rows"] += len(ids)
            counts["characters"] += sum(map(len, texts))
            counts["tokens"] += sum(lengths)
            counts["cut"] += 0 if truncation is None else sum(length > room for length in lengths)
            counts["without_tokens"] += lengths.count(0)
            bar.update(len(texts))
    return counts


class TextColumn:
    """A split's texts, readable more than once and never all in memory."""

    def __init__(self, split: Dataset) -> None:
        self.split = split

    def __iter__(self) -> Iterator[str]:
        for batch in self.split.select_columns("text").iter(batch_size=1000):
            yield from batch["text"]


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
    """Switch the progress bars of `datasets` off for a while."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    enabled = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            enable_progress_bar()
