"""The processes of a distributed training before they can talk: one does a thing first, the others take its result.

They are started by torchrun, all at once, or by Lightning, which starts the others from the first one when the training
begins. Only from then on is there a process group; what comes before goes through torchrun's own store, or through
environment variables, which Lightning's processes inherit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.distributed import PrefixStore, Store, rendezvous

from lightning_nlp.errors import UserError

VARIABLE = "LIGHTNING_NLP_FIRST_"
FAILED, DONE = "failed ", "done "
LONGEST_WAIT = timedelta(days=7)  # a large corpus is tokenized in hours


class FirstFailed(Exception):
    """The process that does a thing first has failed, and says itself why."""


def is_first(*, on_node: bool = False) -> bool:
    """Whether this is the process that writes, downloads and reports; of one process, it is.

    Args:
        on_node: Whether the first one of its machine is meant.
    """
    if on_node:
        return int(os.environ.get("LOCAL_RANK", 0)) == 0
    return not rank_zero_only.rank  # type: ignore[attr-defined]


def started_by_lightning() -> bool:
    """Whether the first process started this one."""
    return not is_first() and not TorchElasticEnvironment.detect()


def first(name: str, action: Callable[[], str], *, on_node: bool = False) -> str:
    """Let the first process do something, and the others wait for what it comes to.

    Args:
        name: What is done, once in a program.
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
    key = f"{name}/{os.environ['GROUP_RANK']}" if on_node else name
    if not is_first(on_node=on_node):
        _store().wait([key], LONGEST_WAIT)
        text = _store().get(key).decode()
        if text.startswith(FAILED):
            raise FirstFailed(text.removeprefix(FAILED))
        return text.removeprefix(DONE)
    try:
        result = action()
    except BaseException as error:
        _store().set(key, f"{FAILED}{error}")
        raise
    _store().set(key, f"{DONE}{result}")
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


@cache
def _store() -> Store:
    """The store of torchrun; after a restart it still holds what the processes before have left."""
    store, _, _ = next(iter(rendezvous("env://", timeout=LONGEST_WAIT)))
    return PrefixStore(f"lightning_nlp/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
