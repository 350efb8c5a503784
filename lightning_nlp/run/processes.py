"""The processes of a distributed training before they can talk: one does a thing first, the others take its result.

They are started by torchrun, all at once, or by Lightning, which starts the others from the first one when the training
begins. Only from then on is there a process group; what comes before goes through torchrun's own store, or through
environment variables, which Lightning's processes inherit.
"""

from __future__ import annotations

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

VARIABLE = "LIGHTNING_NLP_FIRST_"
FAILED, DONE = "failed ", "done "
LONGEST_WAIT = timedelta(days=7)  # a large corpus is tokenized in hours
SAME_WORDS_WAIT = timedelta(seconds=5)  # for processes that fail together
CONNECTION = re.compile(r"gloo/|connection (closed|reset)|broken pipe|nccl", re.IGNORECASE)


class PeerLost(Exception):
    """Another process of this training has ended."""


class FirstFailed(Exception):
    """The process that does a thing first has failed, and says itself why."""


def is_first(*, on_node: bool = False) -> bool:
    """Whether this process, the first of all (`on_node`: of its machine), writes, downloads and reports."""
    if on_node:
        return int(os.environ.get("LOCAL_RANK", 0)) == 0
    return not rank_zero_only.rank  # type: ignore[attr-defined]


def started_by_lightning() -> bool:
    """Whether the first process started this one."""
    return not is_first() and not TorchElasticEnvironment.detect()


def first(name: str, action: Callable[[], str], *, on_node: bool = False) -> str:
    """Let the first process do something, and the others wait for what it comes to.

    Args:
        action: Does it, and returns what the others need of it.
        on_node: Let the first process of each machine do it.

    Returns:
        What `action` returned.

    Raises:
        FirstFailed: In the others, if it failed.
        UserError: If the processes were started in another way than by torchrun or by Lightning.
    """
    if not TorchElasticEnvironment.detect():
        return _inherited(name, action)
    store, key = _store(), f"{name}/{os.environ['GROUP_RANK']}" if on_node else name
    if not is_first(on_node=on_node):
        try:
            store.wait([key], LONGEST_WAIT)
            text = store.get(key).decode()
        except DistError as error:
            raise FirstFailed(str(error)) from error
        if text.startswith(FAILED):
            raise FirstFailed(text.removeprefix(FAILED))
        return text.removeprefix(DONE)
    try:
        result = action()
    except BaseException as error:
        store.set(key, f"{FAILED}{error}")
        raise
    store.set(key, f"{DONE}{result}")
    return result


def _inherited(name: str, action: Callable[[], str]) -> str:
    if is_first():
        os.environ[VARIABLE + name] = result = action()
        return result
    if VARIABLE + name not in os.environ:
        how = "srun" if SLURMEnvironment.detect() else "another program"
        raise UserError(
            f"Several processes were started by {how}: let one torchrun on each machine start them, or give "
            "--trainer.devices alone."
        )
    return os.environ[VARIABLE + name]


@contextlib.contextmanager
def lost_peers() -> Iterator[None]:
    """Turn what the collectives of torch raise once a process is gone into a PeerLost."""
    try:
        yield
    except RuntimeError as error:
        if torch.distributed.is_initialized() and (isinstance(error, DistError) or CONNECTION.search(str(error))):
            reason = one_line(error).rpartition("]")[2].partition(".")[0].lstrip(": 0123456789")[:200]
            raise PeerLost(f"Another process of this training has ended ({reason})") from error
        raise


def tell_last_words(message: str) -> None:
    """Print what this process ends with; of processes that fail in the same words, only the first does."""
    store = None
    if "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
        with contextlib.suppress(DistError):
            address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store = TCPStore(*address, is_master=False, wait_for_workers=False, timeout=SAME_WORDS_WAIT)
    key = "lightning_nlp/end"
    if is_first():
        print(f"error: {message}", file=sys.stderr, flush=True)
        if store is not None:
            store.set(key, message)
            time.sleep(1.0)  # the store may be this process's
        return
    with contextlib.suppress(DistError):
        if store is not None and store.get(key).decode() == message:
            return
    print(f"error: process {rank_zero_only.rank}: {message}", file=sys.stderr, flush=True)  # type: ignore[attr-defined]


def part() -> None:
    """End the process group, if there is one: gloo's threads may abort a process that ends with them running."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def wait_for_the_first() -> None:
    """Wait a while to be ended: of its processes, torchrun ends all once one has ended, and the first is to speak."""
    time.sleep(SAME_WORDS_WAIT.total_seconds())


@cache
def _store() -> Store:
    """The store that torchrun, or its first process, offers."""
    own_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE", "") != str(True)
    if not own_store and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)):
        raise UserError(
            "torchrun --max-restarts shares one store among all attempts, and a new one would find the addresses of "
            "the old (issue 135712 of pytorch): give torchrun --rdzv-backend c10d, or --standalone, and set "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for it."
        )
    store, _, _ = next(iter(rendezvous("env://", timeout=LONGEST_WAIT)))
    return PrefixStore("lightning_nlp", store)
