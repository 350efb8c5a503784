"""Which messages of the libraries the user sees: those that call for action."""

import logging
import os
import re
import warnings
from typing import Any

NOT_FOR_USERS = (
    r".*does not have many workers.*",  # without a GPU, none is best
    r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run does
    r".*You're resuming from a checkpoint that ended before the epoch ended.*",  # our loader is resumable
    r".*smaller than the logging interval.*",
    r".*Precision bf16-mixed is not supported by the model summary.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*lr_scheduler.step\(\).*before.*optimizer.step\(\).*",
    r".*in eval mode at the start of training.*",
    r".*Be aware that when using `ckpt_path`, callbacks.*",  # the run's own directory is given
    r".*``compute`` method of metric .* was called before the ``update`` method.*",  # a process without examples
    r".*The dirpath has changed from.*",  # --ckpt_path FILE starts a new run on purpose
)

# Lightning's files whose notices are about the set-up, not the training.
SET_UP = re.compile(r"/lightning/(?!pytorch/(loops|callbacks)/)")


def quiet_libraries() -> None:
    """Silence the libraries' messages to developers; call it before they are used."""
    from datasets.utils.logging import enable_progress_bar

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else the library warns once workers are forked
    os.environ.setdefault("WANDB_SILENT", "true")
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch", "lightning.fabric"):  # their own handlers keep the stderr of their import
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # unlike a StreamHandler, it looks up sys.stderr each time: a progress bar replaces it to stay below the messages
    stderr: Any = type(logging.lastResort)(logging.NOTSET)  # type: ignore[misc]
    stderr.addFilter(lambda record: record.levelno > logging.INFO or not SET_UP.search(record.pathname))
    logger = logging.getLogger("lightning")
    logger.handlers = [stderr]  # alone, where the calling program prints all messages itself (logging.basicConfig)
    logger.propagate = not any(type(handler) is logging.StreamHandler for handler in logging.root.handlers)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.NOTSET)
    for name in ("transformers", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    enable_progress_bar()  # another command in this process may have been `--quiet`
