import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from lightning_nlp.errors import UserError
from lightning_nlp.hub import client, pretrained
from tests.models.test_encoder import word_tokenizer

COMMIT = "a" * 40
CONFIG = json.dumps({"model_type": "bert"}).encode()


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(CONFIG)
    save_file({"weight": torch.ones(3)}, folder / "model.safetensors")
    return folder


# --- local folders


def test_a_folder_is_returned_as_it_is(model):
    assert pretrained.fetch_pretrained(str(model), "model") == model
    (model / "tokenizer.json").write_text("{}")
    assert pretrained.fetch_pretrained(str(model), "tokenizer") == model


@pytest.mark.parametrize("names", [("vocab.txt",), ("vocab.json", "merges.txt"), ("tokenizer.json",)], ids=str)
def test_each_form_of_a_tokenizer_will_do(names, tmp_path):
    for name in names:
        (tmp_path / name).write_text("{}")
    assert pretrained.fetch_pretrained(str(tmp_path), "tokenizer") == tmp_path


def test_sharded_weights_are_all_opened(model):
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    save_file({"bias": torch.ones(3)}, model / "model-00002-of-00002.safetensors")
    shards = {"weight": "model-00001-of-00002.safetensors", "bias": "model-00002-of-00002.safetensors"}
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    assert pretrained.fetch_pretrained(str(model), "model") == model
    (model / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-00002-of-00002.safetensors \(it is missing.*--model.pretrained"):
        pretrained.fetch_pretrained(str(model), "model")
    index.write_text("{}")
    with pytest.raises(UserError, match=r"index.json \(.*weight_map.*--model.pretrained"):
        pretrained.fetch_pretrained(str(model), "model")


def test_damaged_weights_are_found(model):
    path = model / "model.safetensors"
    whole = path.read_bytes()
    for broken in (whole[:-4], whole[:6], b"", (1 << 60).to_bytes(8, "little") + whole[8:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"model.safetensors \(.*header.*--model.pretrained"):
            pretrained.fetch_pretrained(str(model), "model")


def test_pickled_weights_are_refused(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"model.safetensors \(it is missing, and pickled weights .*--model.pretrained"):
        pretrained.fetch_pretrained(str(model), "model")


@pytest.mark.parametrize("config", [None, "{", "[]", "{}", '{"model_type": "abacus"}'], ids=str)
def test_a_folder_that_is_no_model_is_refused(config, model):
    (model / "config.json").unlink()
    if config is not None:
        (model / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"no model that can be used.*config.json .*--model.pretrained"):
        pretrained.fetch_pretrained(str(model), "model")


def test_a_folder_that_is_no_tokenizer_is_refused(model):
    for name in (None, "vocab.json"):
        if name:
            (model / name).write_text("{}")
        with pytest.raises(UserError, match=r"is no tokenizer .*--data.tokenizer"):
            pretrained.fetch_pretrained(str(model), "tokenizer")


@pytest.mark.parametrize("name", ["/no/such/folder", "./absent", "~/absent-folder", "a/b/c", "with space/x", ""])
def test_what_is_neither_a_folder_nor_an_id_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"neither a folder nor the id of a (model|tokenizer) on the Hub: give --"):
        pretrained.fetch_pretrained(name, "model")
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(UserError, match=r"neither a folder nor .*--data.tokenizer"):
        pretrained.fetch_pretrained("file.txt", "tokenizer")


# --- the Hub


class Hub(ThreadingHTTPServer):
    """As much of the Hub as a snapshot needs; `failing` maps a part of a path to how many requests shall fail."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.failing, self.requests = files, {}, []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self):
        path = self.path.split("?")[0]
        self.server.requests.append(path)
        for part, left in self.server.failing.items():
            if part in path and left > 0:
                self.server.failing[part] -= 1
                return self.reply(b"busy", 503)
        if "org/name" not in path:
            return self.reply(b"{}", 404, {"X-Error-Code": "RepoNotFound"})
        if "/tree/" in path:
            tree = [{"type": "file", "path": n, "size": len(c), "oid": n} for n, c in self.server.files.items()]
            return self.reply(json.dumps(tree).encode())
        if path.startswith("/api/"):
            return self.reply(json.dumps({"id": "org/name", "sha": COMMIT, "siblings": []}).encode())
        content = self.server.files.get(path.rsplit("/", 1)[-1])
        if content is None:
            return self.reply(b"", 404, {"X-Error-Code": "EntryNotFound"})
        return self.reply(content, 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{path.rsplit("/", 1)[-1]}"'})

    def reply(self, body, status=200, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD = answer


@pytest.fixture
def server(model, tmp_path, monkeypatch):
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    files |= {
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
        "pytorch_model.bin": b"pickle",
        "README.md": b"x",
    }
    server = Hub(files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(client, "DELAYS", (0.0,))
    yield server
    server.shutdown()
    server.server_close()


def test_only_what_is_needed_is_fetched(server):
    folder = pretrained.fetch_pretrained("org/name", "model")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == server.files["model.safetensors"]
    assert pretrained.fetch_pretrained("org/name", "tokenizer") == folder
    assert {"tokenizer.json", "tokenizer_config.json"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "pytorch_model.bin").exists()


def test_a_partial_copy_in_the_cache_is_completed(server):
    """What the cache has is a model alone."""
    pretrained.fetch_pretrained("org/name", "model")
    folder = pretrained.fetch_pretrained("org/name", "tokenizer")
    assert (folder / "tokenizer.json").is_file()


def test_a_partial_copy_in_the_cache_is_refused_when_the_hub_stays_away(server):
    pretrained.fetch_pretrained("org/name", "model")
    server.failing = {"/": 10**6}
    with pytest.raises(UserError, match=r"--data.tokenizer"):
        pretrained.fetch_pretrained("org/name", "tokenizer")


def test_a_complete_copy_in_the_cache_replaces_the_hub(server):
    folder = pretrained.fetch_pretrained("org/name", "model")
    server.failing = {"/": 10**6}
    assert pretrained.fetch_pretrained("org/name", "model") == folder
    server.failing = {}
    server.shutdown()
    server.server_close()
    assert pretrained.fetch_pretrained("org/name", "model") == folder


def test_an_unreachable_hub_is_named(server):
    server.failing = {"/": 10**6}
    with pytest.raises(
        UserError, match=rf"Could not fetch the model 'org/name' from {constants.ENDPOINT}.*local folder"
    ):
        pretrained.fetch_pretrained("org/name", "model")
    with pytest.raises(UserError, match=r"Could not fetch the tokenizer .*give --data.tokenizer a local folder"):
        pretrained.fetch_pretrained("org/name", "tokenizer")


def test_an_unknown_repository_is_not_asked_for_twice(server):
    with pytest.raises(UserError, match=r"repository 'org/other' does not exist, or is private.*--model.pretrained"):
        pretrained.fetch_pretrained("org/other", "model")
    assert len(server.requests) == 1


def test_offline_mode_uses_the_cache_alone(server, monkeypatch):
    folder = pretrained.fetch_pretrained("org/name", "model")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.requests.clear()
    assert pretrained.fetch_pretrained("org/name", "model") == folder
    with pytest.raises(UserError, match=r"--data.tokenizer"):
        pretrained.fetch_pretrained("org/name", "tokenizer")
    assert server.requests == []


def test_the_hash_of_a_tokenizer_is_of_its_vocabulary_alone(tmp_path):
    tokenizer = word_tokenizer()
    before = pretrained.tokenizer_hash(tokenizer)
    tokenizer("w1 w2 w3", truncation=True, max_length=2, padding="max_length")  # leaves its marks on the backend
    assert pretrained.tokenizer_hash(tokenizer) == before
    tokenizer.save_pretrained(tmp_path)
    assert pretrained.tokenizer_hash(PreTrainedTokenizerFast.from_pretrained(tmp_path)) == before
    assert pretrained.tokenizer_hash(word_tokenizer(44)) != before
