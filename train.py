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
    # By default GNU OpenMP's threads spin for milliseconds while they wait for each other, which makes the steps of a
    # small model take five times as long if another program uses a core. A shorter wait costs nothing otherwise.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    gc.disable()  # collecting during the imports, whose objects all stay, takes a second
    from lightning_nlp.cli.main import main

    gc.freeze()
    gc.enable()
    main()


if __name__ == "__main__":
    start()
