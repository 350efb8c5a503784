"""The embedded demos as sources: reviews or pairs with labels, tagged sentences, and Esperanto."""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning_nlp.data.texts.columns import Row
from lightning_nlp.data.texts.files import hash_files
from lightning_nlp.data.texts.layout import Files
from lightning_nlp.data.texts.sources import ReadLabel, Source, make_source
from lightning_nlp.data.texts.targets import LabelForm
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
    generate = getattr(import_module(f"lightning_nlp.data.texts.{module}"), function)
    seeds = {"train": [(sizes[0], 0)], "test": [(sizes[1], 1)]}

    def read(part: tuple[int, int], read_label: ReadLabel) -> Iterator[Row]:
        for index, row in enumerate(generate(*part)):
            text, label = row if form else (row, None)
            where = f"demo, {'test' if part[1] else 'train'}, row {index} (from 0)"
            yield Row(text, read_label(label, where) if form else None, where)

    def fingerprint(used: Any, form_key: dict[str, Any]) -> str:
        return hash_files([("demo", Path(inspect.getfile(generate)))], {"sizes": used, **form_key})

    parts = Files({split: part for split, part in seeds.items() if part[0][0]}, {}, {})
    return make_source(f"demo (generated {what})", parts, read, fingerprint, form, paired=paired)
