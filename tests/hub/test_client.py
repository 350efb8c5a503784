"""The real client libraries, in a process of their own, since they read the Hub's address when they are imported."""

import collections
import io
import os
import random
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub.server import Hub

FETCH = """
import sys
from lightning_nlp.hub import client, pretrained
from datasets import load_dataset
from lightning_nlp.data.texts.hub_texts import from_hub
from lightning_nlp.errors import UserError
from huggingface_hub.utils import _http
client.DELAYS, client.TIMEOUT_S = (0.01,) * 5, 1.0
slow = _http.time.sleep
_http.time.sleep = lambda seconds: slow(seconds / 100)  # the library's own waiting
try:
    model = pretrained.fetch_pretrained("org/model", "model")
    tokenizer = pretrained.fetch_pretrained("org/model", "tokenizer")
    data = from_hub("org/films", load_dataset)
    print("whole", (model / "model.safetensors").stat().st_size, (tokenizer / "tokenizer.json").stat().st_size,
          len(data["train"]), data["train"].features["label"].names)
except UserError as error:
    print("error:", error)
"""


@pytest.fixture
def files(pretrained):
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["a good film", "a bad one"] * 5000, "label": [1, 0] * 5000}), table)
    card = """---
dataset_info:
  features:
  - {name: text, dtype: string}
  - name: label
    dtype: {class_label: {names: {'0': neg, '1': pos}}}
configs:
- config_name: default
  data_files: [{split: train, path: data/train.parquet}]
---
"""
    models = {path.name: path.read_bytes() for path in pretrained.iterdir()}
    return models, {"README.md": card.encode(), "data/train.parquet": table.getvalue()}


def fetch(server, home, code=FETCH):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": server.url, "HF_HOME": str(home), "no_proxy": "*"}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_ETAG_TIMEOUT": "2", "HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    try:
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=home, capture_output=True, text=True, timeout=120
        ).stdout.strip()
    finally:
        server.close()
        thread.join()


def whole(files):
    model, _ = files
    return f"whole {len(model['model.safetensors'])} {len(model['tokenizer.json'])} 10000 ['neg', 'pos']"


def test_each_request_fails_twice_and_all_arrives(files, tmp_path):
    asked = collections.Counter()

    def fault(request):
        asked[request] += 1
        return {1: "busy", 2: "cut"}.get(asked[request], "")

    assert fetch(Hub(*files, fault), tmp_path) == whole(files)
    assert len(asked) >= 15
    assert min(asked.values()) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_fails_all_arrives_or_one_error_says_so(rate, seed, files, tmp_path):
    rng = random.Random(seed)

    def fault(request):
        return rng.choice(["busy", "cut"]) if rng.random() < rate else ""

    said = fetch(Hub(*files, fault), tmp_path)
    assert said == whole(files) or (said.startswith("error: Could not fetch the ") and rate > 0.2)
    assert fetch(Hub(*files), tmp_path) == whole(files)  # no half file is in the way of the next attempt


def test_a_hub_that_always_fails_is_one_error_and_no_file(files, tmp_path):
    said = fetch(Hub(*files, lambda request: "busy"), tmp_path)
    assert said.startswith("error: Could not fetch the model 'org/model' from http")
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.slow
def test_a_hub_that_never_answers_is_one_error(files, tmp_path):
    """The library itself waits without end for what it asks its API."""
    server = Hub(*files, lambda request: "hangs" if "/api/" in request else "")
    assert fetch(server, tmp_path).startswith("error: Could not fetch the model")
