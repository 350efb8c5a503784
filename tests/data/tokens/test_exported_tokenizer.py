import json
import unicodedata

import pytest
from hypothesis import assume, example, given, settings
from transformers import AutoTokenizer, BertTokenizer, DistilBertTokenizer, RobertaTokenizer

from lightning_nlp.data.texts.normalize import _MARKS, clean_text
from lightning_nlp.data.tokens.exported_tokenizer import write_tokenizer
from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer
from lightning_nlp.data.tokens.tokenizer import SPECIAL_TOKENS, train_wordpiece
from tests.data.tokens.test_preparation import TEXTS, roberta_like
from tests.properties.strategies import texts


class NETWORK:
    """Stands for one that takes no token types."""

    @staticmethod
    def forward(input_ids, attention_mask):
        """What it takes."""


def of_class(cls):
    """One that transformers builds anew, out of its class, when it opens the folder."""

    def make(folder):
        if cls is RobertaTokenizer:
            roberta_like().save_pretrained(folder / "given")
            return cls(tokenizer_file=str(folder / "given" / "tokenizer.json"))
        words = [*SPECIAL_TOKENS, *sorted({word for text in TEXTS for word in text.split()})]
        (folder / "vocab.txt").write_text("\n".join([*words, *"abcdefghijklmnopqrstuvwxyz"]), encoding="utf-8")
        return cls(str(folder / "vocab.txt"), do_lower_case=False)

    return make


KINDS = {
    "wordpiece": lambda folder: train_wordpiece(TEXTS * 20, vocab_size=120, min_frequency=0),
    "cased": lambda folder: train_wordpiece(TEXTS * 20, vocab_size=120, min_frequency=0, lowercase=False),
    "bytes": lambda folder: roberta_like(),
    "BertTokenizer": of_class(BertTokenizer),
    "DistilBertTokenizer": of_class(DistilBertTokenizer),
    "RobertaTokenizer": of_class(RobertaTokenizer),
}


@pytest.fixture(scope="module", params=KINDS)
def written(request, tmp_path_factory):
    """A tokenizer, and what transformers makes of its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = KINDS[request.param](folder)
    write_tokenizer(tokenizer, folder / "export", NETWORK, clean=True, strip=True)
    return tokenizer, AutoTokenizer.from_pretrained(folder / "export"), folder / "export"


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@example("La <br />\nreĝo<BR>diris\u00a0 \t ĝi\u2028\u2028 tago  ")
@example(" <br <br > / br > < / br/ > e\u0301 \x85 \x1f g\u0302")
@given(text=texts)
def test_it_reads_texts_as_they_were_cleaned_in_training(written, text):
    tokenizer, exported, _ = written
    assume(not _MARKS.search(unicodedata.normalize("NFC", text)))
    assert exported(text)["input_ids"] == tokenizer(clean_text(text))["input_ids"]


def test_it_knows_the_same_special_tokens_and_lengths(written):
    tokenizer, exported, folder = written
    for name in ("pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id", "unk_token_id", "model_max_length"):
        assert getattr(exported, name) == getattr(tokenizer, name), name
    assert list(exported("la reĝo")) == ["input_ids", "attention_mask"], "a DistilBERT takes no token types"
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast", "the class of a model would leave the cleaning out"


@pytest.mark.parametrize(
    ("how", "text"),
    [({"clean": False, "strip": True}, " la<br />reĝo  "), ({"clean": True, "strip": False}, "la <mask> diris")],
    ids=["not cleaned in training", "a mask keeps the space beside it"],
)
def test_what_is_left_alone(how, text, tmp_path):
    tokenizer = roberta_like()
    write_tokenizer(tokenizer, tmp_path, NETWORK, **how)
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_to_train_with_it_is_the_one_that_was_trained_with(written):
    tokenizer, _, folder = written
    loaded = load_tokenizer(str(folder))
    assert json.loads(loaded.backend_tokenizer.to_str()) == json.loads(tokenizer.backend_tokenizer.to_str())
