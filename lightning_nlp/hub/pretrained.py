"""Pretrained models and tokenizers, local or from the Hub, checked."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from lightning_nlp.errors import UserError, one_line
from lightning_nlp.hub.client import be_patient

# Top-level files only: repositories also hold ONNX, TensorFlow and pickled copies of the same weights.
FILES = {
    "model": ["config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"],
    "tokenizer": (
        "config.json tokenizer*.json special_tokens_map.json added_tokens.json vocab.txt vocab.json merges.txt"
    ).split(),
}
VOCABULARIES = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))
ARGUMENT = {"model": "--model.pretrained", "tokenizer": "--data.tokenizer"}

Kind = Literal["model", "tokenizer"]


def fetch_pretrained(name: str, files: Kind) -> Path:
    """The complete folder of a pretrained model or tokenizer; its cached copy if the Hub cannot be reached.

    Args:
        name: A folder, or else a Hub id, e.g. "distilbert/distilbert-base-uncased".
        files: "model" for `config.json` and safetensors weights, "tokenizer" for the tokenizer's files.

    Raises:
        UserError: If it does not exist, lacks a file, is damaged, or has only pickled weights.
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
                f"{name!r} is neither a folder nor the id of a {files} on the Hub: give {ARGUMENT[files]} an existing "
                "folder or an id, e.g. organisation/name."
            ) from error
        folder = _download(name, files)
    _check(folder, name, files)
    return folder


def _download(name: str, files: Kind) -> Path:
    import httpx2
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    be_patient()
    failures: list[Exception] = []
    for cached in (False, True):
        try:
            return Path(snapshot_download(name, allow_patterns=FILES[files], local_files_only=cached))
        except RepositoryNotFoundError as error:
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


def tokenizer_state(tokenizer: Any) -> dict[str, Any]:
    """What determines a text's token ids: not truncation and padding, which only remember the last call."""
    return json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}


def tokenizer_hash(tokenizer: Any) -> str:
    """The SHA-256 of `tokenizer_state`."""
    return hashlib.sha256(json.dumps(tokenizer_state(tokenizer), sort_keys=True).encode()).hexdigest()


def _check(folder: Path, name: str, files: Kind) -> None:
    """Raise a UserError unless the folder is complete, and can be read without running code."""
    from safetensors import safe_open
    from transformers import AutoConfig

    part = folder
    try:
        if files == "tokenizer":
            # without these, transformers builds a tokenizer without a single word
            if not any(all((folder / file).is_file() for file in vocabulary) for vocabulary in VOCABULARIES):
                raise OSError("there is neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt")
            return
        part = folder / "config.json"
        AutoConfig.from_pretrained(folder, trust_remote_code=False)
        shards, index = ["model.safetensors"], folder / "model.safetensors.index.json"
        if index.is_file() and not (folder / shards[0]).is_file():
            part = index
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            if elsewhere := [shard for shard in shards if Path(shard).name != shard]:
                raise ValueError(f"it names {elsewhere[0]}, outside its folder")
        for shard in shards:
            part = folder / shard
            if not part.is_file():
                raise OSError("it is missing, and pickled weights (.bin), which can run code, are not loaded")
            with safe_open(part, framework="pt"):  # detects a truncated copy
                pass
    except Exception as error:  # transformers, safetensors and json share no other base class
        raise UserError(
            f"{name!r} is not a usable {files}, because of {part} ({one_line(error)[:300]}): give {ARGUMENT[files]} a "
            "folder written by save_pretrained, or download it again."
        ) from error
