"""Where a training can be killed: the program's functions are wrapped to report where they are, and to stop there.

A point is written `PHASE:CALL` or `PHASE:CALL:SIGNAL`: the CALL-th time, from 1, that the process comes to that phase
it sends itself the signal, SIGKILL by default.
"""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class Trace:
    """Writes each phase to a file that outlives the process, and knows when its point is reached."""

    def __init__(self, path: Path, point: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        phase, call, *name = (point or "never:0").split(":")
        self._point = (phase, int(call))
        self._signal = signal.Signals[name[0]] if name else signal.SIGKILL
        self._calls: Counter[str] = Counter()
        self._owner = os.getpid()

    def comes_to(self, phase: str) -> bool:
        """Write the phase down; returns whether this is the point."""
        if os.getpid() != self._owner:  # a data loader's worker
            return False
        self._calls[phase] += 1
        os.write(self._file, f"{phase}\n".encode())
        return (phase, self._calls[phase]) == self._point

    def stop(self) -> None:
        os.kill(os.getpid(), self._signal)

    def stop_at(self, phase: str) -> None:
        if self.comes_to(phase):
            self.stop()


def run_child(
    folder: Path, rank: int, arguments: Sequence[str], cwd: Path, point: str | None, environment: dict[str, str]
) -> None:
    """Run a command in a fork of the forkserver; its output and trace go to files in `folder`."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
    from torch import distributed

    from lightning_nlp.cli.main import main

    for descriptor, name in enumerate((os.devnull, folder / f"out{rank}", folder / f"err{rank}")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a suite runs in the background
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one under nohup
    multiprocessing.set_start_method(None, force=True)  # loaders' workers start as in any process
    os.chdir(cwd)
    os.environ |= environment
    rank_zero_only.rank = rank  # Lightning read the environment when it was imported
    install(Trace(folder / f"trace{rank}", point))
    main(arguments)
    if distributed.is_initialized():  # its threads abort one process in a hundred that ends with them
        sys.exit("the process group is still there")


def install(trace: Trace) -> None:
    """Wrap the functions of a process that is about to run the program."""
    import torch
    from transformers import PreTrainedModel

    from lightning_nlp.data.tokens import preparation
    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel
    from lightning_nlp.models.tagging import TokenClassifier
    from lightning_nlp.report import summary
    from lightning_nlp.run.metrics_csv import MetricsCSV

    def before(phase: str) -> Callable[..., Any]:
        def seam(usual: Any, *args: Any, **kwargs: Any) -> Any:
            trace.stop_at(phase)
            return usual(*args, **kwargs)

        return seam

    def after(phase: str) -> Callable[..., Any]:
        def seam(usual: Any, *args: Any, **kwargs: Any) -> Any:
            result = usual(*args, **kwargs)
            trace.stop_at(phase)
            return result

        return seam

    def torn(phase: str, file_of: Callable[..., Path]) -> Callable[..., None]:
        def seam(usual: Any, *args: Any, **kwargs: Any) -> None:
            usual(*args, **kwargs)
            if trace.comes_to(phase):
                file = file_of(*args)
                os.truncate(file, file.stat().st_size - 5)
                trace.stop()

        return seam

    def torn_checkpoint(usual: Any, content: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        if not trace.comes_to("half a checkpoint"):
            usual(content, file, *args, **kwargs)
            return
        whole = io.BytesIO()
        usual(content, whole, *args, **kwargs)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        trace.stop()

    @contextlib.contextmanager
    def token_ids(usual: Any, *args: Any, **kwargs: Any) -> Any:
        with usual(*args, **kwargs) as write:
            yield lambda *rows: after("tokens")(write, *rows)

    def renames(usual: Any, source: Any, target: Any, **kwargs: Any) -> None:
        """`new X`: the new file X is whole, beside the old one; `X`: it has just taken its place."""
        name = Path(target).name
        name = "cache" if len(name) == 20 and "." not in name else name  # a digest
        trace.stop_at(f"new {name}")
        usual(source, target, **kwargs)
        trace.stop_at(name)

    for module in (SequenceClassifier, MaskedLanguageModel, TokenClassifier):
        wrap(module, "training_step", before("batch"))
        wrap(module, "validation_step", before("validation"))
        wrap(module, "test_step", before("test"))
    wrap(torch.optim.AdamW, "step", after("step"))  # the weights have changed, and nobody has counted the step yet
    wrap(MetricsCSV, "log_metrics", after("row"))
    wrap(MetricsCSV, "log_metrics", torn("half a row", lambda logger, *_: logger.path))
    wrap(summary, "print_summary", before("summary"))  # only this is left to do
    wrap(torch, "save", torn_checkpoint)
    wrap(
        PreTrainedModel, "save_pretrained", torn("half an export", lambda _, folder: Path(folder) / "model.safetensors")
    )
    wrap(preparation, "write_token_ids", token_ids)
    wrap(os, "rename", renames)
    wrap(os, "replace", renames)


def wrap(owner: Any, name: str, seam: Callable[..., Any]) -> None:
    """Call `seam` in the place of a function or method, with the usual one as its first argument."""
    usual = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: seam(usual, *args, **kwargs))
