"""The embedded demos as sources: reviews or pairs with labels, tagged sentences, and Esperanto."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning_nlp.data.texts.columns import Row
from lightning_nlp.data.texts.files import hash_files
from lightning_nlp.data.texts.source import CLASSES, Source
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError

LABELLED = {"train": (10_000, 0), "test": (2_000, 1)}  # number and seed
TAGGED = {"train": (6_000, 0), "test": (1_000, 1)}
SENTENCES = {"train": (20_000, 0)}
OF_THEIR_OWN = ("demo_pairs", "demo_tags", "demo_esperanto")  # modules, of one demo each
BY_PROBLEM = {"classes": "demo_reviews", "labels": "demo_labels", "number": "demo_ratings", "tags": "demo_tags"}


def demo_source(form: LabelForm | None = None, group_column: str | None = None, *, paired: bool = False) -> Source:
    """The demo whose labels have this form, by default classes, or without one the unlabelled sentences."""
    if group_column is not None:
        raise UserError(f"The demo has no columns, so there is no {group_column!r}: leave out --data.group_column.")
    labelled, form = form is not None, form or CLASSES
    form = replace(form, problem="classes" if form.problem == "auto" else form.problem)
    if paired and form.problem != "classes":
        raise UserError(f"The demo's pairs have classes: leave out --data.problem {form.problem}.")
    name = "demo_pairs" if paired else BY_PROBLEM[form.problem] if labelled else "demo_esperanto"
    module = import_module(f"lightning_nlp.data.texts.{name if name in OF_THEIR_OWN else 'demo'}")
    generate: Callable[[int, int], Iterable[Any]] = getattr(module, name)
    sizes = SENTENCES if not labelled else TAGGED if form.problem == "tags" else LABELLED
    what = "Esperanto" if not labelled else "sentences with names" if form.problem == "tags" else "reviews"

    def read(split: str) -> Iterator[Row]:
        for index, row in enumerate(generate(*sizes[split])):
            text, label = row if labelled else (row, None)
            where = f"demo, {split}, row {index} (from 0)"
            yield Row(text, form.read(label, where), where)

    return Source(
        description=f"demo (generated {'pairs' if paired else what})",
        fingerprint=hash_files([("demo", Path(inspect.getfile(generate)))], {"sizes": sizes, **form.for_cache()}),
        splits={split: partial(read, split) for split in sizes},
        labelled=labelled,
        form=form,
        paired=paired,
    )
