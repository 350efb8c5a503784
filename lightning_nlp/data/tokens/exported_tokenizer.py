"""The tokenizer of an export: cleans texts as the training did, and loads in transformers 4 too."""

import inspect
import json
from pathlib import Path
from typing import Any

# What Python's `split` and `splitlines` split at.
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_SPACES = " \t\x1f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
# `clean_text` in regular expressions that mean the same to every library, JavaScript's too: no flags.
_CLEANING = (
    (r"\x00", ""),
    ("[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]", ""),
    (f"[{_SPACES}]+", " "),
    (f" ?[{_LINE_ENDS}][ {_LINE_ENDS}]*", "\n"),
    ("< ?/? ?[bB][rR](?: [^<>\n]{0,60}|/ ?)?>", "\n"),
    (" ?\n[ \n]*", "\n"),
)


def write_tokenizer(
    tokenizer: Any, folder: Path, network: Any, *, clean: bool, strip: bool, typed: bool | None = None
) -> None:
    """Write a copy of a tokenizer that loads in any version of transformers from 4.38 on.

    Args:
        network: Its `forward` must accept all that the tokenizer returns, since transformers 4 passes it on.
        clean: Begin with what `clean_text` does, except for sequences of over 30 combining marks.
        strip: Remove outer white space too; not where texts have masks, at which the tokenizer splits them.
        typed: For pairs, whether to return `token_type_ids`, which transformers' own class may omit.
    """
    from tokenizers import Tokenizer, normalizers

    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in ("backend", "is_local", "local_files_only"):
        config.pop(name, None)
    if clean:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        first = _cleaning() + ([normalizers.Strip()] if strip else [])
        backend.normalizer = normalizers.Sequence([*first, *([backend.normalizer] if backend.normalizer else [])])
        backend.save(str(folder / "tokenizer.json"))
    inputs = [name for name in tokenizer.model_input_names if typed is None or name != "token_type_ids"]
    inputs += ["token_type_ids"] if typed else []
    if typed is not None:
        config["model_input_names"] = inputs
    if clean or config["tokenizer_class"] == "TokenizersBackend":  # a model's own class would drop the cleaning
        takes = inspect.signature(network.forward).parameters
        names = [name for name in inputs if name in takes]
        config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names}
    path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def forget_cleaning(tokenizer: Any) -> None:
    """Turn an export's tokenizer, in place, back into the training's; others stay as they are."""
    from tokenizers import normalizers

    backend, strip = tokenizer.backend_tokenizer, _state(normalizers.Strip())
    ours = [_state(part) for part in _cleaning()]
    parts = _state(backend.normalizer).get("normalizers", []) if backend.normalizer else []
    if parts[: len(ours)] == ours:
        first = len(ours) + (parts[len(ours) : len(ours) + 1] == [strip])
        left = [backend.normalizer[number] for number in range(first, len(parts))]
        backend.normalizer = normalizers.Sequence(left) if len(left) > 1 else left[0] if left else None


def _cleaning() -> list[Any]:
    from tokenizers import Regex, normalizers

    parts: list[Any] = [normalizers.Replace(Regex(pattern), text) for pattern, text in _CLEANING]
    return [*parts[:2], normalizers.NFC(), *parts[2:]]


def _state(normalizer: Any) -> dict[str, Any]:
    return json.loads(normalizer.__getstate__())
