"""UserError, and what an error's message is made of."""

import logging
import math
import sys
from pathlib import Path

# How the user calls the command line, for what we tell them to run.
PROGRAM = "lightning-nlp" if Path(sys.argv[0]).stem == "lightning-nlp" else "python train.py"


class UserError(ValueError):
    """Bad input: the command line prints the message alone and exits with code 2.

    Its message has four parts: what is wrong, the value, where, and the argument or command that cures it. Any other
    `ValueError` counts as a bug of ours, and keeps its traceback.

    Args:
        can_go_on: Whether the training can be resumed from its last.ckpt once this is cured.
    """

    def __init__(self, message: str, *, can_go_on: bool = False) -> None:
        super().__init__(message)
        self.can_go_on = can_go_on

    def _render_traceback_(self) -> list[str]:
        """For IPython: only the message helps."""
        return [f"{type(self).__name__}: {self}"]


def check_range(
    argument: str,
    value: float | None,
    low: float,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    """Raise a UserError unless the value of an argument, e.g. `--model.lr`, is None or a finite number in its range."""
    if value is None:
        return
    inside = low <= value <= high and math.isfinite(value)  # in this order: isfinite raises for a huge int
    if not inside or (low_open and value == low) or (high_open and value == high):
        least = f"greater than {low}" if low_open else f"at least {low}"
        most = "" if high == math.inf else f" and less than {high}" if high_open else f" and at most {high}"
        raise UserError(f"{argument} must be {least}{most}, not {value}.")


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def printable(message: str) -> str:
    """A message with its control and other unprintable characters escaped: file names may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def warn_user(message: str) -> None:
    """Print a warning on the main process, even with `--quiet`."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_only  # takes seconds to import

    if not rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger("lightning.pytorch.utilities.rank_zero").warning(message)
