"""Texts become token ids once: an Arrow file for each split, in a folder that all runs on the same data share."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightning_nlp.data.cache import cached_folder
from lightning_nlp.data.texts.arrow import write_token_ids
from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.texts.splits import build_splits
from lightning_nlp.data.texts.targets import label_counts
from lightning_nlp.data.tokens.encoding import Truncation, frame_of, framed_pieces, parts_of, plain_backend
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.tokens.tokenizer import train_tokenizer
from lightning_nlp.errors import UserError
from lightning_nlp.hub.pretrained import tokenizer_hash

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

BATCH_ROWS = 1000  # texts tokenized at a time: many for each core, and few enough to stay in the CPU's caches
MOST_UNKNOWN = 0.4  # of the words of train: with more, a model learns how often a word is unknown
TOKEN_FORMAT = 5  # raise it when the content of the folders changes: only their own runs then use the old ones


@dataclasses.dataclass(frozen=True)
class Cleaning:
    """What is cleaned, dropped and held out: arguments of `build_splits`."""

    clean: bool = True
    deduplicate: bool = True
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    max_train_samples: int | None = None
    max_val_samples: int | None = None
    max_test_samples: int | None = None
    split_seed: int = 42


@dataclasses.dataclass(frozen=True)
class TokenizerTraining:
    """How a tokenizer is trained: by `train_wordpiece` or `train_bpe`, and with which of their arguments."""

    tokenizer_model: Literal["wordpiece", "bpe"] = "wordpiece"
    vocab_size: int = 30_000
    min_frequency: int = 2
    limit_alphabet: int | None = None
    lowercase: bool = True


def prepare_tokens(
    source: Source,
    cache_dir: Path,
    *,
    cleaning: Cleaning,
    tokenizer: PreTrainedTokenizerFast | None,
    training: TokenizerTraining,
    max_length: int,
    truncation: Truncation | None,
    own: Path | None = None,
) -> Path:
    """The folder of a source's token ids, made now or found in the cache.

    It holds `train.arrow`, `validation.arrow`, `test.arrow`, `tokenizer/` and `facts.json`.

    Args:
        tokenizer: None trains one on the training texts, with `training`.
        max_length: The most tokens of an example, special tokens included.
        truncation: How long texts are cut; None splits them.
        own: The folder that a run began with, as for `cached_folder`.
    """
    key = {
        "format": TOKEN_FORMAT,
        "source": source.fingerprint,
        "cleaning": dataclasses.asdict(cleaning),
        "tokenizer": {"trained": dataclasses.asdict(training)} if tokenizer is None else tokenizer_hash(tokenizer),
        # the hash leaves these out
        "special_tokens": None if tokenizer is None else {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
        "max_length": max_length,
        "truncation": truncation,
    }

    def build(folder: Path) -> None:
        work_dir = folder / "texts"
        with quiet_datasets():
            splits, label_names, counts = build_splits(source, work_dir=work_dir, **dataclasses.asdict(cleaning))
        options = dataclasses.asdict(training) | {"max_length": max_length}
        used = tokenizer or train_tokenizer(TextColumn(splits["train"], source.paired), **options)
        used.save_pretrained(folder / "tokenizer")
        facts: dict[str, Any] = {"source": source.description, "label_names": label_names, "cleaning": counts.lines()}
        write: Any = partial(write_tokens, paired=source.paired)
        if source.tagged:
            from lightning_nlp.data.tokens.tagging import tag_notes, write_tagged

            write = write_tagged
        facts |= {"fingerprint": source.fingerprint, "counts": dataclasses.asdict(counts)}
        for name in SPLITS:
            path = folder / f"{name}.arrow"
            facts[name] = write(splits[name], path, used, max_length=max_length, truncation=truncation)
            if source.labelled:
                facts[name] |= label_counts(splits[name]["label"], label_names)
        if source.form.problem in ("labels", "number"):
            facts["problem"] = source.form.problem
        facts["cleaning"] += tag_notes(facts, SPLITS) if source.tagged else []
        facts["cleaning"] += count_ids(used, folder, facts, given=tokenizer is not None, paired=source.paired)
        (folder / "facts.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        splits.clear()  # unmap the files before their folder goes
        shutil.rmtree(work_dir, ignore_errors=True)

    return cached_folder(cache_dir, key, build, own)


def count_ids(tokenizer: Any, folder: Path, facts: dict[str, Any], *, given: bool, paired: bool = False) -> list[str]:
    """Add to `facts` how much of the vocabulary a folder's ids use; return lines about what is odd.

    Raises:
        UserError: If the tokenizer, given or trained on them, knows too few words of train.
    """
    unknown, lines = tokenizer.unk_token_id, list[str]()
    special = sorted({*tokenizer.all_special_ids} - {unknown})
    framing = Counter(chain(*frame_of(tokenizer, paired)[:3]))
    total = np.zeros(len(tokenizer), dtype=np.int64)
    for split in SPLITS:
        found, counts = TokenRows(folder / f"{split}.arrow").id_counts(len(tokenizer)), facts[split]
        within = {token: int(found[token]) - counts["rows"] * framing[token] for token in special}
        found[special] = 0  # only words are left
        total += found
        rate = counts["unknown_rate"] = _unknown_rate(found, unknown)
        if split == "train":
            facts["tokenizer"] = {"used": int(np.count_nonzero(found))}
            if rate is not None and rate > MOST_UNKNOWN:
                cure = "give another --data.tokenizer, or null to train one on them"
                trained = "give more of them, a larger --data.vocab_size, or a larger --data.limit_alphabet"
                raise UserError(
                    f"{rate:.0%} of the words of train are unknown to the tokenizer, more than {MOST_UNKNOWN:.0%}: it "
                    f"cannot read these texts; {cure if given else trained}."
                )
        if number := counts["without_tokens"]:
            lines.append(f"{split}: the tokenizer leaves nothing of {number:,} texts")
        if names := [f"{tokenizer.convert_ids_to_tokens(t)} {number:,}" for t, number in within.items() if number > 0]:
            lines.append(f"{split}: special tokens occur in the texts themselves, and act as such: {', '.join(names)}")
    facts["tokenizer"]["unknown_rate"] = _unknown_rate(total, unknown)
    return lines


def _unknown_rate(words: np.ndarray, unknown: int | None) -> float | None:
    return None if unknown is None else round(int(words[unknown]) / max(int(words.sum()), 1), 6)


def _encoded_ahead(
    split: Dataset, backend: Tokenizer, paired: bool
) -> Iterator[tuple[dict[str, list[Any]], list[Encoding]]]:
    """Batches of a split with their encodings; the next one is tokenized meanwhile, without Python's lock."""
    texts_of = parts_of if paired else list
    with ThreadPoolExecutor(1) as pool:
        batches = (
            (batch, pool.submit(backend.encode_batch_fast, texts_of(batch["text"]), add_special_tokens=False))
            for batch in split.iter(BATCH_ROWS)
        )
        waiting = next(batches, None)
        while waiting:
            (batch, encodings), waiting = waiting, next(batches, None)
            yield batch, encodings.result()


def write_tokens(
    split: Dataset,
    path: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    truncation: Truncation | None,
    paired: bool = False,
) -> dict[str, int]:
    """Tokenize a split as `encode` does: its `text` becomes `input_ids` in an Arrow stream, other columns are kept.

    Of pairs there is also `second`, as in `encode`.

    Returns:
        Counts: `texts`, `rows`, `characters`, `tokens` (before truncation, without specials), `cut` (texts truncated),
        `without_tokens` (texts of which the tokenizer leaves nothing).
    """
    import pyarrow as pa
    from datasets.utils import tqdm

    counts: Counter[str] = Counter()
    others = [name for name in split.column_names if name != "text"]
    backend, frame = plain_backend(tokenizer), frame_of(tokenizer, paired)
    room = max_length - sum(map(len, frame[:3]))
    # disable=None: on a terminal only
    bar = tqdm(total=len(split), desc=f"Tokenizing {path.stem}", unit=" texts", disable=None)
    fields = [*map(split.features.arrow_schema.field, others), *([pa.field("second", pa.int32())] if paired else ())]
    with write_token_ids(path, fields) as write, bar:
        for batch, encodings in _encoded_ahead(split, backend, paired):
            texts = batch["text"]
            ids, origins, lengths = framed_pieces(encodings, frame, max_length, truncation)
            if paired:
                write(ids, {**batch, "second": origins})
            else:
                write(ids, {name: [batch[name][origin] for origin in origins] for name in others})
            counts.update(
                texts=len(texts),
                rows=len(ids),
                characters=sum(map(len, texts)),
                tokens=sum(lengths),
                cut=0 if truncation is None else sum(length > room for length in lengths),
                without_tokens=lengths.count(0),
            )
            bar.update(len(texts))
    return dict(counts)


class TextColumn:
    """A split's texts, readable more than once and never all in memory."""

    def __init__(self, split: Dataset, paired: bool = False) -> None:
        self.split, self.paired = split, paired

    def __iter__(self) -> Iterator[str]:
        for batch in self.split.select_columns("text").iter(BATCH_ROWS):
            yield from parts_of(batch["text"]) if self.paired else batch["text"]


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
    """Switch the progress bars of `datasets` off meanwhile."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    enabled = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            enable_progress_bar()
