"""A run's metrics.csv: written by a logger that continues after a resume, and read."""

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

    Rows are appended, and only the last is kept in memory; a new column rewrites the file. Lightning's CSVLogger keeps
    all rows, and deletes the file of an earlier training.

    Args:
        resume_step: Continue an existing file after its rows of the steps before this one, counted from 0.
    """

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        super().__init__()
        self.path = path
        self._resume_step = resume_step
        self._columns: list[str] = []  # none before the first row
        self._row: dict[str, Any] = {}
        self._end = 0  # where in the file the last row begins

    @property
    def name(self) -> str:
        """Empty: the run's directory is the name."""
        return ""

    @property
    def version(self) -> str:
        """Empty."""
        return ""

    @property
    def log_dir(self) -> str:
        """The run's directory."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: they are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row, or add to the last one if it is of the same step."""
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
        if not self._columns:  # nothing is written yet: keep the rows from before a resume
            rows = [row for row in read_rows(self.path) if int(row["step"]) < (self._resume_step or 0)]
        last = rows[-1] if rows else self._row
        same_step = bool(last) and str(last["step"]) == str(step)
        row = {**last, **metrics} if same_step else {"step": step, **metrics}
        if set(row) <= set(self._columns) and self.path.exists():
            self._put(row, in_place=same_step)
        else:
            rows = read_rows(self.path) if rows is None else rows
            self._write([*(rows[:-1] if same_step else rows), row])
        self._row = row

    def _put(self, row: dict[str, Any], *, in_place: bool) -> None:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns).writerow(row)
        with self.path.open("r+b") as file:
            place = self._end if in_place else file.seek(0, os.SEEK_END)
            # in one call, so that a process that is killed leaves no half row
            file.truncate(place + os.pwrite(file.fileno(), text.getvalue().encode(), place))
        self._end = place

    def _write(self, rows: list[dict[str, Any]]) -> None:
        found = {column for row in rows for column in row} - {"epoch", "step"}
        self._columns = ["epoch", "step", *sorted(found)]
        with whole_file(self.path, "w") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows[:-1])
            file.flush()
            self._end = os.fstat(file.fileno()).st_size
            writer.writerows(rows[-1:])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.csv without their empty fields, and without a half row; none if there is no such file."""
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
