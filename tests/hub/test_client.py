"""A Hub that answers 503, cuts its answers or hangs: the real client libraries against a server that fails on schedule.

In a process of its own, since the libraries read the Hub's address when they are imported.
"""

import collections
import io
import json
import os
import random
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMIT = "c" * 40
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


class FailingHub(ThreadingHTTPServer):
    """Serves a model and a data set.

    Each request fails with the chance `rate`, by a 503 or cut in the middle, or `each` fails so many times first.
    """

    def __init__(self, files, rate=0.0, seed=0, each=0, hang=""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.rate, self.random, self.each, self.hang = files, rate, random.Random(seed), each, hang
        self.asked = collections.Counter()
        self.stop = threading.Event()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self):
        path = self.path.split("?")[0]
        if self.server.hang and self.server.hang in path:
            self.server.stop.wait(60)
            return
        fails, cut = self.server.random.random() < self.server.rate, self.server.random.random() < 0.5
        if self.server.each:
            self.server.asked[self.command + path] += 1
            fails = self.server.asked[self.command + path] <= self.server.each
            cut = self.server.asked[self.command + path] % 2 == 0
        if fails and not cut:
            self.reply(b"busy", 503)
            return
        status, body, headers = self.content(path)
        self.reply(body, status, headers, cut=fails)

    def content(self, path):
        kind = "datasets" if "/datasets/" in path else "models"
        files = self.server.files[kind]
        if path.startswith("/api/") and "/tree/" in path:
            below = path.partition("/tree/")[2].partition("/")[2]
            tree = [
                {"type": "file", "path": n, "size": len(c), "oid": n} for n, c in files.items() if n.startswith(below)
            ]
            return 200, json.dumps(tree).encode(), {"Content-Type": "application/json"}
        if path.startswith("/api/"):
            info = {"id": "org/x", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            return 200, json.dumps(info).encode(), {"Content-Type": "application/json"}
        name = path.partition("/resolve/")[2].partition("/")[2]
        if name not in files:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        return 200, files[name], {"X-Repo-Commit": COMMIT, "ETag": f'"{name}"', "Accept-Ranges": "bytes"}

    def reply(self, body, status=200, headers=None, cut=False):
        whole, start = len(body), 0
        asked = self.headers.get("Range")
        if asked and status == 200:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            status, body = 206, body[start:]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = True

    do_GET = do_HEAD = answer


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
    return {
        "models": {path.name: path.read_bytes() for path in pretrained.iterdir()},
        "datasets": {"README.md": card.encode(), "data/train.parquet": table.getvalue()},
    }


def fetch(server, home):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(home), "no_proxy": "*"}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_ETAG_TIMEOUT": "2", "HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    environment["PYTHONPATH"] = os.getcwd()
    try:
        return subprocess.run(
            [sys.executable, "-c", FETCH], env=environment, cwd=home, capture_output=True, text=True, timeout=120
        ).stdout.strip()
    finally:
        server.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def whole(files):
    model = files["models"]
    return f"whole {len(model['model.safetensors'])} {len(model['tokenizer.json'])} 10000 ['neg', 'pos']"


def test_each_request_fails_twice_and_all_arrives(files, tmp_path):
    server = FailingHub(files, each=2)
    assert fetch(server, tmp_path) == whole(files)
    assert len(server.asked) >= 15
    assert min(server.asked.values()) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_fails_all_arrives_or_one_error_says_so(rate, seed, files, tmp_path):
    said = fetch(FailingHub(files, rate, seed), tmp_path)
    assert said == whole(files) or (said.startswith("error: Could not fetch the ") and rate > 0.2)
    assert fetch(FailingHub(files), tmp_path) == whole(files)  # no half file is in the way of the next attempt


def test_a_hub_that_always_fails_is_one_error_and_no_file(files, tmp_path):
    said = fetch(FailingHub(files, 1.0), tmp_path)
    assert said.startswith("error: Could not fetch the model 'org/model' from http")
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.slow
def test_a_hub_that_never_answers_is_one_error(files, tmp_path):
    """The library itself waits without end for what it asks its API."""
    assert fetch(FailingHub(files, hang="/api/"), tmp_path).startswith("error: Could not fetch the model")
