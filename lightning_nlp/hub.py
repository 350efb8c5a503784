"""Pretrained models and tokenizers as folders on disk: given as such or fetched from the Hub, and always checked."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning_nlp.errors import UserError
from lightning_nlp.hub_client import be_patient

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Top-level files only: repositories also hold ONNX, TensorFlow and pickled copies of the same weights.
FILES = {
    "model": ["config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"],
    "tokenizer": [
        "config.json",
        "tokenizer*.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
    ],
}
VOCABULARIES = (("vocab.txt",), ("vocab.json", "merges.txt"))
ARGUMENT = {"model": "--model.pretrained", "tokenizer": "--data.tokenizer"}

Kind = Literal["model", "tokenizer"]


def fetch_pretrained(name: str, files: Kind) -> Path:
    """Find a pretrained model or tokenizer, and make sure that all of it is there.

    Where the Hub cannot be reached, a complete copy in its cache will do; its client knows from an earlier answer what
    belongs to it.

    Args:
        name: A folder, or a Hub id such as "distilbert/distilbert-base-uncased". A folder wins over a Hub id.
        files: "model" for `config.json` and safetensors weights, "tokenizer" for the tokenizer's files.

    Returns:
        The folder that holds the files.

    Raises:
        UserError: If `name` is neither, is unknown to the Hub, cannot be reached and is not in the cache, or lacks a
            file, is damaged, or has its weights only as a pickle.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    folder = Path(name).expanduser()
    if not name or not os.path.isdir(folder):  # pathlib raises for names that no file can have
        try:
            if not name or folder.is_absolute() or name.startswith((".", "~")) or os.path.exists(folder):
                raise HFValidationError(name)
            validate_repo_id(name)
        except HFValidationError as error:
            raise UserError(
                f"{name!r} is neither a folder nor the id of a {files} on the Hub: "
                f"give {ARGUMENT[files]} an existing folder or an id such as organisation/name."
            ) from error
        folder = _download(name, files)
    _check(folder, name, files)
    return folder


def _download(name: str, files: Kind) -> Path:
    """Fetch a snapshot from the Hub, or take it from the cache if all of it is there."""
    import httpx2
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    be_patient()
    failures: list[Exception] = []
    for cached in (False, True):
        try:
            return Path(snapshot_download(name, allow_patterns=FILES[files], local_files_only=cached))
        except (GatedRepoError, RepositoryNotFoundError) as error:
            gated = isinstance(error, GatedRepoError)
            reason = "asks for a login and its owner's consent" if gated else "does not exist, or is private"
            raise UserError(
                f"The repository {name!r} {reason} on {constants.ENDPOINT}: give {ARGUMENT[files]} another id or a "
                "local folder, or log in with `hf auth login`."
            ) from error
        except (OSError, httpx2.HTTPError) as error:
            failures.append(error)
    details = f"{type(failures[0]).__name__}: {failures[0]}".splitlines()[0]
    raise UserError(
        f"Could not fetch the {files} {name!r} from {constants.ENDPOINT}, and there is no complete copy in the "
        f"cache ({details}): check the network, or give {ARGUMENT[files]} a local folder."
    ) from failures[0]


def tokenizer_hash(tokenizer: PreTrainedTokenizerFast) -> str:
    """The SHA-256 of all that decides a text's token ids.

    Truncation and padding are left out: a tokenizer keeps those of its last call, and they change no id.

    Args:
        tokenizer: Any fast tokenizer.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["truncation"] = state["padding"] = None
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _check(folder: Path, name: str, files: Kind) -> None:
    """Raise a UserError unless `folder` holds a model or tokenizer that can be read without running code."""
    if files == "model":
        config = _read_json(folder / "config.json", name, files)
        if not isinstance(config.get("model_type"), str):
            raise UserError(
                f"{folder / 'config.json'} names no model_type, so {name!r} is no model of transformers: "
                f"give {ARGUMENT[files]} a folder written by save_pretrained."
            )
        _check_weights(folder, name)
    elif (folder / "tokenizer.json").is_file():
        _read_json(folder / "tokenizer.json", name, files)
    elif not any(all((folder / part).is_file() for part in parts) for parts in VOCABULARIES):
        raise UserError(
            f"{name!r} is no tokenizer: {folder} holds neither tokenizer.json nor vocab.txt nor vocab.json with "
            f"merges.txt; give {ARGUMENT[files]} a folder written by the tokenizer's save_pretrained."
        )


def _check_weights(folder: Path, name: str) -> None:
    """Open the header of each weight file: it records the file's length, so a cut copy is found without reading it."""
    from safetensors import SafetensorError, safe_open

    shards, index = ["model.safetensors"], folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / shards[0]).is_file():
        weight_map = _read_json(index, name, "model").get("weight_map")
        shards = sorted({str(shard) for shard in weight_map.values()}) if isinstance(weight_map, dict) else []
        if not shards or any(Path(shard).name != shard for shard in shards):
            raise UserError(
                f"{index} names no weights, or some outside its folder ({', '.join(shards[:3])}): give another "
                "--model.pretrained."
            )
    for shard in shards:
        try:
            with safe_open(folder / shard, framework="pt") as tensors:
                assert tensors.keys() is not None
        except (OSError, SafetensorError) as error:
            raise _unusable(folder / shard, name, "model", error) from error


def _read_json(path: Path, name: str, files: Kind) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise _unusable(path, name, files, error) from error
    return content


def _unusable(path: Path, name: str, files: Kind, error: Exception) -> UserError:
    what = f"cannot be read ({error})" if path.is_file() else "is missing"
    if what == "is missing" and path.suffix == ".safetensors":
        what += ", and pickled weights (.bin) are not read, since they can run code"
    return UserError(
        f"{name!r} is no complete {files}: {path} {what}; give {ARGUMENT[files]} a folder written by save_pretrained, "
        "or fetch it again."
    )
