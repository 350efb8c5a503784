"""Where a child process can be killed: seams of the program that report where it is, and stop it there.

A point is written `PHASE:CALL` or `PHASE:CALL:SIGNAL`: at the CALL-th time, from 1, that the child comes to that phase
it sends itself the signal (SIGKILL if none is named).
"""

import contextlib
import io
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Trace:
    """The phases that a child comes to, with their times, in a file that outlives it; counts its way to its point."""

    def __init__(self, path: Path, point: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        phase, call, *name = (point or "never:0").split(":")
        self._point = (phase, int(call))
        self._signal = signal.Signals[name[0]] if name else signal.SIGKILL
        self._calls: Counter[str] = Counter()
        self._owner = os.getpid()

    def comes_to(self, phase: str) -> bool:
        """Note the phase; tell whether this is the point."""
        if os.getpid() != self._owner:  # a loader's process, which inherits the seams
            return False
        self._calls[phase] += 1
        os.write(self._file, f"{time.monotonic()} {phase}\n".encode())
        return (phase, self._calls[phase]) == self._point

    def stop(self) -> None:
        os.kill(os.getpid(), self._signal)

    def stop_at(self, phase: str) -> None:
        if self.comes_to(phase):
            self.stop()


def install(trace: Trace) -> None:
    """Put the seams into this process, which has imported the program and is about to run it."""
    import torch
    from transformers import PreTrainedModel

    from lightning_nlp.data.tokens import preparation
    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel
    from lightning_nlp.models.tagging import TokenClassifier
    from lightning_nlp.report import summary
    from lightning_nlp.run import metrics_csv

    for module in (SequenceClassifier, MaskedLanguageModel, TokenClassifier):
        _before(module, "training_step", trace, "batch")
        _before(module, "validation_step", trace, "validation")
        _before(module, "test_step", trace, "test")
    _after(torch.optim.AdamW, "step", trace, "step")  # the weights are changed, and nobody has counted it yet
    _after(metrics_csv.MetricsCSV, "log_metrics", trace, "row")
    _before(summary, "print_summary", trace, "summary")  # all is done but to say so
    _torn_rows(metrics_csv.MetricsCSV, trace)
    _torn_checkpoints(torch, trace)
    _torn_exports(PreTrainedModel, trace)
    _torn_token_ids(preparation, trace)
    for name in ("rename", "replace"):
        _renames(name, trace)


def _before(owner: Any, name: str, trace: Trace, phase: str) -> None:
    usual = getattr(owner, name)

    def seam(*args: Any, **kwargs: Any) -> Any:
        trace.stop_at(phase)
        return usual(*args, **kwargs)

    setattr(owner, name, seam)


def _after(owner: Any, name: str, trace: Trace, phase: str) -> None:
    usual = getattr(owner, name)

    def seam(*args: Any, **kwargs: Any) -> Any:
        result = usual(*args, **kwargs)
        trace.stop_at(phase)
        return result

    setattr(owner, name, seam)


def _renames(name: str, trace: Trace) -> None:
    """`new X`: the whole new file X lies beside the old one; `X`: it has just taken its place."""
    usual: Callable[..., None] = getattr(os, name)

    def seam(source: Any, target: Any, **kwargs: Any) -> None:
        what = Path(target).name
        what = "cache" if len(what) == 20 and "." not in what else what  # its name is a digest
        trace.stop_at(f"new {what}")
        usual(source, target, **kwargs)
        trace.stop_at(what)

    setattr(os, name, seam)


def _torn_rows(logger: Any, trace: Trace) -> None:
    """A row of metrics.csv of which a part has come to the disk."""
    usual = logger.log_metrics

    def seam(self: Any, *args: Any, **kwargs: Any) -> None:
        usual(self, *args, **kwargs)
        if trace.comes_to("half a row"):
            os.truncate(self.path, self.path.stat().st_size - 5)
            trace.stop()

    logger.log_metrics = seam


def _torn_checkpoints(torch: Any, trace: Trace) -> None:
    usual = torch.save

    def seam(content: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        if not trace.comes_to("half a checkpoint"):
            usual(content, file, *args, **kwargs)
            return
        whole = io.BytesIO()
        usual(content, whole, *args, **kwargs)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        trace.stop()

    torch.save = seam


def _torn_exports(network: Any, trace: Trace) -> None:
    usual = network.save_pretrained

    def seam(self: Any, folder: Any, *args: Any, **kwargs: Any) -> None:
        usual(self, folder, *args, **kwargs)
        if trace.comes_to("half an export"):
            weights = Path(folder) / "model.safetensors"
            os.truncate(weights, weights.stat().st_size // 2)
            trace.stop()

    network.save_pretrained = seam


def _torn_token_ids(preparation: Any, trace: Trace) -> None:
    usual = preparation.write_token_ids

    @contextlib.contextmanager
    def seam(*args: Any, **kwargs: Any) -> Iterator[Callable[..., None]]:
        with usual(*args, **kwargs) as write:

            def writing(*rows: Any) -> None:
                write(*rows)
                trace.stop_at("tokens")

            yield writing

    preparation.write_token_ids = seam
