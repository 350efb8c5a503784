import pytest

from lightning_nlp.data.texts.demo import demo_reviews
from lightning_nlp.data.texts.demo_esperanto import demo_esperanto
from lightning_nlp.data.texts.demo_sentences import demo_pairs
from lightning_nlp.data.texts.sources import labelled_source, text_source
from lightning_nlp.errors import UserError


def rows(source, split="train"):
    return [(row.text, row.label) for row in source.splits[split]()]


def test_the_demos(tmp_path):
    source = labelled_source("demo")
    assert list(source.splits) == ["train", "test"]
    assert rows(source) == list(demo_reviews(10_000, 0))
    assert rows(source, "test") == list(demo_reviews(2_000, 1))
    assert source.fingerprint == labelled_source("demo").fingerprint
    sentences = text_source("demo", cache_dir=tmp_path)
    assert list(sentences.splits) == ["train"]
    assert rows(sentences) == [(text, None) for text in demo_esperanto(20_000, 0)]
    pairs = labelled_source("demo", text_column=["premise", "hypothesis"])
    assert rows(pairs, "test") == list(demo_pairs(2_000, 1))
    assert (pairs.paired, source.paired) == (True, False)
    assert len({"", source.fingerprint, sentences.fingerprint, pairs.fingerprint}) == 4
    with pytest.raises(UserError, match=r"pairs have classes: leave out --data.problem number"):
        labelled_source("demo", text_column=["premise", "hypothesis"], problem="number")
