"""The pieces of words, and rows of whole words."""

import json
from itertools import chain

import datasets
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lightning_nlp.data.texts.tagged import words_of
from lightning_nlp.data.tokens.preparation import write_tokens
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.tokens.tagging import framed_words, joined_words, tag_notes, tokenized_words, word_pieces
from lightning_nlp.data.tokens.tokenizer import train_tokenizer
from lightning_nlp.errors import UserError

TEXTS = ["Anna lives in Newton .", "Newton is far away ; Anna left"]


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def tokenizer(request):
    return train_tokenizer(TEXTS * 5, tokenizer_model=request.param, vocab_size=300, lowercase=False, max_length=32)


def test_pieces_are_those_of_the_running_text(tokenizer):
    found, lost = word_pieces(TEXTS, [*map(joined_words, TEXTS)], tokenizer)
    assert lost == 0
    for text, words in zip(TEXTS, found, strict=True):
        assert [*chain.from_iterable(words)] == tokenizer.encode(text, add_special_tokens=False)
        assert [tokenizer.decode(word).strip() for word in words] == text.split()


def test_a_word_of_nothing_is_the_unknown_token(tokenizer):
    text = "Anna  \u00a0 left"  # an empty word, and one of white space
    spans = joined_words(text)
    assert [text[start:end] for start, end in spans] == ["Anna", "", "\u00a0", "left"]
    ((anna, empty, space, left),), lost = word_pieces([text], [spans], tokenizer)
    assert tokenizer.decode(anna).strip() == "Anna"
    assert tokenizer.decode(left).strip() == "left"
    if tokenizer.convert_ids_to_tokens(space) == ["[UNK]"]:  # bytes have pieces for spaces too
        assert (empty, lost) == ([tokenizer.unk_token_id], 2)
    assert len(empty) == 1


def test_what_is_before_the_first_word_is_left_out(tokenizer):
    text = "  \n\u200b Anna  lives"  # bytes have pieces for all of it
    ((anna, lives), nothing), lost = word_pieces([text, " \u200b"], [words_of(text), []], tokenizer)
    assert tokenizer.decode(anna).strip() == "Anna"
    assert (tokenizer.decode(lives).strip(), nothing, lost) == ("lives", [], 0)


def test_without_an_unknown_token_such_a_word_is_refused():
    backend = Tokenizer(models.BPE({"a": 0, "[CLS]": 1, "[SEP]": 2}, []))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    plain = PreTrainedTokenizerFast(tokenizer_object=backend, cls_token="[CLS]", sep_token="[SEP]")
    with pytest.raises(UserError, match="returns nothing for the word 'é' and has no unknown token"):
        word_pieces(["a é"], [[(0, 1), (2, 3)]], plain)


def test_rows_have_whole_words_and_a_tag_at_each_first_piece():
    pieces, frame = [[1, 2], [3], [4, 5, 6], [7, 8, 9, 10, 11], [12]], ([101], [102])
    assert list(framed_words(pieces, [0, 1, 2, 3, 4], frame, 6)) == [
        ([101, 1, 2, 3, 102], [-100, 0, -100, 1, -100]),
        ([101, 4, 5, 6, 102], [-100, 2, -100, -100, -100]),
        ([101, 7, 8, 9, 10, 102], [-100, 3, -100, -100, -100, -100]),  # it alone is too long
        ([101, 12, 102], [-100, 4, -100]),
    ]


def test_no_word_is_lost_on_the_way_to_the_file(tokenizer, tmp_path):
    labels = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10, 11]]
    data = datasets.Dataset.from_dict({"text": TEXTS, "hash": [7, 8], "tags": [1, 2], "label": labels})
    counts = write_tokens(data, tmp_path / "train.arrow", tokenized_words(data.iter(1), tokenizer, 8))
    rows = TokenRows(tmp_path / "train.arrow")
    columns = rows[range(len(rows.lengths))]
    assert [tag for row in columns["label"] for tag in row if tag >= 0] == [*range(12)]
    assert all(len(ids) == len(tags) <= 8 for ids, tags in zip(*columns.values(), strict=True))
    assert (counts["words"], counts["texts"]) == (12, 2)
    assert counts["rows"] == len(rows.lengths) > 2
    assert {name: len(column) for name, column in rows.texts().items()} == {"hash": 2, "tags": 2}
    notes = tag_notes({"train": counts}, ["train"])
    assert f"train: {counts['rows'] - 2} more rows, from sentences split" in notes[0], json.dumps(notes)
