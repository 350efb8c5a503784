"""The command line: arguments, checks, config files, output."""

import gc
import sys

from lightning_nlp.errors import PROGRAM

OVERVIEW = f"""\
usage: {PROGRAM} COMMAND [arguments]

commands:
  fit       train, test the best checkpoint and export it: --config cls.yaml, and settings to change
  inspect   look at the data before the training, as a report: --config, like fit; exit code 1 for severe findings
  validate  measure a checkpoint on the validation part: --run runs/cls/0
  test      measure it on the test split: --run runs/cls/0
  predict   predict for a file of texts: --run runs/cls/0 --input reviews.txt --output predictions.jsonl
  configs   write the shipped yaml files into this folder, where you can change them

`{PROGRAM} COMMAND --help` explains each argument of a command."""


def start() -> None:
    """Import what the command needs, which takes seconds, and run it."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(OVERVIEW)
        return
    gc.disable()  # collecting garbage during the imports takes a second and finds none
    from lightning_nlp.cli.main import main

    gc.freeze()
    gc.enable()
    main()
