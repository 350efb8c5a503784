"""The tokenizer of an export: it cleans texts as they were cleaned in training, and opens in transformers 4 too."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

# What Python's `split` and `splitlines` go by.
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_SPACES = " \t\x1f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
# `clean_text` in regular expressions that each library reads alike, JavaScript's too: no flags.
_CLEANING = (
    (r"\x00", ""),
    ("[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]", ""),
    (f"[{_SPACES}]+", " "),
    (f" ?[{_LINE_ENDS}][ {_LINE_ENDS}]*", "\n"),
    ("< ?/? ?[bB][rR](?: [^<>\n]{0,60}|/ ?)?>", "\n"),
    (" ?\n[ \n]*", "\n"),
)


def write_tokenizer(tokenizer: Any, folder: Path, network: Any, *, clean: bool, strip: bool) -> None:
    """Write a tokenizer that any version of transformers from 4.38 on opens.

    Args:
        tokenizer: The one trained with; it stays as it is.
        folder: Where to.
        network: Which takes what it gives; transformers 4 hands on all of it.
        clean: Let it do first what `clean_text` does, but for rows of over 30 combining marks.
        strip: Whether outer white space goes too. Not where a text has masks: it is cut into pieces there.
    """
    from tokenizers import Regex, Tokenizer, normalizers

    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in ("backend", "is_local", "local_files_only"):
        config.pop(name, None)
    if clean:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        first: list[Any] = [normalizers.Replace(Regex(pattern), text) for pattern, text in _CLEANING]
        first.insert(2, normalizers.NFC())
        first += [normalizers.Strip()] if strip else []
        if _parts(backend.normalizer)[: len(first)] != _parts(normalizers.Sequence(first)):  # not exported before
            backend.normalizer = normalizers.Sequence([*first, *([backend.normalizer] if backend.normalizer else [])])
        backend.save(str(folder / "tokenizer.json"))
    if clean or config["tokenizer_class"] == "TokenizersBackend":  # a model's own class would leave the cleaning out
        takes = inspect.signature(network.forward).parameters
        names = [name for name in tokenizer.model_input_names if name in takes]
        config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names}
    path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _parts(normalizer: Any) -> list[Any]:
    """What a normalizer does, one thing after the other."""
    state = {} if normalizer is None else json.loads(normalizer.__getstate__())
    return state.get("normalizers", [state])
