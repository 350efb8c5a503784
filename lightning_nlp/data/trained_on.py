"""What a checkpoint was trained on: recorded in it, and compared with later data."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_nlp.data.settings import SPLITS
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.privacy import paths_with_tilde

Record = dict[str, Any]  # returned by a data module's `record`

MEASURED = {"fit": ("validation", "test"), "validate": ("validation",), "test": ("test",)}
NEW_RUN = "begin a new run, from its weights if you like (--model.pretrained RUN/export)"


def own_cache(then: Record, settings: dict[str, Any], cache_dir: Path) -> Path | None:
    """The token cache that a checkpoint was trained on, if the settings are still the same."""
    if not re.fullmatch(r"[0-9a-f]{20}", str(then["folder"])):  # a stranger's may name any folder
        return None
    streamed = settings.get("streaming", False)
    # if shards have changed, a training may read held-out texts, unless `deduplicate` hides their copies
    unsafe = streamed != bool(then.get("streamed")) or (streamed and not settings["deduplicate"])
    return None if unsafe or _other_settings(then, settings) else cache_dir / then["folder"]


def check_record(then: Record | None, now: Record, stage: str | None) -> None:
    """Refuse data that a checkpoint must not be used with, and warn if they are not its own.

    A training resumes only with the same texts in the same order, since its position and schedule depend on them.
    Nothing is evaluated on texts that it was trained on, nor tested on texts by which the checkpoint was chosen.

    Args:
        then: What the checkpoint was trained on; None if it has no record.
        stage: "fit", "validate" or "test"; other stages measure nothing.

    Raises:
        UserError: If they do not match; the message says what has changed.
    """
    if stage not in MEASURED or (then is not None and then["folder"] == now["folder"]):
        return
    if then is None:
        raise UserError(
            f"The checkpoint has no record of the data that it was trained on (as in version 0.1.0): {NEW_RUN}."
        )
    if not (changed := changes(then, now)):  # the same texts, prepared by another version of this program
        return
    what = f"{now['source']} is not what the checkpoint was trained on ({changed})"
    if then["label_names"] != now["label_names"] or then.get("problem") != now.get("problem"):
        raise UserError(f"{what}: give data with its labels, or {NEW_RUN}.")
    pairs, pairs_now = (isinstance(record["settings"].get("text_column"), list) for record in (then, now))
    if pairs != pairs_now:
        raise UserError(f"{what}: it reads {'pairs of' if pairs else 'single'} texts, give those, or {NEW_RUN}.")
    texts = then["texts"]["train"]
    if stage == "fit" and not all(torch.equal(texts[name], new) for name, new in now["texts"]["train"].items()):
        raise UserError(f"{what}, and a training resumes only with its own texts: give those, or {NEW_RUN}.")
    for split in MEASURED[stage]:
        new = np.setdiff1d(_column(now, split), _column(then, split))
        trained_texts, were = _column(then, "train", "validation" if split == "test" else "train"), "were"
        if then["streamed"]:  # the record contains only a sample of the training texts
            trained_texts, were = new, "may have been"
        if number := np.isin(new, trained_texts).sum():
            raise UserError(
                f"{what}: {number:,} of the {len(_column(now, split)):,} {split} texts {were} used in its training, so "
                "they measure nothing; remove them, or give the --data settings in its run's config.yaml."
            )
    warn_user(f"{what}; it was not trained on any {' or '.join(MEASURED[stage])} text.")


def changes(then: Record, now: Record) -> str:
    """What has changed between two records, in one line; empty if nothing has."""
    before, after = _column(then, *SPLITS), _column(now, *SPLITS)
    lines = _other_settings(then, now["settings"])
    lines += _texts(len(np.setdiff1d(after, before)), "added") + _texts(len(np.setdiff1d(before, after)), "removed")
    if then.get("problem") != now.get("problem"):
        lines.append("another --data.problem")
    elif then["label_names"] != now["label_names"]:
        old, new = (", ".join(map(repr, record["label_names"] or ())) for record in (then, now))
        lines.append(f"the labels were {old} and are {new}")
    else:
        name = next((name for name in ("tags", "label") if name in now["texts"]["train"]), "hash")
        _, here, there = np.intersect1d(before, after, return_indices=True)
        other = _column(then, *SPLITS, name=name)[here] != _column(now, *SPLITS, name=name)[there]
        lines += _texts(int(other.sum()), "with another label")
    earlier, later = _column(then, "train"), _column(now, "train")
    if not np.array_equal(earlier, later) and np.array_equal(np.sort(earlier), np.sort(later)):
        lines.append("texts in another order")
    return ", ".join(lines)


def _other_settings(then: Record, settings: dict[str, Any]) -> list[str]:
    earlier, settings = then["settings"], paths_with_tilde(settings)
    # the version that wrote the other record may not know a setting
    names = [name for name in settings if name in earlier and earlier[name] != settings[name]]
    return [f"--data.{name} was {earlier[name]!r} and is {settings[name]!r}" for name in names]


def _texts(number: int, what: str) -> list[str]:
    return [f"{number:,} text{'' if number == 1 else 's'} {what}"] if number else []


def _column(record: Record, *splits: str, name: str = "hash") -> np.ndarray:
    return np.concatenate([record["texts"][split][name].numpy() for split in splits])
