"""UserError, and how the errors of Lightning and torch become one."""

import contextlib
import logging
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# How the user calls the command line, for what we tell them to run.
PROGRAM = "lightning-nlp" if Path(sys.argv[0]).stem == "lightning-nlp" else "python train.py"
# SIGHUP, and SIGALRM for a time limit, which Windows has no names for.
HANGUP, TIME_LIMIT = 1, 14


class UserError(ValueError):
    """Bad input: the command line prints the message alone and exits with code 2.

    Its message has four parts: what is wrong, the value found, where, and the argument or command that cures it. Any
    other `ValueError` counts as a bug of ours, and keeps its traceback.

    Args:
        can_go_on: Whether the training, once this is cured, can go on from its last.ckpt; whoever started it says how.
    """

    def __init__(self, message: str, *, can_go_on: bool = False) -> None:
        super().__init__(message)
        self.can_go_on = can_go_on

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message is all that helps."""
        return [f"{type(self).__name__}: {self}"]


def check_range(
    argument: str,
    value: float | None,
    low: float,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    """Raise a UserError unless the value of an argument, e.g. `--model.lr`, is None or a finite number in its range."""
    if value is None:
        return
    inside = low <= value <= high and math.isfinite(value)  # in this order, as a huge int is no float
    if not inside or (low_open and value == low) or (high_open and value == high):
        least = f"greater than {low}" if low_open else f"at least {low}"
        most = "" if high == math.inf else f" and less than {high}" if high_open else f" and at most {high}"
        raise UserError(f"{argument} must be {least}{most}, not {value}.")


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def printable(message: str) -> str:
    """A message with its control and other unprintable characters escaped: names may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def warn_user(message: str) -> None:
    """Warn of what does not end the training; `--quiet` does not hide it."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    if not rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger("lightning.pytorch.utilities.rank_zero").warning(message)


@contextlib.contextmanager
def lightning_errors() -> Iterator[None]:
    """Turn what Lightning, or torch, raises about the Trainer's settings into a UserError."""
    # here, because Lightning takes seconds to import
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    try:
        yield
    except RuntimeError as error:
        operation, cannot, _ = str(error).partition(" does not have a deterministic implementation")
        if "in loading state_dict for" in str(error):
            first = one_line(error).partition(". ")[0]
            raise UserError(f"{first}: give the --model settings of its training, or no --ckpt_path.") from error
        if not cannot:
            raise
        raise UserError(
            f"{operation}{cannot} on this device: give --trainer.deterministic warn, which makes do with what there is."
        ) from error
    except (ValueError, MisconfigurationException) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if isinstance(error, UserError) or not frame.f_globals["__name__"].startswith("lightning."):
            raise
        raise UserError(f"The Trainer does not take these settings: {one_line(error)}") from error


@contextlib.contextmanager
def memory_errors(cure: Callable[[RuntimeError], str]) -> Iterator[None]:
    """Turn what torch raises for lack of memory into a UserError: a batch does not fit, or a worker was killed.

    A worker's death may first show as a broken connection; torch raises at its signal, wherever Python is by then.

    Args:
        cure: Returns the arguments for smaller batches.
    """
    import torch

    try:
        try:
            yield
        except (EOFError, ConnectionError) as error:
            modules = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
            if "torch.utils.data.dataloader" not in modules:
                raise
            time.sleep(1)
            raise RuntimeError("DataLoader worker's connection was cut") from error
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise UserError(
                f"A process that prepares batches has ended ({one_line(error).partition(' It ')[0]}), as it does where "
                "memory is short: give a smaller --data.num_workers.",
                can_go_on=True,
            ) from error
        # a CPU's has no type
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        where = "GPU's" if isinstance(error, torch.OutOfMemoryError) else "machine's"
        message = f"A batch does not fit into this {where} memory: give {cure(error)}."
        raise UserError(message, can_go_on=True) from error


def smaller_batches(settings: Any, accumulated: int | None = None) -> str:
    """The arguments that halve a batch and keep the examples of a step.

    Args:
        settings: Of the data module.
        accumulated: `trainer.accumulate_grad_batches`; None for an evaluation.
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
