"""Pretrained models and tokenizers as folders on disk: given as such or fetched from the Hub, and always checked."""

from __future__ import annotations

import hashlib
import json
import os
import time
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
ARGUMENT = {"model": "--model.pretrained", "tokenizer": "--data.tokenizer"}
# Seconds before each attempt; each request within one is repeated already. After so many seconds, or where the client
# itself has waited for long, there is no use in another attempt.
ATTEMPTS = (0.0, 0.5, 1.5)
PATIENCE = 10.0

Kind = Literal["model", "tokenizer"]


def fetch_pretrained(name: str, files: Kind) -> Path:
    """Find a pretrained model or tokenizer, and make sure that all of it is there.

    A download that fails is tried again; after that a complete copy in the Hub's cache will do. What arrived is checked
    in each case, because an unreachable Hub can leave an incomplete folder in the cache that loads without a complaint.

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
    if name and os.path.isdir(folder):  # pathlib raises for names that no file can have
        _check(folder, name, files)
        return folder
    try:
        if not name or folder.is_absolute() or name.startswith((".", "~")) or os.path.exists(folder):
            raise HFValidationError(name)
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(
            f"{name!r} is neither a folder nor the id of a {files} on the Hub: "
            f"give {ARGUMENT[files]} an existing folder or an id such as organisation/name."
        ) from error
    return _download(name, files)


def _download(name: str, files: Kind) -> Path:
    """Fetch a snapshot from the Hub, with a few attempts, then from the cache alone."""
    import httpx2
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    be_patient()
    failure: Exception | None = None
    start = time.monotonic()
    for delay in (0.0,) if constants.is_offline_mode() else ATTEMPTS:
        if time.monotonic() - start > PATIENCE:
            break
        time.sleep(delay)
        try:
            folder = Path(snapshot_download(name, allow_patterns=FILES[files]))
            _check(folder, name, files)
            return folder
        except (GatedRepoError, RepositoryNotFoundError) as error:
            gated = isinstance(error, GatedRepoError)
            reason = "asks for a login and its owner's consent" if gated else "does not exist, or is private"
            raise UserError(
                f"The repository {name!r} {reason} on {constants.ENDPOINT}: give {ARGUMENT[files]} another id or a "
                "local folder, or log in with `hf auth login`."
            ) from error
        except (OSError, httpx2.HTTPError, UserError) as error:
            # A UserError may only mean that a partial snapshot came out of the cache: another attempt can complete it.
            failure = error
    try:
        folder = Path(snapshot_download(name, allow_patterns=FILES[files], local_files_only=True))
        _check(folder, name, files)
        return folder
    except (OSError, UserError):
        assert failure is not None
        if isinstance(failure, UserError):
            raise failure from None
        details = f"{type(failure).__name__}: {failure}".splitlines()[0]
        raise UserError(
            f"Could not fetch the {files} {name!r} from {constants.ENDPOINT}, and there is no complete copy in the "
            f"cache ({details}): check the network, or give {ARGUMENT[files]} a local folder."
        ) from failure


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
    """Raise a UserError unless `folder` holds a whole model or tokenizer."""
    if files == "model":
        config = _read_json(folder / "config.json", name, files)
        if not isinstance(config.get("model_type"), str):
            raise UserError(
                f"{folder / 'config.json'} names no model_type, so {name!r} is no model of transformers: "
                f"give {ARGUMENT[files]} a folder written by save_pretrained."
            )
        _check_weights(folder, name)
        return
    has_vocabulary = (folder / "vocab.txt").is_file() or (
        (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    )
    if (folder / "tokenizer.json").is_file():
        _read_json(folder / "tokenizer.json", name, files)
    elif not has_vocabulary:
        raise UserError(
            f"{name!r} is no tokenizer: {folder} holds neither tokenizer.json nor vocab.txt nor vocab.json with "
            f"merges.txt; give {ARGUMENT[files]} a folder written by the tokenizer's save_pretrained."
        )


def _check_weights(folder: Path, name: str) -> None:
    """Open the header of each weight file: it records the file's length, so a cut copy is found without reading it."""
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        shards = [folder / "model.safetensors"]
    elif index.is_file():
        weight_map = _read_json(index, name, "model").get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise UserError(f"{index} has no weight_map: fetch the model again or give another --model.pretrained.")
        names = sorted({str(shard) for shard in weight_map.values()})
        if elsewhere := next((shard for shard in names if Path(shard).name != shard), None):
            raise UserError(
                f"{index} names the file {elsewhere!r} outside its folder: give another --model.pretrained."
            )
        shards = [folder / shard for shard in names]
    else:
        pickled = _has_pickled_weights(folder, name)
        what = "only pickled weights (.bin), which can run code when they are loaded" if pickled else "no weights"
        raise UserError(
            f"{name!r} has {what}: there is no model.safetensors in {folder}; "
            "give --model.pretrained a model with safetensors weights."
        )
    for shard in shards:
        try:
            with safe_open(shard, framework="pt") as tensors:
                assert tensors.keys() is not None
        except (OSError, SafetensorError) as error:
            what = "is missing" if not shard.is_file() else f"cannot be read ({error})"
            raise UserError(
                f"The weight file {shard} of {name!r} {what}: delete the folder and fetch it again, or give another "
                "--model.pretrained."
            ) from error


def _has_pickled_weights(folder: Path, name: str) -> bool:
    """Whether the weights exist as `.bin`: in a local folder, or in the cached list of the repository's files."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, HFValidationError

    if any(folder.glob("*.bin")):
        return True
    if Path(name).expanduser().is_dir():
        return False
    try:
        return any(file.path.endswith(".bin") for file in get_cached_repo_tree(name))
    except (CachedRepoTreeNotFoundError, HFValidationError):
        return False


def _read_json(path: Path, name: str, files: Kind) -> dict[str, Any]:
    """Read a JSON object, or say which file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        what = "is missing" if not path.is_file() else f"cannot be read ({error})"
        raise UserError(
            f"{name!r} is no complete {files}: {path} {what}; give {ARGUMENT[files]} a folder written by "
            "save_pretrained, or fetch it again."
        ) from error
    return content
