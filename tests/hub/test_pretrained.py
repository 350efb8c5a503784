import json
import threading

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from lightning_nlp.errors import UserError
from lightning_nlp.hub import client, pretrained
from tests.hub.server import Hub
from tests.models.test_encoder import word_tokenizer

CONFIG = json.dumps({"model_type": "bert"}).encode()


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(CONFIG)
    save_file({"weight": torch.ones(3)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("names", "complete"),
    [
        (("vocab.txt",), True),
        (("vocab.json", "merges.txt"), True),
        (("tokenizer.json",), True),
        (("vocab.json",), False),
        ((), False),
    ],
)
def test_a_folder_is_returned_as_it_is_if_it_is_complete(names, complete, model):
    assert pretrained.fetch_pretrained(str(model), "model") == model
    for name in names:
        (model / name).write_text("{}")
    if complete:
        assert pretrained.fetch_pretrained(str(model), "tokenizer") == model
        return
    with pytest.raises(UserError, match=r"is not a usable tokenizer, .*--data.tokenizer"):
        pretrained.fetch_pretrained(str(model), "tokenizer")


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
    for broken in (whole[:-4], b"", (1 << 60).to_bytes(8, "little") + whole[8:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"model.safetensors \(.*header.*--model.pretrained"):
            pretrained.fetch_pretrained(str(model), "model")


@pytest.mark.parametrize("name", ["/no/such/folder", "./absent", "~/absent-folder", "a/b/c", "with space/x", ""])
def test_what_is_neither_a_folder_nor_an_id_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"neither a folder nor the id of a (model|tokenizer) on the Hub: give --"):
        pretrained.fetch_pretrained(name, "model")
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(UserError, match=r"neither a folder nor .*--data.tokenizer"):
        pretrained.fetch_pretrained("file.txt", "tokenizer")


@pytest.fixture
def server(model, tmp_path, monkeypatch):
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    files |= dict.fromkeys(("tokenizer.json", "tokenizer_config.json"), b"{}")
    files |= {"pytorch_model.bin": b"pickle", "README.md": b"x"}
    server = Hub(files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(client, "DELAYS", (0.0,))
    yield server
    server.close()


def test_only_what_is_needed_is_fetched(server):
    folder = pretrained.fetch_pretrained("org/name", "model")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == server.files["models"]["model.safetensors"]
    assert pretrained.fetch_pretrained("org/name", "tokenizer") == folder
    assert {"tokenizer.json", "tokenizer_config.json"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "pytorch_model.bin").exists()


def test_only_a_complete_copy_in_the_cache_replaces_the_hub(server):
    folder = pretrained.fetch_pretrained("org/name", "model")
    server.fault = lambda request: "busy"
    assert pretrained.fetch_pretrained("org/name", "model") == folder
    with pytest.raises(UserError, match=r"Could not fetch the tokenizer .*give --data.tokenizer a local folder"):
        pretrained.fetch_pretrained("org/name", "tokenizer")
    server.close()
    assert pretrained.fetch_pretrained("org/name", "model") == folder


def test_an_unknown_repository_is_not_asked_for_twice(server):
    with pytest.raises(UserError, match=r"repository 'org/unknown' does not exist, or is private.*--model.pretrained"):
        pretrained.fetch_pretrained("org/unknown", "model")
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
