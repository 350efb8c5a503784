import random
import subprocess
import sys
import unicodedata

import pytest
from transformers import AutoTokenizer, DistilBertConfig

import lightning_nlp.data.tokens.tokenizer as tokenizer_module
from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer
from lightning_nlp.data.tokens.tokenizer import SPECIAL_TOKENS, train_bpe, train_wordpiece
from lightning_nlp.errors import UserError
from lightning_nlp.hub.pretrained import tokenizer_hash
from tests.data.tokens.test_preparation import TEXTS

SENTENCES = [
    "Ĝis la revido, diris la reĝo.",
    "Ŝi aĉetis ĵurnalon kaj ĉokoladon hieraŭ.",
    "La ĥoro kantis, kaj la eĥo respondis.",
    "Gis ne estas ĝis.",
    "Ankaŭ li aĉetos ĵurnalon morgaŭ.",
] * 3


def test_accents_survive_training_and_decomposed_text_is_the_same():
    tokenizer = train_wordpiece(SENTENCES, vocab_size=300)
    assert "ĝis" in tokenizer.get_vocab()
    assert tokenizer.tokenize("Ĝis") == ["ĝis"]
    assert tokenizer.tokenize("Gis") != tokenizer.tokenize("Ĝis")
    assert tokenizer.tokenize(unicodedata.normalize("NFD", "Ĝis ŝi")) == tokenizer.tokenize("Ĝis ŝi")


def test_special_tokens_have_fixed_ids_and_frame_each_text():
    tokenizer = train_wordpiece(SENTENCES, vocab_size=300, max_length=64)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert tokenizer("Ĝis la")["input_ids"][:: len(tokenizer("Ĝis la")["input_ids"]) - 1] == [2, 3]
    assert tokenizer.tokenize("la [MASK] ☃") == ["la", "[MASK]", "[UNK]"]
    assert tokenizer.model_max_length == 64
    cased = train_wordpiece(SENTENCES, vocab_size=300, lowercase=False)
    assert cased.tokenize("Ĝis") != cased.tokenize("ĝis")


def test_reloading_with_the_auto_class_changes_nothing(tmp_path):
    tokenizer = train_wordpiece(SENTENCES, vocab_size=300, max_length=64)
    tokenizer.save_pretrained(tmp_path)
    # beside it the Auto class may choose another tokenizer class, which strips accents
    DistilBertConfig(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    for reloaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(str(tmp_path))):
        for text in SENTENCES:
            assert reloaded(text)["input_ids"] == tokenizer(text)["input_ids"]
        assert tokenizer_hash(reloaded) == tokenizer_hash(tokenizer)
        assert reloaded.model_max_length == 64
        assert len(reloaded) == len(tokenizer)
        assert reloaded.decode(reloaded("ĝis la reĝo")["input_ids"], skip_special_tokens=True) == "ĝis la reĝo"


def test_training_is_deterministic_across_processes():
    # The library's own trainer numbers "##x" in the order of a randomly seeded hash map.
    code = (
        "from lightning_nlp.data.tokens.tokenizer import train_wordpiece;"
        "from lightning_nlp.hub.pretrained import tokenizer_hash;"
        f"print(tokenizer_hash(train_wordpiece({SENTENCES!r}, vocab_size=120)))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == tokenizer_hash(train_wordpiece(SENTENCES, vocab_size=120))


def test_vocabulary_holds_no_dead_entries_and_respects_its_limits():
    tokenizer = train_wordpiece(SENTENCES, vocab_size=50_000)
    vocab = tokenizer.get_vocab()
    assert sorted(vocab.values()) == list(range(len(vocab)))
    characters = set("".join(SENTENCES).lower())
    assert {token for token in vocab if len(token) == 1} <= characters
    assert len(train_wordpiece(SENTENCES, vocab_size=80)) == 80


def test_limit_alphabet_keeps_the_most_frequent_characters():
    texts = ["aaaa bbbb cccc"] * 5 + ["dz"] * 2 + ["q"]
    tokenizer = train_wordpiece(texts, vocab_size=100, limit_alphabet=3)
    assert {token for token in tokenizer.get_vocab() if len(token) == 1} == {"a", "b", "c"}
    assert tokenizer.tokenize("q") == ["[UNK]"]


@pytest.mark.parametrize(
    ("train", "texts", "vocab_size", "words"),
    [
        *((train_wordpiece, SENTENCES, size, r"too small.*--data\.vocab_size") for size in (0, 5, 20)),
        (train_bpe, SENTENCES, 260, r"256 bytes alone take 261.*--data\.vocab_size"),
        (train_wordpiece, ["", " "], 100, r"no words.*--data\.path"),
    ],
)
def test_vocabularies_that_are_too_small_and_texts_without_words_are_refused(train, texts, vocab_size, words):
    with pytest.raises(UserError, match=words):
        train(texts, vocab_size=vocab_size)


@pytest.mark.parametrize("remembered", [1, 1 << 18])
def test_finding_the_alphabet_in_different_words_is_finding_it_in_all_texts(monkeypatch, remembered):
    # Characters that normalisation composes, splits, removes or sets apart, next to spaces of all kinds.
    letters = " \t\n\u2003\u200b\u0301\u0323\u0345\u1161\u11a8eéĝΣİ一二가.-ab"
    rng = random.Random(0)
    texts = ["".join(rng.choices(letters, k=rng.randint(1, 30))) for _ in range(2000)]
    monkeypatch.setattr(tokenizer_module, "WORDS_REMEMBERED", remembered)
    found = train_wordpiece(texts, vocab_size=400).backend_tokenizer.to_str()
    monkeypatch.setattr(tokenizer_module, "_different_words", iter)  # all of them, as often as they occur
    assert train_wordpiece(texts, vocab_size=400).backend_tokenizer.to_str() == found
    assert "##ĝ" in found


def test_a_script_of_many_characters_keeps_those_that_its_texts_are_written_in():
    rng = random.Random(0)
    common = [chr(0x4E00 + i) for i in range(2500)]
    texts = [" ".join(rng.choices(common, k=40)) for _ in range(500)] + [chr(0x9000 + i) for i in range(9)]
    known = train_wordpiece(texts, vocab_size=12_000, min_frequency=2).get_vocab()
    assert len(set(common) & set(known)) > 2490
    assert not {chr(0x9000 + i) for i in range(9)} <= set(known), "the rarest are left out"
    assert len(train_wordpiece(texts, vocab_size=12_000, limit_alphabet=1000).get_vocab()) < 1100
    assert len([token for token in train_wordpiece(texts, vocab_size=2400).get_vocab() if len(token) == 1]) == 1200


# --- BPE of bytes


def test_nothing_is_unknown_and_equal_texts_give_an_equal_tokenizer(tmp_path):
    tokenizer = train_bpe(TEXTS * 20, vocab_size=400)
    assert tokenizer.backend_tokenizer.to_str() == train_bpe(TEXTS * 20, vocab_size=400).backend_tokenizer.to_str()
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 4)
    tokenizer.save_pretrained(tmp_path)
    for reloaded in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        for text in ("def f(x):\treturn x", "\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27", "e\u0301 \U0001f642"):
            ids = reloaded(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert reloaded("e\u0301")["input_ids"] == reloaded("\u00c9")["input_ids"], "composed, and case is folded"
    assert train_bpe(TEXTS, vocab_size=400, lowercase=False)("A")["input_ids"] != tokenizer("a")["input_ids"]
