import csv
import tracemalloc

import pytest

from lightning_nlp.data.sources import labelled_source, text_source
from lightning_nlp.inspection import reading
from lightning_nlp.inspection.reading import exact_duplicates, read_corpus


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def corpus(folder, train, test=()):
    folder.mkdir(exist_ok=True)
    write(folder / "train.csv", train)
    if test:
        write(folder / "test.csv", test)
    return read_corpus(labelled_source(str(folder), drop_incomplete=True), labelled=True)


def test_facts_of_a_split(tmp_path):
    rows = [
        ("one two three", "a"),
        ("four<br />five", "b"),
        ("six  seven", "a"),
        ("<br />", "a"),
        (" ", "b"),
        ("x", ""),
    ]
    facts = corpus(tmp_path / "data", rows).splits["train"].facts()
    assert (facts["rows"], facts["empty"], facts["incomplete"]) == (6, 1, 2)
    assert facts["words"] == {"median": 2, "p90": 3, "p99": 3, "longest": 3, "all": 7, "shortest": 2}
    assert facts["characters"] == sum(len(text) for text, _ in rows[:3])
    assert facts["labels"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("text", "kind", "left"),
    [
        ("good<br>film", "line breaks", 0),
        ("good < BR / > film", "line breaks", 0),
        ('good <a href="x">film</a>', "tags", 1),
        ("</div> good", "tags", 1),
        ("Tom &amp; Jerry &#39;", "entities", 1),
        ("see http://a.org now", "web addresses", 1),
        ("a bell \x07 rings", "control characters", 0),
        ("cafÃ© noir", "broken characters", 1),
        ("caf\ufffd noir", "broken characters", 1),
    ],
)
def test_markup(text, kind, left, tmp_path):
    raw = corpus(tmp_path / "data", [(text, "a")]).splits["train"]
    assert {name: number for name, number in raw.markup.items() if number} == {kind: 1}
    assert raw.markup_left[kind] == left


@pytest.mark.parametrize("text", ["1 < 2 and 3 > 2", "I <3 it", "AT&T; R&D", "a <- b", "100% & more;"])
def test_no_markup(text, tmp_path):
    assert not any(corpus(tmp_path / "data", [(text, "a")]).splits["train"].markup.values())


def test_exact_duplicates(tmp_path):
    train = [
        ("a b", "x"),
        ("a b", "x"),
        ("a  b", "x"),
        ("c", "x"),
        ("c", "y"),
        ("d<br />e", "y"),
        ("f", "x"),
        ("g", "y"),
    ]
    test = [("f", "x"), ("f", "x"), ("d\ne", "x"), ("h", "y")]
    found = exact_duplicates(corpus(tmp_path / "data", train, test))
    assert found["rows"] == 12
    assert found["repeats"] == {"train": 3, "test": 1}
    assert found["verbatim"] == {"train": 2, "test": 1}
    assert found["shared_texts"] == {"train and test": 2}
    assert found["shared_rows"] == {"train and test": 3}
    assert found["conflicts"] == {"texts": 2, "rows": 4}  # "c" twice, "d e" in train and in test
    assert {example["labels"] for example in found["examples"][:2]} == {"x, y"}
    assert all("line" in example["first"] and "line" in example["again"] for example in found["examples"])


def test_different_texts_are_kept_once_and_the_held_out_ones_first(tmp_path):
    kept = corpus(tmp_path / "data", [("a", "x"), ("b", "x"), ("b", "x")], [("a", "x")]).texts
    assert {split: [text.text for text in texts] for split, texts in kept.items()} == {"train": ["b"], "test": ["a"]}


def test_of_many_texts_a_sample_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "sentences.txt"
    path.write_text("".join(f"sentence {n}\n" for n in range(500)), encoding="utf-8")
    monkeypatch.setattr(reading, "MOST_TEXTS", 50)
    source = text_source(str(path), cache_dir=tmp_path)
    first = read_corpus(source, labelled=False)
    places = [int(text.text.split()[1]) for text in first.texts["train"]]
    assert len(set(places)) == 50
    assert 150 < sum(places) / 50 < 350, "from all over the file"
    assert first.splits["train"].rows == 500
    assert read_corpus(source, labelled=False).texts == first.texts


def test_memory_grows_little_with_the_rows(tmp_path, monkeypatch):
    path = tmp_path / "sentences.txt"
    path.write_text("".join(f"sentence {n} {'word ' * 200}\n" for n in range(800)), encoding="utf-8")
    monkeypatch.setattr(reading, "MOST_TEXTS", 10)
    source = text_source(str(path), cache_dir=tmp_path)
    tracemalloc.start()
    try:
        read_corpus(source, labelled=False)
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size
    finally:
        tracemalloc.stop()
