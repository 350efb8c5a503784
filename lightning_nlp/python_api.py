"""Training as one function, and its run as an object: the command line for scripts and notebooks."""

import contextlib
import html
import importlib.util
import json
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_nlp.callbacks.interrupt import Interrupted, exit_on_signals
from lightning_nlp.cli.main import run
from lightning_nlp.errors import UserError
from lightning_nlp.predict.command import exported, prediction_precision, read_config
from lightning_nlp.predict.inputs import paired
from lightning_nlp.predict.predictor import load_predictor
from lightning_nlp.report.page import write_report
from lightning_nlp.report.run_files import read_run
from lightning_nlp.run.runs import LAST, existing_run

ONE_AT_A_TIME = threading.Lock()


def fit(config: str | Path, **settings: Any) -> "Run":
    """Train, test the best checkpoint and export it, as the `fit` command does.

    Args:
        config: A yaml file, or the name of a shipped one.
        settings: Settings as on the command line, without the dashes, e.g. `**{"model.lr": 3e-5}`. Values are plain
            (numbers, strings, None, lists, dicts) or classes of your own, e.g. `model=FocalClassifier`. With
            `debug=True` an error keeps its traceback.

    Raises:
        UserError: For a mistake that you can fix.
        Interrupted: If Ctrl-C or `trainer.max_time` ended the training; it is saved; the message says how to resume.
    """
    # the parser changes the current folder for a moment, and random state is global
    if not ONE_AT_A_TIME.acquire(blocking=False):
        raise UserError("Another fit is running in this process: wait for its end, or use a process for each.")
    try:
        arguments = [f"--{name}={_word(value)}" for name, value in settings.items()]
        # On a KeyboardInterrupt, Lightning would ignore all later ones and exit Python
        with warnings.catch_warnings(), _torch_as_before(), exit_on_signals():
            run_dir = run(["fit", f"--config={config}", *arguments], in_python=True)
    except SystemExit as stop:
        if not stop.code:
            raise UserError("fit trains: for what only prints, e.g. print_config, use the command line.") from None
        if stop.code != 128 + signal.SIGINT:
            raise
        raise KeyboardInterrupt from None  # before the first step, or on the second Ctrl-C
    except (Interrupted, UserError) as error:
        if settings.get("debug"):
            error._render_traceback_ = lambda error=error: traceback.format_exception(error)  # type: ignore
            raise
        raise error.with_traceback(None) from None
    finally:
        ONE_AT_A_TIME.release()
    assert run_dir is not None, "`fit` returns one"
    return Run(run_dir)


def open_run(path: str | Path) -> "Run":
    """Open the run of any earlier training; raises a UserError if the directory is not a run."""
    return Run(existing_run(str(path)))


@dataclass
class Run:
    """A run: its figures, predictions and report; `metrics`, `predict` and `fill` need a finished training.

    Attributes:
        dir: The run's directory, an absolute path.
    """

    dir: Path

    def __post_init__(self) -> None:
        self.dir = self.dir.absolute()

    @property
    def state(self) -> str:
        """Finished, interrupted or failed; unfinished if the training was killed or is still running."""
        return read_run(self.dir).facts.get("state", "unfinished")

    @property
    def metrics(self) -> dict[str, float]:
        """The test metrics, and the validation metric that chose the checkpoint, by name."""
        facts = read_run(self.dir).facts
        if "test" not in facts:
            raise UserError(f"The run {self.dir} is {self.state} and was not tested: continue it with `resume()`.")
        return {**facts["validation"], **facts["test"]}

    @property
    def history(self) -> Any:
        """metrics.csv as a pandas DataFrame, or without pandas a list of dicts.

        It has a row per logged step, where `step` is the number of optimizer steps done, and one for the test.
        """
        rows = read_run(self.dir).rows
        if importlib.util.find_spec("pandas") is None:
            return rows
        import pandas

        return pandas.DataFrame(rows)

    def predict(self, texts: Iterable[Any]) -> list[dict[str, Any]]:
        """A record for each text, or for each tuple of two if the model reads pairs, as `predict` writes it."""
        return self._predictor(texts)

    def fill(self, text: str) -> list[list[dict[str, Any]]]:
        """For each [MASK] of a text, the best tokens with their probabilities; for a masked language model."""
        record = {} if paired(read_config(self.dir)["data"]["init_args"]) else self.predict([text])[0]
        if "fillings" not in record:
            raise UserError(f"{self.dir} fills nothing in {text!r}: give a masked language model a text with [MASK].")
        return record["fillings"]

    def report(self) -> "Report":
        """Write the run's page again: displayed in a notebook, elsewhere the path of report.html."""
        return Report(write_report(self.dir))

    def resume(self, **settings: Any) -> "Run":
        """Continue from the last checkpoint, in the same directory; `settings` as in `fit`.

        Imports the classes named in the run's config.yaml, as `fit` does.
        """
        if fixed := sorted({"config", "ckpt_path", "resume", "name", "runs_dir"} & settings.keys()):
            raise UserError(
                f"A resume continues {self.dir} from its last checkpoint, so leave out {', '.join(fixed)}; to start "
                "another run, call `fit`."
            )
        checkpoints = existing_run(str(self.dir)) / "checkpoints"
        if not any(checkpoints.glob("*.ckpt")):
            raise UserError(f"The run {self.dir} has no checkpoint to resume from: call `fit` again.")
        return fit(self.dir / "config.yaml", ckpt_path=checkpoints / LAST, **settings)

    @cached_property
    def _predictor(self) -> Callable[[Iterable[Any]], list[dict[str, Any]]]:
        folder, trained = exported(existing_run(str(self.dir))), read_config(self.dir).get("trainer", {})
        return load_predictor(folder, precision=prediction_precision(None, trained.get("precision")))


@dataclass
class Report:
    """A run's page; notebooks display it as the value of a cell."""

    path: Path

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" sandbox="" style="width: 100%; height: 720px; border: 0"></iframe>'


def _word(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return json.loads(text) if text.startswith('"') else text


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        if "<locals>" in value.__qualname__:
            raise UserError(f"{value.__qualname__} cannot be imported: define the class outside any function.")
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):  # from an np.arange of learning rates or sizes
        return value.item()
    raise UserError(
        f"{value!r} is an object, and a configuration holds plain values: give its class, or as a dict its class_path "
        "and init_args."
    )


@contextlib.contextmanager
def _torch_as_before() -> Iterator[None]:
    benchmark, mode = torch.backends.cudnn.benchmark, torch.get_deterministic_debug_mode()
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.set_deterministic_debug_mode(mode)
