"""The embedded demos as sources: reviews or pairs with labels, tagged sentences, and Esperanto."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

from lightning_nlp.data.settings import LabelForm
from lightning_nlp.data.texts.sources import CLASSES, Row, Source, Splits
from lightning_nlp.errors import UserError

DEMOS = {  # the module and function of each, a name for it, and the numbers of rows in train and test
    None: ("demo_esperanto", "demo_esperanto", "Esperanto", 20_000, 0),
    "classes": ("demo", "demo_reviews", "reviews", 10_000, 2_000),
    "labels": ("demo", "demo_labels", "reviews", 10_000, 2_000),
    "number": ("demo", "demo_ratings", "reviews", 10_000, 2_000),
    "pairs": ("demo_sentences", "demo_pairs", "pairs", 10_000, 2_000),
    "tags": ("demo_sentences", "demo_tags", "sentences with names", 6_000, 1_000),
}


def demo_source(form: LabelForm | None = None, group_column: str | None = None, *, paired: bool = False) -> Source:
    """The demo with labels of this form; without a form, the unlabelled sentences."""
    if group_column is not None:
        raise UserError(f"The demo has no columns, so there is no {group_column!r}: leave out --data.group_column.")
    if form:
        form = replace(form, problem="classes" if form.problem == "auto" else form.problem)
        if paired and form.problem != "classes":
            raise UserError(f"The demo's pairs have classes: leave out --data.problem {form.problem}.")
    module, function, what, *sizes = DEMOS["pairs" if paired else form.problem if form else None]
    parts = {split: (size, seed) for split, size, seed in zip(("train", "test"), sizes, (0, 1), strict=True) if size}

    def read(split: str) -> Iterator[Row]:
        from lightning_nlp.data.texts.targets import read_label

        generate = getattr(import_module(f"lightning_nlp.data.texts.{module}"), function)
        for index, row in enumerate(generate(*parts[split])):
            text, label = row if form else (row, None)
            where = f"demo, {split}, row {index} (from 0)"
            yield Row(text, read_label(form, label, where) if form else None, where)

    # as `hash_files` does, without importing the generator: a filled token cache needs no row of it
    options = {"sizes": list(parts.items()), **(form.for_cache() if form else {})}
    code = hashlib.sha256(Path(__file__).with_name(f"{module}.py").read_bytes()).digest()
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode() + b"\ndemo .py .py " + code)
    splits: Splits = {split: partial(read, split) for split in parts}
    description, labelled = f"demo (generated {what})", form is not None
    return Source(description, digest.hexdigest(), splits, labelled, form=form or CLASSES, paired=paired)
