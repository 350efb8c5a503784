"""Errors of Lightning, torch and the disk that the user can fix, as UserErrors."""

import contextlib
import errno
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_nlp.errors import UserError, one_line


@contextlib.contextmanager
def lightning_errors() -> Iterator[None]:
    """Turn errors of Lightning or torch about the Trainer's settings into a UserError."""
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
            f"{operation}{cannot} on this device: give --trainer.deterministic warn, which tolerates it."
        ) from error
    except (ValueError, MisconfigurationException) as error:
        if isinstance(error, UserError) or not _modules(error)[-1].startswith("lightning."):
            raise
        raise UserError(f"The Trainer does not accept these settings: {one_line(error)}") from error


@contextlib.contextmanager
def resource_errors(cure: Callable[[bool], str]) -> Iterator[None]:
    """Turn errors about memory and disk into a UserError: a batch does not fit, a worker was killed, the disk is full.

    A worker's death may first show as a broken connection; torch raises on its signal, wherever Python is by then.

    Args:
        cure: Returns the arguments for smaller batches, given whether the batch belonged to an evaluation.
    """
    try:
        try:
            yield
        except (EOFError, ConnectionError) as error:
            if "torch.utils.data.dataloader" not in _modules(error):
                raise
            time.sleep(1)
            raise RuntimeError("DataLoader worker's connection was cut") from error
    except RuntimeError as error:
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        if "DataLoader worker" in str(error):
            message = (
                f"A process that prepares batches has ended ({one_line(error).partition(' It ')[0]}), as happens when "
                "memory is short: give a smaller --data.num_workers."
            )
        elif on_gpu or "DefaultCPUAllocator" in str(error):  # on a CPU the error has no type of its own
            evaluating = "lightning.pytorch.loops.evaluation_loop" in _modules(error)
            message = (
                f"A batch does not fit into this {'GPU' if on_gpu else 'machine'}'s memory: give {cure(evaluating)}."
            )
        else:
            raise
        raise UserError(message, can_go_on=True) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = f"{error.filename or 'A file of the run'} cannot be written ({error.strerror})"
        raise UserError(f"{problem}: free some space.", can_go_on=True) from error


def smaller_batches(settings: Any, accumulated: int, evaluating: bool) -> str:
    """The arguments that halve a batch but keep the number of examples in a step.

    Args:
        settings: The data module's.
        accumulated: `trainer.accumulate_grad_batches`.
    """
    size, least, name = settings.get("tokens_per_batch"), settings.get("max_length") or 1, "tokens_per_batch"
    if size is None:
        size, least, name = settings.get("batch_size") or 1, 1, "batch_size"
        if evaluating:
            size, name = settings.get("eval_batch_size") or 2 * size, "eval_batch_size"
    if size // 2 < least:
        return "a lower --data.max_length, since a batch is one text already"
    steps = "" if evaluating else f" and --trainer.accumulate_grad_batches {2 * accumulated}"
    return f"--data.{name} {size // 2}{steps}"


def _modules(error: BaseException) -> list[str]:
    """The modules that an error passed through; the one that raised it is the last."""
    return [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
