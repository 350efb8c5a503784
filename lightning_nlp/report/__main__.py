"""`python -m lightning_nlp.report RUN`: a run's report anew; of several runs, how they compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_nlp.errors import UserError
from lightning_nlp.privacy import home_as_tilde
from lightning_nlp.report.compare import comparison
from lightning_nlp.report.files import read_run
from lightning_nlp.report.page import NAME, page, render
from lightning_nlp.whole_files import write_whole


def main(args: Sequence[str] | None = None) -> None:
    """The program: exit code 2 for a user's mistake; the page's path is the one line on stdout.

    Args:
        args: The command line without the program's name; None takes that of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m lightning_nlp.report", description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="A run's directory, such as runs/cls/0.")
    parser.add_argument(
        "--output", type=Path, help=f"The page; by default RUN/{NAME}, and comparison.html of several runs."
    )
    options = parser.parse_args(args)
    try:
        print(write(options.runs, options.output))
    except UserError as error:
        print(f"error: {str(error).removeprefix('--run ')}", file=sys.stderr)
        sys.exit(2)


def write(paths: list[str], output: Path | None = None) -> Path:
    """Write a run's report, or the comparison of several.

    Args:
        paths: The runs' directories.
        output: The page.

    Returns:
        The page.

    Raises:
        UserError: If one of them is no run, or the page cannot be written.
    """
    runs = [read_run(path) for path in paths]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UserError(f"{' '.join(paths)} names a run twice: give each once.")
    if len(runs) == 1:
        target, text = output or runs[0].path / NAME, render("page.html.j2", page(runs[0]))
    else:
        target, text = output or Path("comparison.html"), render("compare.html.j2", comparison(runs))
    try:
        write_whole(target, home_as_tilde(text))
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}): give another --output.") from error
    return target


if __name__ == "__main__":
    main()
