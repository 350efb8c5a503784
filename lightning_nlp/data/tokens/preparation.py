"""Tokenizes texts into an Arrow file per split, in a folder that all runs on the same data share."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_nlp.data.settings import SPLITS, Cleaning, TokenizerTraining, Truncation
from lightning_nlp.data.texts.arrow import write_token_ids
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.texts.splits import build_splits
from lightning_nlp.data.texts.targets import label_counts
from lightning_nlp.data.tokens.encoding import frame_of, framed_pieces, parts_of, plain_backend
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.tokens.tagging import TokenizedBatch, tag_notes, tokenized_words
from lightning_nlp.data.tokens.tokenizer import train_tokenizer
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

BATCH_ROWS = 1000  # texts tokenized at a time: many for each core, and few enough to stay in the CPU's caches
MOST_UNKNOWN = 0.4  # of the words of train: above that a model mostly learns to predict [UNK]


def write_folder(
    folder: Path,
    source: Source,
    cleaning: Cleaning,
    tokenizer: PreTrainedTokenizerFast | None,
    training: TokenizerTraining,
    max_length: int,
    truncation: Truncation | None,
) -> None:
    """Write a source's `train.arrow`, `validation.arrow`, `test.arrow`, `tokenizer/` and `facts.json`.

    Args:
        tokenizer: None trains one on the training texts, with `training`.
        max_length: Maximum number of tokens in an example, special tokens included.
        truncation: How long texts are cut; None splits them.
    """
    work_dir = folder / "texts"
    splits, label_names, counts = build_splits(source, work_dir=work_dir, **asdict(cleaning))
    texts = TextColumn(splits["train"], source.paired)
    trained_or_given = tokenizer or train_tokenizer(texts, max_length=max_length, **asdict(training))
    trained_or_given.save_pretrained(folder / "tokenizer")
    facts: dict[str, Any] = {"source": source.description, "label_names": label_names, "cleaning": counts.lines()}
    facts |= {"fingerprint": source.fingerprint, "counts": asdict(counts)}
    for name in SPLITS:
        if source.tagged:
            batches = tokenized_words(splits[name].iter(BATCH_ROWS), trained_or_given, max_length)
        else:
            batches = tokenized_texts(splits[name], trained_or_given, max_length, truncation, paired=source.paired)
        facts[name] = write_tokens(splits[name], folder / f"{name}.arrow", batches, paired=source.paired)
        if source.labelled:
            facts[name] |= label_counts(splits[name]["label"], label_names)
    if source.form.problem in ("labels", "number"):
        facts["problem"] = source.form.problem
    facts["cleaning"] += tag_notes(facts, SPLITS) if source.tagged else []
    facts["cleaning"] += count_ids(trained_or_given, folder, facts, given=tokenizer is not None)
    (folder / "facts.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
    splits.clear()  # unmap the files before their folder goes
    shutil.rmtree(work_dir, ignore_errors=True)


def tokenized_texts(
    split: Dataset,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    truncation: Truncation | None,
    *,
    paired: bool = False,
) -> Iterator[TokenizedBatch]:
    """A split's texts, encoded by `encode`; the next batch is tokenized meanwhile, without the GIL.

    For pairs there is a column `second`, as in `encode`.
    """
    backend, frame = plain_backend(tokenizer), frame_of(tokenizer, paired)
    room = max_length - sum(map(len, frame[:3]))
    texts_of = parts_of if paired else list
    with ThreadPoolExecutor(1) as pool:
        encoded = (
            (batch, pool.submit(backend.encode_batch_fast, texts_of(batch["text"]), add_special_tokens=False))
            for batch in split.iter(BATCH_ROWS)
        )
        waiting = next(encoded, None)
        while waiting:
            (batch, encodings), waiting = waiting, next(encoded, None)
            ids, origins, lengths = framed_pieces(encodings.result(), frame, max_length, truncation)
            columns: dict[str, Any] = {**batch, "second": origins}
            if not paired:
                columns = {name: [cells[origin] for origin in origins] for name, cells in batch.items()}
            cut = 0 if truncation is None else sum(length > room for length in lengths)
            counts = {"tokens": sum(lengths), "cut": cut, "without_tokens": lengths.count(0)}
            yield TokenizedBatch(batch["text"], ids, columns, counts)


def write_tokens(
    split: Dataset, path: Path, batches: Iterator[TokenizedBatch], *, paired: bool = False
) -> dict[str, int]:
    """Write a split to an Arrow stream: `input_ids` instead of `text`, and its other columns.

    Returns:
        Counts: `texts`, `rows`, `characters`, and those of the batches: `tokens` (before truncation, without
        specials), `cut` (texts truncated), `without_tokens` (texts for which the tokenizer returns nothing).
    """
    import pyarrow as pa
    from datasets.utils import tqdm

    counts: Counter[str] = Counter()
    fields = [split.features.arrow_schema.field(name) for name in split.column_names if name != "text"]
    fields += [pa.field("second", pa.int32())] if paired else []
    # disable=None: on a terminal only
    bar = tqdm(total=len(split), desc=f"Tokenizing {path.stem}", unit=" texts", disable=None)
    with write_token_ids(path, fields) as write, bar:
        for texts, ids, columns, counted in batches:
            write(ids, columns)
            counts.update(counted, texts=len(texts), rows=len(ids), characters=sum(map(len, texts)))
            bar.update(len(texts))
    return dict(counts)


def count_ids(tokenizer: Any, folder: Path, facts: dict[str, Any], *, given: bool) -> list[str]:
    """Add to `facts` how much of the vocabulary a folder's ids use; return warnings, a line each.

    Raises:
        UserError: If the tokenizer, given or trained here, knows too few words of train.
    """
    unknown = tokenizer.unk_token_id
    special = sorted({*tokenizer.all_special_ids} - {unknown})
    total = np.zeros(len(tokenizer), dtype=np.int64)
    for split in SPLITS:
        counts = TokenRows(folder / f"{split}.arrow").id_counts(len(tokenizer))
        counts[special] = 0  # only words are left
        total += counts
        rate = facts[split]["unknown_rate"] = _unknown_rate(counts, unknown)
        if split == "train":
            facts["tokenizer"] = {"used": int(np.count_nonzero(counts))}
            if rate is not None and rate > MOST_UNKNOWN:
                cure = "give another --data.tokenizer, or null to train one on them"
                trained = "give more of them, --data.tokenizer_model bpe, or a larger --data.limit_alphabet"
                raise UserError(
                    f"{rate:.0%} of the words in train are unknown to the tokenizer, more than {MOST_UNKNOWN:.0%}: it "
                    f"cannot read these texts; {cure if given else trained}."
                )
    facts["tokenizer"]["unknown_rate"] = _unknown_rate(total, unknown)
    nothing = {split: facts[split]["without_tokens"] for split in SPLITS}
    lines = {split: f"{split}: the tokenizer returns no tokens for {n:,} text" for split, n in nothing.items() if n}
    return [line + "s" * (nothing[split] > 1) for split, line in lines.items()]


def _unknown_rate(words: np.ndarray, unknown: int | None) -> float | None:
    return None if unknown is None else round(int(words[unknown]) / max(int(words.sum()), 1), 6)


class TextColumn:
    """A split's texts, which can be iterated more than once and are never all in memory."""

    def __init__(self, split: Dataset, paired: bool = False) -> None:
        self.split, self.paired = split, paired

    def __iter__(self) -> Iterator[str]:
        for batch in self.split.select_columns("text").iter(BATCH_ROWS):
            yield from parts_of(batch["text"]) if self.paired else batch["text"]
