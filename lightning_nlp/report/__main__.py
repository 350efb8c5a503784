"""`python -m lightning_nlp.report RUN`: write a run's report again, or a comparison of several runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_nlp.errors import UserError
from lightning_nlp.report.page import NAME, write_report


def main(args: Sequence[str] | None = None) -> None:
    """Run the program: exits with 2 for a user's mistake; the page's path is the only line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m lightning_nlp.report", description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="A run's directory, e.g. runs/cls/0.")
    parser.add_argument("--output", type=Path, help=f"Default: RUN/{NAME}; for several runs comparison.html.")
    options = parser.parse_args(args)
    try:
        print(write_report(*options.runs, output=options.output))
    except UserError as error:
        print(f"error: {str(error).removeprefix('--run ')}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
