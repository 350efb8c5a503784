"""What a checkpoint was trained on: kept in it, and held against the data that it meets later."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.privacy import paths_with_tilde

Record = dict[str, Any]  # what `record` of a data module gives

MEASURED = {"fit": ("validation", "test"), "validate": ("validation",), "test": ("test",)}
NEW_RUN = "begin a new run, from its weights if you like (--model.pretrained RUN/export)"


def own_cache(then: Record | None, settings: dict[str, Any], cache_dir: Path) -> Path | None:
    """The token cache that a checkpoint was trained on, if the settings are still the same."""
    if then is None or not re.fullmatch(r"[0-9a-f]{20}", str(then["folder"])):  # a stranger's may name any place
        return None
    streamed = settings.get("streaming", False)
    # in changed shards, held-out texts may be read in training; `deduplicate` hides their copies
    if streamed != bool(then.get("streamed")) or (streamed and not settings["deduplicate"]):
        return None
    return None if _other_settings(then, settings) else cache_dir / then["folder"]


def check_record(then: Record | None, now: Record, stage: str | None) -> None:
    """Refuse data that a checkpoint must not meet; say what has changed if they are not its own.

    A training goes on only with the same training texts in the same order, to which its position and schedule belong.
    Nothing is measured on texts that were trained on, and no test on texts that the checkpoint was chosen by.

    Args:
        then: What the checkpoint was trained on; None if it does not tell.
        stage: "fit", "validate" or "test"; others measure nothing.

    Raises:
        UserError: If they do not fit together; it says what has changed.
    """
    if stage not in MEASURED or (then is not None and then["folder"] == now["folder"]):
        return
    if then is None or then["texts"] is None or now["texts"] is None:
        raise UserError(
            "The checkpoint is from before checkpoints recorded their data, and the token cache that it was trained on "
            f"is not there any more, or the --data settings are not its run's: {NEW_RUN}."
        )
    if not (found := changes(then, now)):  # the same texts, prepared by another version of this program
        return
    what = f"{now['source']} is not what the checkpoint was trained on ({found})"
    if then["label_names"] != now["label_names"]:
        raise UserError(f"{what}: give the labels that it knows, or {NEW_RUN}.")
    if stage == "fit" and not _same_train(then, now):
        raise UserError(f"{what}, and a training goes on with its own texts alone: give those, or {NEW_RUN}.")
    for split in MEASURED[stage]:
        strangers = np.setdiff1d(_column(now, split), _column(then, split))
        used = _column(then, "train", "validation" if split == "test" else "train")
        # of a stream the record has only a sample
        number = len(strangers) if then["streamed"] else np.isin(strangers, used).sum()
        if number:
            raise UserError(
                f"{what}: {number:,} of the {len(_column(now, split)):,} {split} texts "
                f"{'may have been' if then['streamed'] else 'were'} used in its training, so they measure nothing; "
                "leave them out, or give the --data settings of its run, which are in its config.yaml."
            )
    warn_user(f"{what}; no {' or '.join(MEASURED[stage])} text was trained on.")


def changes(then: Record, now: Record) -> str:
    """What has changed between two records with texts, in one line; empty if nothing has."""
    before, after = _column(then, *SPLITS), _column(now, *SPLITS)
    found = _other_settings(then, now["settings"])
    for number, what in ((len(np.setdiff1d(after, before)), "added"), (len(np.setdiff1d(before, after)), "removed")):
        found += [f"{_texts(number)} {what}"] if number else []
    if then["label_names"] is not None and now["label_names"] is not None:
        found += _label_changes(then, now)
    earlier, later = _column(then, "train"), _column(now, "train")
    if not np.array_equal(earlier, later) and np.array_equal(np.sort(earlier), np.sort(later)):
        found.append("texts in another order")
    return ", ".join(found)


def _other_settings(then: Record, settings: dict[str, Any]) -> list[str]:
    earlier, settings = then["settings"], paths_with_tilde(settings)
    # a setting that only one of them has is unknown to the other's version
    names = [name for name in settings if name in earlier and earlier[name] != settings[name]]
    return [f"--data.{name} was {earlier[name]!r} and is {settings[name]!r}" for name in names]


def _label_changes(then: Record, now: Record) -> list[str]:
    """Classes renamed, as the texts in both show, removed and added; and how many texts have another label."""
    old, new = then["label_names"], now["label_names"]
    _, here, there = np.intersect1d(_column(then, *SPLITS), _column(now, *SPLITS), return_indices=True)
    before, after = _column(then, *SPLITS, name="label")[here], _column(now, *SPLITS, name="label")[there]
    became = {}
    for number, name in enumerate(old):
        found_as = np.bincount(after[before == number], minlength=len(new))
        likeliest = new[found_as.argmax()]
        renamed = found_as.any() and likeliest not in old
        became[name] = name if name in new else likeliest if renamed else None
    found = [f"label {name!r} renamed to {later!r}" for name, later in became.items() if later not in (name, None)]
    found += [f"label {name!r} removed" for name, later in became.items() if later is None]
    found += [f"label {name!r} added" for name in new if name not in became.values()]
    relabelled = sum(became[old[i]] != new[j] for i, j in zip(before, after, strict=True))
    return found + ([f"{_texts(relabelled)} with another label"] if relabelled else [])


def _texts(number: int) -> str:
    return f"{number:,} text{'' if number == 1 else 's'}"


def _same_train(then: Record, now: Record) -> bool:
    texts = then["texts"]["train"]
    return all(torch.equal(texts[name], column) for name, column in now["texts"]["train"].items())


def _column(record: Record, *splits: str, name: str = "hash") -> np.ndarray:
    return np.concatenate([record["texts"][split][name].numpy() for split in splits])
