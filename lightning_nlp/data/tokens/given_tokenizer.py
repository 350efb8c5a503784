"""Tokenizers from elsewhere: loaded, completed if something is missing, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.tokens.exported_tokenizer import forget_cleaning
from lightning_nlp.data.tokens.tokenizer import put_frame
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.hub.pretrained import fetch_pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USUAL_TOKENS = {
    "unk_token": ("[UNK]", "<unk>"),
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
NEVER_SEEN = "q\u2042zx\u0416q"


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Load a tokenizer by its Hub id, or from a folder with a `tokenizer.json` or only a vocabulary.

    Fills in missing configuration: special tokens with the usual names, and [CLS] and [SEP] around texts.

    Raises:
        UserError: If it cannot be fetched, is not a tokenizer, or lacks a token that training needs.
    """
    folder = fetch_pretrained(name, "tokenizer")
    try:
        tokenizer = _open(folder)
    except Exception as error:  # transformers and tokenizers raise bare Exceptions for a broken file
        raise UserError(
            f"{name} has no readable tokenizer ({type(error).__name__}: {one_line(error)[:300]}): "
            "give --data.tokenizer a folder written by save_pretrained."
        ) from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise _refused(name, "has no fast form (tokenizer.json)")
    words = tokenizer.get_vocab()
    for role, usual in USUAL_TOKENS.items():
        if getattr(tokenizer, role) is None and (token := next((token for token in usual if token in words), None)):
            setattr(tokenizer, role, token)
    if tokenizer.pad_token_id is None:
        raise _refused(name, "has no padding token")
    try:
        tokenizer.backend_tokenizer.encode(NEVER_SEEN)
    except Exception as error:  # a bare one
        raise _refused(name, f"has no token for unknown words ({one_line(error)})") from error
    if not tokenizer.backend_tokenizer.encode("").ids:  # a model's head reads the token before a text
        first, last = tokenizer.cls_token, tokenizer.sep_token
        if first is None or last is None:
            raise _refused(name, "has no special tokens to put before and after a text")
        put_frame(tokenizer.backend_tokenizer, first, last)
        rank_zero_info(f"The tokenizer {name} adds no special tokens to a text: {first} and {last} are put around it.")
    forget_cleaning(tokenizer)
    return tokenizer


def _refused(name: str, why: str) -> UserError:
    return UserError(f"The tokenizer {name} {why}: give another --data.tokenizer, or null to train one.")


def _open(folder: Path) -> Any:
    from transformers import AutoTokenizer, BertTokenizer, RobertaTokenizer

    vocabulary, settings = folder / "vocab.txt", {path.name for path in folder.glob("*.json")}
    if settings == {"vocab.json"}:  # with merges.txt, of an unnamed model: usually RoBERTa's
        return RobertaTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    if vocabulary.is_file() and not settings:  # usually BERT's
        words = vocabulary.read_text(encoding="utf-8").split()
        cased = any(word != word.lower() for word in words if not word.startswith("["))
        return BertTokenizer(str(vocabulary), do_lower_case=not cased)
    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
