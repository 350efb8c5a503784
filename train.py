"""The command line: `python train.py fit --config configs/cls.yaml`."""

import gc
import os
import sys

OVERVIEW = """\
usage: train.py COMMAND [arguments]

commands:
  fit       train, test the best checkpoint and export it: --config configs/cls.yaml, and what it should not say
  inspect   look at the data before the training, as a report: --config, like fit; exit code 1 for severe findings
  validate  measure a checkpoint on the validation part: --run runs/cls/0
  test      measure it on the test split: --run runs/cls/0
  predict   predict for a file of texts: --run runs/cls/0 --input reviews.txt --output predictions.jsonl

`train.py COMMAND --help` explains each argument of a command."""


def start() -> None:
    """Import what the command needs, which takes seconds, and run it."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(OVERVIEW)
        return
    # GNU OpenMP lets a thread that is done spin for milliseconds until the others are. Where another program takes a
    # core, the steps of a small model take five times as long for that; so short a wait costs nothing where none does.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    gc.disable()  # what the imports make lives as long as the process: to search it for garbage takes a second
    from lightning_nlp.cli.main import main

    gc.freeze()
    gc.enable()
    main()


if __name__ == "__main__":
    start()
