"""Data sets from the Hub and from `save_to_disk`, with one-line errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from lightning_nlp.data.settings import LabelForm
from lightning_nlp.data.texts.columns import as_label, as_row, check_columns
from lightning_nlp.data.texts.file_source import ReadLabel, make_source
from lightning_nlp.data.texts.files import describe, is_saved, local_path
from lightning_nlp.data.texts.layout import name_splits
from lightning_nlp.data.texts.lines import unreadable
from lightning_nlp.data.texts.readers import BATCH_ROWS, class_labels, class_named
from lightning_nlp.data.texts.sources import Row, Source
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.hub.client import be_patient

T = TypeVar("T")


def datasets_source(
    path: str, columns: dict[str, str], form: LabelForm | None = None, read_row: Any = as_row, **settings: Any
) -> Source:
    """A source that `datasets` loads, from the Hub or from a folder that it saved."""
    from datasets import ClassLabel, load_dataset

    loaded = _load_saved(path) if is_saved(path) else from_hub(path, load_dataset)
    name, parts = describe(path, None), name_splits(loaded)
    train = parts.splits.get("train", [])
    if not train:
        raise UserError(f"The data set {name} has no split train, only {', '.join(loaded)}: give another --data.path.")
    for part in train:
        check_columns(columns, loaded[part].column_names, f"{name}, {part}")
    key: list[Any] = [columns, settings.get("drop_incomplete", False), form and form.missing]
    feature = loaded[train[0]].features[columns["label"]] if "label" in columns else None
    feature = getattr(feature, "feature", feature)  # of a list's members
    classes: dict[Any, str | None] = {}
    if form and isinstance(feature, ClassLabel):
        classes, form = class_labels(feature.names), replace(form, missing=())
        settings["label_names"] = tuple(str(as_label(label, f"{name}, its features")) for label in feature.names)

    def read(part: str, read_label: ReadLabel) -> Iterator[Row]:
        check_columns(columns, loaded[part].column_names, f"{name}, {part}")
        batches = loaded[part].select_columns([*{*columns.values()}]).iter(BATCH_ROWS)
        rows = chain.from_iterable(zip(*map(batch.get, columns.values()), strict=True) for batch in batches)
        for index, row in enumerate(rows):
            cells = [class_named(c, classes) if kind == "label" else c for kind, c in zip(columns, row, strict=True)]
            yield read_row(columns, cells, f"{name}, {part}, row {index} (from 0)", read_label)

    def fingerprint(used: list[tuple[str, str]], form_key: dict[str, Any]) -> str:
        content = {part: loaded[part]._fingerprint for _, part in used}
        return hashlib.sha256(json.dumps([*key, content, *([form_key] if form_key else ())]).encode()).hexdigest()

    return make_source(name, parts, read, fingerprint, form, **settings)


def _load_saved(path: str) -> dict[str, Any]:
    """Open a folder that `save_to_disk` wrote; a single data set is train."""
    from datasets import Dataset, load_from_disk

    try:
        loaded = load_from_disk(local_path(path))
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(path, error) from error
    splits = {"train": loaded} if isinstance(loaded, Dataset) else loaded
    return {split: part.with_format(None) for split, part in splits.items()}


def from_hub(name: str, get: Callable[[str], T]) -> T:
    """Call `get` with a data set's id, with retries; any failure of the Hub raises a UserError."""
    import httpx2
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import constants

    be_patient()
    try:
        return get(name)
    except DatasetNotFoundError as error:
        raise UserError(
            f"{name!r} is neither a local file or folder nor a public data set on {constants.ENDPOINT}: correct "
            "--data.path, or log in with `hf auth login` if it is private."
        ) from error
    except (OSError, httpx2.HTTPError, DatasetsError) as error:
        raise UserError(
            f"Could not fetch the data set {name!r} from {constants.ENDPOINT} ({type(error).__name__}: "
            f"{one_line(error)[:200]}): check the network, or give a local file or folder with --data.path."
        ) from error
    except (ValueError, RuntimeError) as error:  # several configurations, or a loading script
        raise UserError(
            f"The data set {name!r} cannot be loaded by its id alone ({type(error).__name__}: "
            f"{one_line(error)[:200]}): save it to files and give them with --data.path."
        ) from error
