"""Facts about the data from the token cache, written as `data.json`, and warnings about them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Trainer

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.inspection.verdict import token_findings

BINS = 25  # in a histogram of lengths, at most
WIDTHS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500)  # of a bin, so that its edges are round numbers


def write_data_facts(trainer: Trainer, run_dir: Path) -> None:
    """Write `data.json` into the run's directory once the data module has opened its tokens; print its warnings."""
    datamodule: Any = getattr(trainer, "datamodule", None)
    if not trainer.is_global_zero or not hasattr(datamodule, "token_rows"):  # a user's own data module
        return
    facts = token_facts(datamodule)
    for finding in facts["warnings"]:
        if finding["severity"] != "note":
            warn_user(f"{finding['severity']}: {finding['text']}")
    path = run_dir / "data.json"
    try:
        write_whole(path, as_json(facts))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): free some space, or give another --runs_dir."
        ) from error


def token_facts(datamodule: Any) -> dict[str, Any]:
    """Facts about the data from the token cache of a `TextDataModule` after `setup`; reads no text.

    Beyond the cache's `facts.json`: `copies_of_train`, the rows of a split whose token ids also occur in train;
    `lengths`, edges and counts of a histogram of tokens as the model gets them; `chars_per_token` of train;
    `warnings`; `streamed`, if train is a sample of a stream.
    """
    cache, tokenizer, rows = datamodule.facts, datamodule.tokenizer, datamodule.token_rows
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
        "splits": {split: {**cache[split], "copies_of_train": copies.get(split, 0)} for split in rows},
        "lengths": {"edges": edges.tolist()}
        | {split: np.histogram(rows[split].lengths, edges)[0].tolist() for split in rows},
        "tokenizer": {
            "vocab_size": len(tokenizer),
            **cache["tokenizer"],
            "chars_per_token": round(datamodule.chars_per_token["train"], 6),
            "lowercase": tokenizer.tokenize("ABC") == tokenizer.tokenize("abc"),
        },
    }
    facts |= {name: cache[name] for name in ("problem", "streamed") if cache.get(name)}
    how = {"max_length": datamodule.max_length, "truncation": datamodule.truncation}
    facts["warnings"] = list(token_findings(facts, cache["counts"], **how))
    return facts


def as_json(content: Any) -> str:
    """Readable JSON, in UTF-8."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
