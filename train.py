"""The command line: `python train.py fit --config configs/cls.yaml`."""

import gc
import os
import sys

from lightning_nlp.cli import OVERVIEW


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
