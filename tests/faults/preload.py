"""What the forkserver imports and works out once: that takes seconds, and a training of these tests takes one."""

import contextlib
import gc
import io
import threading

import pandas  # noqa: F401  # a training imports it late
import pyarrow.ipc  # noqa: F401
import pytest  # noqa: F401  # each child imports the parent's main module
from transformers import AutoTokenizer, DistilBertForMaskedLM, DistilBertForSequenceClassification  # noqa: F401

from lightning_nlp.cli.main import main
from tests.faults import points  # noqa: F401

for config in ("quickstart.yaml", "quickstart_mlm.yaml"):  # the parser caches what it learns of the classes
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(["fit", "--config", config, "--print_config"])
gc.collect()
gc.freeze()  # a child that collects garbage would copy all these pages
assert threading.active_count() == 1, "a fork has only the thread that forks"
