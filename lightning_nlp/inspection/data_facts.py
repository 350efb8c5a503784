"""The short form, from the token cache alone: what a training is about to see, in `data.json`, and what is odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.inspection.verdict import token_findings

BINS = 25  # of a histogram of lengths, at most
WIDTHS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500)  # a bin's tokens, that its edges be round numbers


class DataFacts(Callback):
    """Writes `data.json` into the run's directory before the first step, and prints its warnings."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The data module has opened its token ids."""
        datamodule: Any = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not hasattr(datamodule, "token_rows"):  # a data module of the user's own
            return
        facts = token_facts(datamodule)
        for finding in facts["warnings"]:
            if finding["severity"] != "note":
                warn_user(f"{finding['severity']}: {finding['text']}")
        try:
            write_whole(self.run_dir / "data.json", as_json(facts))
        except OSError as error:
            raise UserError(
                f"{self.run_dir / 'data.json'} cannot be written ({error.strerror}): free some space, or give another "
                "--runs_dir."
            ) from error


def token_facts(datamodule: Any) -> dict[str, Any]:
    """What the token cache says about the data; no text is read.

    Args:
        datamodule: A `TextDataModule` after `setup`.

    Returns:
        `source`, `fingerprint` (of texts, cleaning and tokenizer), `label_names`, `cleaning` (a line a
        split);
        `splits`: for each its counts, the share of unknown tokens, and the number of its rows whose token ids
        stand in train; `lengths`: edges and counts of a histogram of tokens, as the model gets them: cut,
        with special tokens;
        `tokenizer`: `vocab_size`, `used` (different tokens in train), `unknown_rate` (null without an unknown
        token), `chars_per_token` (of train), `lowercase`; `warnings`; `streamed`, where train is a sample of
        a stream.
    """
    cache, tokenizer = datamodule.facts, datamodule.tokenizer
    rows = datamodule.token_rows
    counts = {split: rows[split].id_counts(len(tokenizer)) for split in rows}
    # unknown tokens stand for words, the other special ones for nothing in the text
    words = np.setdiff1d(
        np.arange(len(tokenizer)), [number for number in tokenizer.all_special_ids if number != tokenizer.unk_token_id]
    )
    unknown = {split: _share(count, words, tokenizer.unk_token_id) for split, count in counts.items()}
    in_train = set(rows["train"].digests())
    copies = {split: sum(digest in in_train for digest in rows[split].digests()) for split in rows if split != "train"}
    longest = max(int(rows[split].lengths.max()) for split in rows)
    width = next((width for width in WIDTHS if width * BINS > longest), -(-longest // BINS))
    edges = np.arange(0, longest + width + 1, width)
    facts = {
        "source": cache["source"],
        "fingerprint": datamodule.fingerprint,
        "label_names": cache["label_names"],
        "cleaning": cache["cleaning"],
        "splits": {
            split: {**cache[split], "unknown_rate": unknown[split], "copies_of_train": copies.get(split, 0)}
            for split in rows
        },
        "lengths": {"edges": edges.tolist()}
        | {split: np.histogram(rows[split].lengths, edges)[0].tolist() for split in rows},
        "tokenizer": {
            "vocab_size": len(tokenizer),
            "used": int(np.count_nonzero(counts["train"][words])),
            "unknown_rate": _share(sum(counts.values()), words, tokenizer.unk_token_id),
            "chars_per_token": round(datamodule.chars_per_token["train"], 6),
            "lowercase": tokenizer.tokenize("ABC") == tokenizer.tokenize("abc"),
        },
    }
    if cache.get("streamed"):
        facts["streamed"] = True  # and train is a sample
    facts["warnings"] = list(token_findings(facts, max_length=datamodule.max_length, counts=cache["counts"]))
    return facts


def as_json(content: Any) -> str:
    """A file's content: readable, in UTF-8."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _share(counts: np.ndarray, words: np.ndarray, unknown: int | None) -> float | None:
    return None if unknown is None else round(int(counts[unknown]) / max(int(counts[words].sum()), 1), 6)
