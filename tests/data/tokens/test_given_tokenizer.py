import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lightning_nlp.data.tokens.encoding import encode, special_frame
from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer
from lightning_nlp.errors import UserError
from tests.data.tokens.test_preparation import TEXTS, bert_like, roberta_like

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "la", "Reĝo", "##j", "a", "b"]


def test_a_vocabulary_alone_is_read_as_berts(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer("la Reĝo")["input_ids"] == [2, 5, 6, 3], "it has capitals, so it is a cased one"


def test_words_and_merges_alone_are_read_as_robertas(tmp_path):
    roberta_like().backend_tokenizer.model.save(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"vocab.json", "merges.txt"}
    text = TEXTS[1]
    assert load_tokenizer(str(tmp_path))(text)["input_ids"] == roberta_like()(text)["input_ids"]


def test_special_tokens_of_the_usual_names_are_found_among_the_words(tmp_path):
    for make, names in ((bert_like, ("[PAD]", "[CLS]", "[MASK]")), (roberta_like, ("<pad>", "<s>", "<mask>"))):
        make().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
        tokenizer = load_tokenizer(str(tmp_path))
        assert (tokenizer.pad_token, tokenizer.cls_token, tokenizer.mask_token) == names


def test_a_tokenizer_that_puts_nothing_around_a_text_is_given_a_frame(tmp_path, caplog):
    tokenizer = bert_like()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B", special_tokens=[]
    )
    tokenizer.save_pretrained(tmp_path)
    with caplog.at_level("INFO"):
        loaded = load_tokenizer(str(tmp_path))
    assert "[CLS] and [SEP] are put around it" in caplog.text
    assert special_frame(loaded) == ([loaded.cls_token_id], [loaded.sep_token_id])
    loaded.save_pretrained(tmp_path / "again")
    caplog.clear()
    assert special_frame(load_tokenizer(str(tmp_path / "again"))) == special_frame(loaded)
    assert not caplog.text


def words_alone(*, unknown=None):
    backend = Tokenizer(models.WordLevel({"la": 0, "[PAD]": 1}, unk_token=unknown or "<none>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")


@pytest.mark.parametrize(
    ("unknown", "words"),
    [(None, "no token for unknown words"), ("la", "no special tokens to put before")],
)
def test_tokenizers_that_a_training_cannot_use_are_refused(unknown, words, tmp_path):
    words_alone(unknown=unknown).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=f"{words}.*give another --data.tokenizer, or null"):
        load_tokenizer(str(tmp_path))


def test_bytes_that_were_never_taught_the_letter_a(tmp_path):
    """As of a tokenizer that was trained on Russian alone."""
    state = json.loads(roberta_like().backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary["\u0100"] = vocabulary.pop("a")
    state["model"]["merges"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    tokenizer = load_tokenizer(str(tmp_path))
    assert special_frame(tokenizer) == ([tokenizer.cls_token_id], [tokenizer.sep_token_id])
    assert encode(["b"], tokenizer, max_length=8, truncation="head")[0][0][1] == vocabulary["b"]
