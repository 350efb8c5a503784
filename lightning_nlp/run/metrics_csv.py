"""A run's metrics.csv: written by a logger that continues after a resume, and read back."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_nlp.atomic_files import whole_file
from lightning_nlp.errors import UserError


class MetricsCSV(Logger):
    """Metrics in one CSV file, a row for each step at which something was logged.

    Rows are appended, and a new column rewrites the file. Lightning's CSVLogger keeps all rows in memory, and deletes
    the file of an earlier training.

    Args:
        resume_step: Keep an existing file's rows before this step, counted from 0; None keeps none.
    """

    name = version = ""  # the run's directory suffices

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        super().__init__()
        self.path = path
        self._resume_step = resume_step
        self._columns: list[str] = []  # none before the first row
        self._row: dict[str, Any] = {}  # the last one
        self._start = 0  # where in the file it begins

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: they are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row, or add to the last one if it has the same step."""
        try:
            self._log(metrics, step)
        except OSError as error:  # the disk is full, or the run's directory is gone
            raise UserError(
                f"The metrics of step {step} cannot be written to {self.path} ({error.strerror}): free some space or "
                "restore that folder.",
                can_go_on=True,
            ) from error

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        rows = None
        if not self._columns:  # the first call
            rows = [row for row in read_rows(self.path) if int(row["step"]) < (self._resume_step or 0)]
        last = rows[-1] if rows else self._row
        same_step = bool(last) and str(last["step"]) == str(step)
        row = {**last, **metrics} if same_step else {"step": step, **metrics}
        if set(row) <= set(self._columns) and self.path.exists():
            self._put(row, replace=same_step)
        else:
            rows = read_rows(self.path) if rows is None else rows
            self._write([*(rows[:-1] if same_step else rows), row])
        self._row = row

    def _put(self, row: dict[str, Any], *, replace: bool) -> None:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns).writerow(row)
        with self.path.open("r+b") as file:
            self._start = self._start if replace else file.seek(0, os.SEEK_END)
            # in one call, so that a killed process leaves no partial row
            file.truncate(self._start + os.pwrite(file.fileno(), text.getvalue().encode(), self._start))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        columns = {column for row in rows for column in row} - {"epoch", "step"}
        self._columns = ["epoch", "step", *sorted(columns)]
        with whole_file(self.path, "w") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows[:-1])
            file.flush()
            self._start = os.fstat(file.fileno()).st_size
            writer.writerows(rows[-1:])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.csv without empty fields or a partial row; empty if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [
            {name: value for name, value in row.items() if value}
            for row in rows
            if None not in row and None not in row.values() and row.get("step", "").isdecimal()
        ]


def last_step(path: Path) -> int | None:
    """The last step in a metrics.csv, counted from 0."""
    return max((int(row["step"]) for row in read_rows(path)), default=None)
