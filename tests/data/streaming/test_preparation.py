import pytest

from lightning_nlp.data.streaming.corpus import find_corpus
from lightning_nlp.data.streaming.preparation import held_out_rows, stream_source

SIZES = {"validation": 6, "test": 4}


@pytest.fixture
def corpus(tmp_path):
    for shard in range(40):
        lines = "".join(f"{shard} {row}\n" for row in range(20))
        (tmp_path / f"part-{shard:02}.txt").write_text(lines, encoding="utf-8")
    return find_corpus(str(tmp_path))


def texts(source, split):
    return [row.text for row in source.splits[split]()]


def test_the_parts_come_from_the_beginnings_of_sixteen_shards(corpus):
    source = stream_source(corpus, {"validation": 20, "test": 16}, 32)
    test, validation, train = (texts(source, split) for split in ("test", "validation", "train"))
    assert len({text.split()[0] for text in validation}) == 16
    assert len(test) == 16
    assert len(validation) == 32, "two of each shard, the least that makes 20"
    assert len(train) == 32
    assert not set(test) & set(validation)
    held = held_out_rows(corpus, {"validation": 20, "test": 16})
    assert len(held) == 16
    for text in test + validation:
        shard, row = map(int, text.split())
        assert row < held[shard], "training begins after what is held out"
    for text in train:
        shard, row = map(int, text.split())
        assert row >= held[shard]


def test_a_split_that_the_corpus_has_is_taken_from_there(tmp_path):
    for name in ("train", "validation"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} {row}\n" for row in range(30)), encoding="utf-8")
    corpus = find_corpus(str(tmp_path))
    source = stream_source(corpus, SIZES, 100)
    assert texts(source, "validation") == [f"validation {row}" for row in range(6)]
    assert texts(source, "test") == [f"train {row}" for row in range(4)]
    assert texts(source, "train") == [f"train {row}" for row in range(4, 30)]
    assert held_out_rows(corpus, SIZES) == {0: 4}
    (tmp_path / "test.txt").write_text("test\n", encoding="utf-8")
    assert held_out_rows(find_corpus(str(tmp_path)), SIZES) == {}


def test_the_fingerprint_tells_what_is_held_out(corpus):
    first = stream_source(corpus, SIZES, 10).fingerprint
    assert first == stream_source(corpus, dict(SIZES), 10).fingerprint
    assert first != stream_source(corpus, {**SIZES, "test": 5}, 10).fingerprint
    assert first != stream_source(corpus, SIZES, 11).fingerprint
