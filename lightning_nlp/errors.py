"""The one exception that stands for a user's mistake, and what Lightning raises in its place."""

from __future__ import annotations

import contextlib
import logging
import math
import traceback
from collections.abc import Callable, Iterator
from typing import Any

# The numbers of signals for which Windows has no name: SIGHUP, and SIGALRM, by which a time limit ends like a signal.
HANGUP, TIME_LIMIT = 1, 14


class UserError(ValueError):
    """Bad input: the command line prints the message alone and exits with code 2.

    A `ValueError` out of a library is a bug of ours until shown otherwise, and keeps its traceback. A message has four
    parts: what is wrong, the value found, where, and the argument or command that cures it.
    """


def check_range(
    argument: str,
    value: float | None,
    low: float,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    """Raise a UserError unless a setting, `--model.lr` in full, is None or a finite number within its range.

    An open end is itself out of range.
    """
    if value is None:
        return
    inside = math.isfinite(value) and low <= value <= high
    if not inside or (low_open and value == low) or (high_open and value == high):
        least = f"greater than {low}" if low_open else f"at least {low}"
        most = "" if high == math.inf else f" and less than {high}" if high_open else f" and at most {high}"
        raise UserError(f"{argument} must be {least}{most}, not {value}.")


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def printable(message: str) -> str:
    """A message on one line; what a terminal would not show, or would obey, is written out: names may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def how_to_go_on(message: str, resume: str | None) -> str:
    """A message whose `--ckpt_path last` fits `--resume`: auto finds the checkpoint, but of equal settings only."""
    if resume == "auto":
        message = message.replace("the same command and --ckpt_path last", "the same command")
        message = message.replace("--ckpt_path last", "--ckpt_path last in place of --resume auto")
    return message


def warn_user(message: str) -> None:
    """Tell the user what went wrong without an end to the training; `--quiet` does not hide it."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    if not rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger("lightning.pytorch.utilities.rank_zero").warning(message)


@contextlib.contextmanager
def lightning_errors() -> Iterator[None]:
    """Turn what Lightning itself raises about its settings into a UserError, and what they make torch raise."""
    # here, because Lightning takes seconds, and all rooms import this one
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    try:
        yield
    except RuntimeError as error:
        operation, cannot, _ = str(error).partition(" does not have a deterministic implementation")
        if not cannot:
            raise
        raise UserError(
            f"{operation}{cannot} on this device: give --trainer.deterministic warn, which keeps to what there is."
        ) from error
    except (ValueError, MisconfigurationException) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if isinstance(error, UserError) or not frame.f_globals["__name__"].startswith("lightning."):
            raise
        raise UserError(f"The Trainer does not take these settings: {one_line(error)}") from error


@contextlib.contextmanager
def memory_errors(cure: Callable[[RuntimeError], str]) -> Iterator[None]:
    """Turn what torch raises when a batch does not fit into the memory into a UserError.

    Args:
        cure: Is given the error, and names the arguments for smaller batches.
    """
    import torch

    try:
        yield
    except RuntimeError as error:
        # on a CPU there is no type for it
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        where = "GPU's" if isinstance(error, torch.OutOfMemoryError) else "machine's"
        raise UserError(f"A batch does not fit into this {where} memory: give {cure(error)}.") from error


def smaller_batches(settings: Any, accumulated: int | None = None) -> str:
    """The arguments that halve a batch, in training with as many examples a step as before.

    Args:
        settings: Of the data module.
        accumulated: `trainer.accumulate_grad_batches`; None for an evaluation, whose batches may have another size.
    """
    size, least, name = settings.get("tokens_per_batch"), settings.get("max_length") or 1, "tokens_per_batch"
    if size is None:
        size, least, name = settings.get("batch_size") or 1, 1, "batch_size"
        if accumulated is None:
            size, name = settings.get("eval_batch_size") or 2 * size, "eval_batch_size"
    if size // 2 < least:
        return "a lower --data.max_length, since a batch is one text already"
    steps = f" and --trainer.accumulate_grad_batches {2 * accumulated}" if accumulated else ""
    return f"--data.{name} {size // 2}{steps}"
