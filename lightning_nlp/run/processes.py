"""Several processes before there is a process group: the main one acts, and the others get its result.

torchrun starts all at once, with a store that they share. Lightning starts the others from the main one when the
training begins, and these inherit its environment variables.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache

import torch
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.distributed import DistError, PrefixStore, Store, TCPStore, rendezvous

from lightning_nlp.errors import UserError, one_line

VARIABLE = "LIGHTNING_NLP_ONCE_"
FAILED, DONE = "failed ", "done "
LONGEST_WAIT = timedelta(days=7)  # tokenizing a large corpus takes hours
SAME_ERROR_WAIT = timedelta(seconds=5)  # between processes that fail at the same time
CONNECTION = re.compile(r"gloo/|connection (closed|reset)|broken pipe|nccl", re.IGNORECASE)


class ProcessLost(Exception):
    """Another process of this training has ended."""


class MainProcessFailed(Exception):
    """The process that the others wait for has failed, and reports the error itself."""


def is_main_process(*, on_node: bool = False) -> bool:
    """Whether this process writes, downloads and reports for all (`on_node`: for its machine)."""
    if on_node:
        return int(os.environ.get("LOCAL_RANK", 0)) == 0
    return not rank_zero_only.rank  # type: ignore[attr-defined]


def started_by_lightning() -> bool:
    """Whether the main process started this one."""
    return not is_main_process() and not TorchElasticEnvironment.detect()


def once(name: str, action: Callable[[], str], *, on_node: bool = False) -> str:
    """Run an action in the main process (`on_node`: in one per machine), and return its result in all processes.

    Raises:
        MainProcessFailed: In the other processes, if it failed.
        UserError: If neither torchrun nor Lightning started the processes.
    """
    if not TorchElasticEnvironment.detect():
        return _inherited(name, action)
    store, key = _store(), f"{name}/{os.environ['GROUP_RANK']}" if on_node else name
    if is_main_process(on_node=on_node):
        try:
            result = action()
        except BaseException as error:
            store.set(key, f"{FAILED}{error}")
            raise
        store.set(key, f"{DONE}{result}")
        return result
    try:
        store.wait([key], LONGEST_WAIT)
        text = store.get(key).decode()
    except DistError as error:
        raise MainProcessFailed(str(error)) from error
    if text.startswith(FAILED):
        raise MainProcessFailed(text.removeprefix(FAILED))
    return text.removeprefix(DONE)


def _inherited(name: str, action: Callable[[], str]) -> str:
    if is_main_process():
        os.environ[VARIABLE + name] = action()
    if VARIABLE + name not in os.environ:
        starter = "srun" if SLURMEnvironment.detect() else "another program"
        raise UserError(
            f"Several processes were started by {starter}: start torchrun on each machine instead, or give "
            "--trainer.devices alone."
        )
    return os.environ[VARIABLE + name]


@contextlib.contextmanager
def lost_process_errors() -> Iterator[None]:
    """Raise ProcessLost for the errors of torch's collectives after another process has ended."""
    try:
        yield
    except RuntimeError as error:
        if torch.distributed.is_initialized() and (isinstance(error, DistError) or CONNECTION.search(str(error))):
            reason = one_line(error).rpartition("]")[2].partition(".")[0].lstrip(": 0123456789")[:200]
            raise ProcessLost(f"Another process of this training has ended ({reason})") from error
        raise


def print_error(message: str) -> None:
    """Print the error with which this process ends, unless the main one prints the same."""
    store = None
    if "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
        with contextlib.suppress(DistError):
            address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store = TCPStore(*address, is_master=False, wait_for_workers=False, timeout=SAME_ERROR_WAIT)
    key = "lightning_nlp/end"
    if is_main_process():
        print(f"error: {message}", file=sys.stderr, flush=True)
        if store is not None:
            store.set(key, message)
            time.sleep(1.0)  # this process may host the store
        return
    with contextlib.suppress(DistError):
        if store is not None and store.get(key).decode() == message:
            return
    print(f"error: process {rank_zero_only.rank}: {message}", file=sys.stderr, flush=True)  # type: ignore[attr-defined]


def leave_process_group() -> None:
    """End the process group: gloo's threads may abort a process that exits while they run."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@cache
def _store() -> Store:
    own_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE", "") != str(True)
    if not own_store and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)):
        raise UserError(
            "torchrun --max-restarts shares one store among all attempts, and a new attempt would read the old one's "
            "addresses (pytorch issue 135712): give torchrun --rdzv-backend c10d, or --standalone, and set "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for it."
        )
    store, _, _ = next(iter(rendezvous("env://", timeout=LONGEST_WAIT)))
    return PrefixStore("lightning_nlp", store)
