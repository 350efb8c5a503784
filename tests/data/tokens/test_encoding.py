import random

import pytest
from transformers import (
    AlbertTokenizer,
    BertTokenizer,
    DebertaV2Tokenizer,
    ElectraTokenizer,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

from lightning_nlp.data.texts.normalize import PAIR, join_pair
from lightning_nlp.data.tokens.encoding import encode, pair_frame, special_frame, truncate_ids
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import token_types
from tests.data.tokens.test_preparation import TEXTS, WORDS, bert_like, roberta_like


def unframed():
    tokenizer = bert_like()
    tokenizer.backend_tokenizer.post_processor = None
    return tokenizer


@pytest.fixture(scope="module", params=[bert_like, roberta_like, unframed])
def tokenizer(request):
    return request.param()


def test_head_and_head_tail_exactly():
    ids = list(range(100))
    assert truncate_ids(ids, 8, "head") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert truncate_ids(ids, 8, "head_tail") == [0, 1, 94, 95, 96, 97, 98, 99]
    assert truncate_ids(ids, 1, "head_tail") == [99]
    assert truncate_ids(ids, 99, "head_tail") == [*range(24), *range(25, 100)]
    # Sun et al. (2019) keep 128 and 382 of 510 tokens; a quarter of 510 is 127.5.
    kept = truncate_ids(list(range(1000)), 510, "head_tail")
    assert kept == [*range(127), *range(1000 - 383, 1000)]


@pytest.mark.parametrize("max_length", [3, 8, 32, 500])
def test_head_truncation_is_that_of_transformers(tokenizer, max_length):
    ids, origins, lengths = encode(TEXTS, tokenizer, max_length=max_length, truncation="head")
    assert ids == tokenizer(TEXTS, truncation=True, max_length=max_length)["input_ids"]
    assert origins == list(range(len(TEXTS)))
    assert lengths == [len(t) for t in tokenizer(TEXTS, add_special_tokens=False)["input_ids"]]
    assert any(length > max_length for length in lengths) == (max_length < 500)


@pytest.mark.parametrize("max_length", [3, 8, 32, 500])
def test_without_truncation_nothing_is_lost(tokenizer, max_length):
    ids, origins, lengths = encode(TEXTS, tokenizer, max_length=max_length, truncation=None)
    before, after = special_frame(tokenizer)
    joined = {number: [] for number in range(len(TEXTS))}
    for piece, origin in zip(ids, origins, strict=True):
        assert len(piece) <= max_length
        assert piece[: len(before)] == before
        assert piece[len(piece) - len(after) :] == after
        inner = piece[len(before) : len(piece) - len(after)]
        assert inner, "an empty piece teaches nothing"
        joined[origin] += inner
    assert list(joined.values()) == tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert lengths == [len(inner) for inner in joined.values()]
    assert origins == sorted(origins)
    assert lengths[TEXTS.index("")] == 0


@pytest.mark.parametrize("truncation", ["head", None])
def test_a_truncation_and_padding_of_the_tokenizer_itself_change_nothing(truncation):
    expected = encode(TEXTS, bert_like(), max_length=100, truncation=truncation)
    tokenizer = bert_like()
    tokenizer.backend_tokenizer.enable_truncation(16)
    tokenizer.backend_tokenizer.enable_padding(length=128)
    assert encode(TEXTS, tokenizer, max_length=100, truncation=truncation) == expected
    assert max(map(len, expected[0])) == 100


LETTERS = "abcdefgh"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDPIECES = {piece: i for i, piece in enumerate([*SPECIALS, *LETTERS, *(f"##{letter}" for letter in LETTERS)])}
BYTES = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *LETTERS, "\u0120"])}


def unigram(*special):
    pieces = ["\u2581", *LETTERS, *(f"\u2581{letter}" for letter in LETTERS)]
    return [*((token, 0.0) for token in special), *((piece, -2.0) for piece in pieces)]


PAIRED = {  # transformers' own tokenizers, and whether they tell the texts of a pair apart
    "bert": (lambda: BertTokenizer(vocab=WORDPIECES), True),
    "electra": (lambda: ElectraTokenizer(vocab=WORDPIECES), True),
    "albert": (lambda: AlbertTokenizer(vocab=unigram(*SPECIALS)), True),
    "deberta": (lambda: DebertaV2Tokenizer(vocab=unigram(*SPECIALS)), True),
    "roberta": (lambda: RobertaTokenizer(vocab=BYTES, merges=[]), False),
    "xlm-roberta": (lambda: XLMRobertaTokenizer(vocab=unigram("<s>", "<pad>", "</s>", "<unk>", "<mask>")), False),
    "ours": (bert_like, True),
}


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_are_those_of_transformers(name):
    make, typed = PAIRED[name]
    tokenizer, rng = make(), random.Random(0)
    frame = pair_frame(tokenizer)
    assert frame.typed == typed
    lengths = [(a, b) for a in (1, 2, 5, 9) for b in (1, 4, 5, 6, 14)]
    texts = [[" ".join(rng.choices(LETTERS, k=number)) for number in pair] for pair in lengths]
    for max_length in (6, 7, 9, 12, 100):
        ids, seconds, _ = encode(
            [*map(PAIR.join, texts)], tokenizer, max_length=max_length, truncation="head", paired=True
        )
        for (first, second), row, begin in zip(texts, ids, seconds, strict=True):
            how = {"truncation": True, "max_length": max_length, "return_token_type_ids": True}
            expected = tokenizer(first, second, **how)
            assert row == expected["input_ids"]
            assert (begin > 0) == typed
            assert token_types(len(row), begin).tolist() == expected["token_type_ids"]


def test_head_tail_cuts_each_text_of_a_pair():
    tokenizer = bert_like()
    text = join_pair([" ".join(WORDS[:3]), " ".join(WORDS * 3)])
    (ids,), (second,), (length,) = encode([text], tokenizer, max_length=23, truncation="head_tail", paired=True)
    first, all_of_second = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in text.split(PAIR))
    room = 20 - len(first)
    assert 0 < room < len(all_of_second)
    assert length == len(first) + len(all_of_second)
    assert ids[second:-1] == truncate_ids(all_of_second, room, "head_tail")


def test_no_form_for_pairs_and_no_room():
    with pytest.raises(UserError, match=r"does not encode pairs of texts .* give another --data.tokenizer"):
        pair_frame(unframed())
    with pytest.raises(UserError, match=r"max_length 4 has no room for two texts: raise --data.max_length"):
        encode(["a\x1fb"], bert_like(), max_length=4, truncation="head", paired=True)
