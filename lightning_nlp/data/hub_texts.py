"""Data sets of the Hub, with the patience that a failing connection needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lightning_nlp.errors import UserError
from lightning_nlp.hub_client import be_patient

if TYPE_CHECKING:
    from datasets import Dataset

T = TypeVar("T")

# Seconds before each attempt: each request within one is repeated already, but a file may be cut again. What came is
# kept. After so many seconds of attempts there is no use in another one.
HUB_ATTEMPTS = (0.0, 0.5, 1.0, 2.0)
PATIENCE = 20.0


def load_from_hub(name: str) -> dict[str, Dataset]:
    """Download a data set, or take it from the Hub's cache, with a few attempts."""

    def load(name: str) -> dict[str, Dataset]:
        from datasets import load_dataset

        return load_dataset(name)

    return from_hub(name, load)


def from_hub(name: str, get: Callable[[str], T]) -> T:
    """Ask the Hub for something of a data set, with a few attempts.

    Args:
        name: The data set's id.
        get: Asks for it.

    Returns:
        What `get` returns.

    Raises:
        UserError: If there is no such data set, it cannot be had by its id alone, or the network fails.
    """
    import httpx2
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import constants

    be_patient()
    failed_s = 0.0
    for attempt, delay in enumerate(HUB_ATTEMPTS, start=1):
        time.sleep(delay)
        start = time.monotonic()
        try:
            return get(name)
        except DatasetNotFoundError as error:
            raise UserError(
                f"{name!r} is neither a local file or folder nor a public data set on {constants.ENDPOINT}: correct "
                "--data.path, or log in with `hf auth login` if it is private."
            ) from error
        except (OSError, httpx2.HTTPError, DatasetsError) as error:
            failed_s += time.monotonic() - start
            # A ConnectionError comes after the library's own attempts, which take 23 s.
            if attempt == len(HUB_ATTEMPTS) or failed_s > PATIENCE or isinstance(error, ConnectionError):
                raise UserError(
                    f"Could not fetch the data set {name!r} from {constants.ENDPOINT} ({_first_line(error)}): check "
                    "the network, or give a local file or folder with --data.path."
                ) from error
        except (ValueError, RuntimeError) as error:  # several configurations, or a script of its own
            raise UserError(
                f"The data set {name!r} cannot be loaded by its id alone ({_first_line(error)}): save it to files and "
                "give them with --data.path."
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
