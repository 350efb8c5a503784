"""Keeps secrets and the home folder's name out of a run's files."""

import os
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonargparse import Namespace

from lightning_nlp.errors import UserError

SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY")
_SECRET_PARAMETER = re.compile(r"token|key|secret|sig|pass|auth|cred", re.IGNORECASE)
_SECRET_SETTING = re.compile(r"(api_?key|password|secret|(access|auth|hf|hub)_?token)$", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")


def check_secrets(config: dict[str, Any]) -> None:
    """Refuse a password, token or key in the configuration, without repeating it in the message."""
    known = [value for name in SECRET_VARIABLES if len(value := os.environ.get(name, "")) >= 8]
    for key, value in leaves(config):
        if not isinstance(value, str) or not value:
            continue
        secret_address = "://" in value and _has_password(value)
        named = _SECRET_SETTING.search(key.rsplit(".", 1)[-1])
        if secret_address or named or _HUB_TOKEN.search(value) or any(secret in value for secret in known):
            cure = "download the file and give its path" if secret_address else "log in instead"
            option = re.sub(r"^(model|data)\.init_args", r"\1", key)
            raise UserError(
                f"--{option} contains a password, token or key, which the run's files would reveal: {cure} "
                "(`hf auth login`, `wandb login`, or HF_TOKEN and WANDB_API_KEY in the environment)."
            )


def leaves(value: Any, key: str = "") -> list[tuple[str, Any]]:
    """The values of nested dicts and lists with their dotted keys; a list's items have the list's key."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, dict):
        return [leaf for name, part in value.items() for leaf in leaves(part, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in leaves(part, key)]
    return [(key, value)]


def _has_password(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return "@" in parts.netloc or any(_SECRET_PARAMETER.search(name) for name, _ in parse_qsl(parts.query))
    except ValueError:
        return False


def home_as_tilde(text: str) -> str:
    """Replace the user's home folder at the beginning of paths by "~"."""
    for home in dict.fromkeys((os.path.expanduser("~"), os.path.realpath(os.path.expanduser("~")))):
        if len(home) > 1 and home != "~":  # "/" or no home at all
            text = re.sub(rf"(?<![\w.~-]){re.escape(home)}(?=/|$|[\s'\",:\]])", "~", text)
    return text


def paths_with_tilde(state: Any) -> Any:
    """Copy nested dicts and lists, with "~" in all paths below the home folder."""
    return _on_strings(state, home_as_tilde)


def paths_expanded(state: Any) -> Any:
    """Undo `paths_with_tilde`, with links to the home folder resolved."""
    home = os.path.realpath(os.path.expanduser("~"))
    return _on_strings(state, lambda text: home + text[1:] if text == "~" or text.startswith("~/") else text)


def _on_strings(state: Any, change: Any) -> Any:
    if isinstance(state, str):
        return change(state)
    if type(state) is dict:
        return {change(k) if isinstance(k, str) else k: _on_strings(v, change) for k, v in state.items()}
    if type(state) in (list, tuple):
        return type(state)(_on_strings(part, change) for part in state)
    return state


def public_command(command: str) -> str:
    """Reduce each absolute or home path in a command line to its last name."""
    return re.sub(r"(?<![\w.:/])(?:~[\w.-]*)?/(?:[^\s'\"=,]*/)*(?=[^\s'\"=,/])", "", home_as_tilde(command))
