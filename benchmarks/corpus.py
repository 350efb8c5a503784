"""What all contenders start from, written once: the same texts, the same initial weights, the same held-out masks.

texts/{train,validation,test}.jsonl   cleaned, without repeats, shuffled
model/                                initial weights, configuration and tokenizer, as save_pretrained writes them
heldout.jsonl                         validation examples as token ids, for mlm masked once and for all
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

TEST_TEXTS = 64  # `train.py fit` wants a test split; no contender reads it


def prepare(args: argparse.Namespace, output: Path) -> dict[str, Any]:
    """Write the folder; returns counts and sizes.

    Args:
        args: The command line of `vs_trainer.py`.
        output: The folder.
    """
    rows = read_rows(args.task, args.path, args.texts or None, args.heldout, args.seed)
    heldout, test = args.heldout, min(TEST_TEXTS, args.heldout)
    splits = {
        "validation": rows[:heldout],
        "test": rows[heldout : heldout + test],
        "train": rows[heldout + test :][: args.texts or None],
    }
    assert splits["train"], f"{len(rows)} texts are too few for {heldout} held-out ones"
    folder = output / "texts"
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in splits.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    # The vocabulary is that of all the texts, whatever the number to train on: the head has its full size.
    vocabulary_texts = [row["text"] for row in rows[heldout + test :]]
    tokenizer, network = initial_model(args, vocabulary_texts)
    if args.task == "cls":  # the package begins a head for other labels anew
        names = sorted({str(row["label"]) for row in rows})
        network.config.id2label = dict(enumerate(names))
        network.config.label2id = {name: label for label, name in enumerate(names)}
    tokenizer.save_pretrained(output / "model")
    network.save_pretrained(output / "model")
    heldout_rows(output / "heldout.jsonl", args.task, splits["validation"], tokenizer, args.max_length, args.seed)
    lengths = [len(ids) for ids in encode_head([row["text"] for row in splits["train"]], tokenizer, args.max_length)]
    return {
        "texts": len(splits["train"]),
        "heldout": len(splits["validation"]),
        "tokens": sum(lengths),  # special tokens included, as everywhere in the benchmark
        "mean_length": sum(lengths) / len(lengths),
        "longest": max(lengths),
        "vocab_size": len(tokenizer),
        "model": f"{network.config.model_type}, {sum(p.numel() for p in network.parameters()) / 1e6:.1f}M parameters",
    }


def read_rows(task: str, path: str | None, texts: int | None, heldout: int, seed: int) -> list[dict[str, Any]]:
    """Texts, cleaned and without repeats, in random order.

    They are cleaned here, so that a difference in cleaning cannot become one in speed or accuracy. Without a path they
    are the demo's, as many as are wanted.
    """
    from lightning_nlp.data.texts.normalize import clean_text

    seen: dict[str, Any] = {}
    for text, label in raw_rows(task, path, (texts or 2000) + heldout + TEST_TEXTS):
        text = clean_text(text)
        if text and text not in seen:
            seen[text] = label
    rows = [{"text": text} if task == "mlm" else {"text": text, "label": label} for text, label in seen.items()]
    random.Random(seed).shuffle(rows)
    return rows


def raw_rows(task: str, path: str | None, wanted: int) -> Iterator[tuple[str, Any]]:
    """(text, label) pairs of the training split, or of the embedded demo."""
    from lightning_nlp.data.texts.demo import demo_reviews
    from lightning_nlp.data.texts.demo_esperanto import demo_esperanto
    from lightning_nlp.data.texts.sources import labelled_source, text_source

    if path is None and task == "cls":
        yield from demo_reviews(wanted)
    elif path is None:
        yield from ((text, None) for text in islice(demo_esperanto(2 * wanted), 2 * wanted))  # some repeat
    elif task == "cls":
        yield from ((row.text, row.label) for row in labelled_source(path).splits["train"]())
    else:
        source = text_source(path, cache_dir=Path("~/.cache/lightning_nlp").expanduser())
        yield from ((row.text, None) for row in source.splits["train"]())


def initial_model(args: argparse.Namespace, texts: list[str]) -> tuple[Any, Any]:
    """The tokenizer and the initial weights, the head's included, from a checkpoint or from scratch."""
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer, DistilBertConfig

    from lightning_nlp.data.tokens.tokenizer import train_wordpiece

    torch.manual_seed(args.seed)
    auto_class = AutoModelForMaskedLM if args.task == "mlm" else AutoModelForSequenceClassification
    if args.model is not None:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        tokenizer.model_max_length = args.max_length
        heads = {} if args.task == "mlm" else {"num_labels": 2}
        return tokenizer, auto_class.from_pretrained(args.model, dtype=torch.float32, **heads)
    layers, dim, vocab_size = (2, 64, 2000) if args.quick else (6, 768, 50_000)
    tokenizer = train_wordpiece(texts, vocab_size=vocab_size, max_length=args.max_length)
    config = DistilBertConfig(
        n_layers=layers,
        n_heads=dim // 64,
        dim=dim,
        hidden_dim=4 * dim,
        max_position_embeddings=args.max_length,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer, auto_class.from_config(config, dtype=torch.float32)


def encode_head(texts: list[str], tokenizer: Any, max_length: int) -> list[list[int]]:
    """Token ids with special tokens, cut at `max_length`."""
    return tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]


def heldout_rows(path: Path, task: str, rows: list[dict[str, Any]], tokenizer: Any, max_length: int, seed: int) -> None:
    """Write validation examples: `input_ids`, `labels`, and for "cls" the `text`, since truncation may differ."""
    from lightning_nlp.data.batches.masking import mask_tokens

    generator = torch.Generator().manual_seed(seed)
    special = torch.tensor(sorted(tokenizer.all_special_ids))
    vocabulary = torch.arange(len(tokenizer))
    names = sorted({str(row["label"]) for row in rows}) if task == "cls" else []
    with path.open("w", encoding="utf-8") as file:
        for row, ids in zip(rows, encode_head([row["text"] for row in rows], tokenizer, max_length), strict=True):
            if task == "cls":
                record = {"input_ids": ids, "labels": names.index(str(row["label"])), "text": row["text"]}
            else:
                masked, labels = mask_tokens(
                    torch.tensor(ids),
                    torch.rand(3, len(ids), generator=generator),
                    special_ids=special,
                    word_ids=vocabulary[~torch.isin(vocabulary, special)],
                    mask_token_id=tokenizer.mask_token_id,
                )
                record = {"input_ids": masked.tolist(), "labels": labels.tolist()}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
