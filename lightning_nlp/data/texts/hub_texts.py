"""Data sets from the Hub and from `save_to_disk`, with one-line errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lightning_nlp.data.texts.lines import unreadable
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.hub.client import be_patient

if TYPE_CHECKING:
    from datasets import Dataset

T = TypeVar("T")


def load_saved(folder: Path) -> dict[str, Dataset]:
    """Open a folder that `save_to_disk` wrote; a single data set is train."""
    from datasets import Dataset, load_from_disk

    try:
        loaded = load_from_disk(folder)
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(folder, error) from error
    splits = {"train": loaded} if isinstance(loaded, Dataset) else loaded
    return {split: part.with_format(None) for split, part in splits.items()}


def from_hub(name: str, get: Callable[[str], T]) -> T:
    """What `get` returns for a data set's id, with retries; each failure of the Hub is a UserError."""
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
