"""Tagged sentences out of each kind of file, and each mistake in them in one sentence."""

import json

import datasets
import pytest

from lightning_nlp.data.texts.tagged import as_tagged, read_tags, tagged_source, words_of
from lightning_nlp.errors import UserError

WORDS, TAGGED = ["Anna", "left", "New", "York", "."], ["B-PER", "O", "B-LOC", "I-LOC", "O"]
ROW = (" ".join(WORDS), " ".join(TAGGED))


def rows(path, split="train", **settings):
    return [(row.text, row.label) for row in tagged_source(str(path), **settings).splits[split]()]


def conll(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [" ", "\t", "  "])
def test_columns(separator, tmp_path):
    lines = [f"{word}{separator}NN{separator}{tag}" for word, tag in zip(WORDS, TAGGED, strict=True)]
    path = conll(tmp_path / "a.conll", ["-DOCSTART- -X- O", "", *lines, "", "", "# a comment", "#\tNN\tO", *lines])
    assert rows(path) == [ROW, ("# " + ROW[0], "O " + ROW[1])] if separator == "\t" else rows(path)[0] == ROW
    assert rows(path, label_column=2)[0] == (ROW[0], "NN NN NN NN NN")
    first = tagged_source(str(path)), tagged_source(str(path), label_column=2)
    assert first[0].fingerprint != first[1].fingerprint
    assert next(first[0].splits["train"]()).where == "a.conll, line 3"


def test_conllu(tmp_path):
    rest = "_\t_\t_\t_\t_\t_"
    lines = ["# sent_id = 1", f"1-2\tim\t_\t_\t{rest}", f"1\tin\tin\tADP\t{rest}", f"2\tdem\tder\tDET\t{rest}"]
    path = conll(tmp_path / "a.conllu", [*lines, f"2.1\tx\tx\tNOUN\t{rest}", f"3\t10 000\t10\tNUM\t{rest}"])
    assert rows(path) == [("in dem 10\u00a0000", "ADP DET NUM")]
    assert rows(path, label_column=3) == [("in dem 10\u00a0000", "in der 10")]


GERMEVAL = ["#\thttp://example.org [2009]", "1\tAnna\tB-PER\tO", "2\tleft\tO\tB-X", "", "#\tb", "1\t#\tO\tO"]


@pytest.mark.parametrize(
    ("name", "lines", "settings", "expected"),
    [
        # a number sign is a word between two columns, and a comment elsewhere
        ("a.txt", ["a O", "", "# O", "b B-X"], {}, [("a", "O"), ("# b", "O B-X")]),
        ("a.txt", ["a x O", "", "# id 7", "b x B-X"], {}, [("a", "O"), ("b", "B-X")]),
        # white space other than blanks and tabs is within words
        ("a.conll", [" 10\u00a0000  CD  O", "\u3000 x B-X"], {}, [("10\u00a0000 \u3000", "O B-X")]),
        # GermEval numbers its words, and its comments have tabs
        ("a.tsv", GERMEVAL, {}, [("Anna left", "O B-X"), ("#", "O")]),
        ("a.tsv", GERMEVAL, {"label_column": 3}, [("Anna left", "B-PER O"), ("#", "O")]),
        ("a.conll", ["1 CD O", "000 CD B-X"], {}, [("1 000", "O B-X")]),
    ],
)
def test_forms_of_columns(name, lines, settings, expected, tmp_path):
    assert rows(conll(tmp_path / name, lines), **settings) == expected


@pytest.mark.parametrize("test", ['{"tokens": ["a"]}', '{"tokens": ["a"], "ner_tags": []}', None])
def test_a_test_split_without_tags_is_left_to_predict(test, tmp_path):
    suffix = ".conll" if test is None else ".jsonl"
    (tmp_path / f"test{suffix}").write_text("a\nb\n" if test is None else f"{test}\n{test}\n")
    record = {"tokens": WORDS, "ner_tags": TAGGED}
    (tmp_path / f"train{suffix}").write_text("a O\nb B-X\n" if test is None else 2 * f"{json.dumps(record)}\n")
    source = tagged_source(str(tmp_path))
    assert [*source.splits] == ["train"]
    assert any(line.startswith(f"not used: test{suffix}") for line in source.lines())


def test_jsonl_parquet_and_datasets(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text((json.dumps({"tokens": WORDS, "ner_tags": TAGGED, "pos": WORDS}) + "\n") * 2)
    assert rows(path) == [ROW, ROW]
    assert rows(path, label_column="pos") == [(ROW[0], ROW[0])] * 2
    names = sorted({*TAGGED})
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.ClassLabel(names=names))}
    )
    columns = {"tokens": [WORDS], "ner_tags": [[names.index(tag) for tag in TAGGED]]}
    data = datasets.Dataset.from_dict(columns, features=features)
    data.to_parquet(tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [ROW]
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path / "saved")
    assert rows(tmp_path / "saved", split="test") == [ROW]
    assert tagged_source(str(tmp_path / "saved")).label_names == tuple(names)


def test_a_folder_of_splits_and_the_demo(tmp_path):
    for name in ("train", "dev", "test"):
        conll(tmp_path / f"{name}.conll", [f"{name} O"])
    source = tagged_source(str(tmp_path))
    assert {split: next(read()).text for split, read in source.splits.items()} == {
        **{"train": "train", "validation": "dev", "test": "test"}
    }
    text, label = next((row.text, row.label) for row in tagged_source("demo").splits["test"]())
    assert len(text.split()) == len(label.split())


def record(tokens, tags):
    """Such a line between two good ones."""
    good = {"tokens": WORDS, "ner_tags": TAGGED}
    return [json.dumps(part) for part in (good, {"tokens": tokens, "ner_tags": tags}, good)]


@pytest.mark.parametrize(
    ("suffix", "lines", "settings", "words"),
    [
        ("conll", ["a O", "b"], {}, ["The line 'b' has 1 column, not 2 columns", "line 2", "correct it"]),
        ("conll", ["a", "b"], {}, ["has 1 column without names", "the tags need another"]),
        ("conll", ["", "-DOCSTART- O"], {}, ["has no sentences"]),
        ("conll", ["a O"], {"label_column": "ner"}, ["--data.label_column is 'ner'", "2 columns without", "number"]),
        ("conll", ["a O"], {"label_column": 1}, ["--data.label_column is 1"]),
        ("conll", ["a O"], {"group_column": "doc"}, ["no column 'doc'", "leave out --data.group_column"]),
        ("csv", ["tokens,ner_tags", "a,O"], {}, ["CSV, which has no lists: save", "JSONL with tokens and ner_tags"]),
        ("jsonl", ['{"tokens": ["a"], "tags": ["O"]}'] * 2, {}, ["no column 'ner_tags'", "give --data.label_column"]),
        ("jsonl", record(WORDS, TAGGED[1:]), {}, ["There are 5 words and 4 tags", "line 2"]),
        ("jsonl", record(WORDS, [0, 1, 2, 3, 0]), {}, ["numbers without names ([0, 1, 2, 3, 0])", "write names"]),
        ("jsonl", record(WORDS, ["O", "O", "", "O", "O"]), {}, ["The tag '' of ['O', 'O', '', 'O', 'O']", "line 2"]),
        ("jsonl", record(WORDS, ["O", "O", "B PER", "O", "O"]), {}, ["'B PER'", "without spaces"]),
        ("jsonl", record("Anna left", TAGGED), {}, ["The words are 'Anna left', not a list", "--data.text_column"]),
        ("jsonl", record(WORDS, "O"), {}, ["The tags are 'O', not a list", "--data.label_column"]),
    ],
)
def test_sentences_that_are_not_tagged(suffix, lines, settings, words, tmp_path):
    with pytest.raises(UserError) as error:
        rows(conll(tmp_path / f"a.{suffix}", lines), **settings)
    assert [word for word in words if word not in str(error.value)] == []


def test_spaces_within_words_do_not_break_them():
    row = as_tagged({"text": "", "label": ""}, [["a b", "", "c\n"], ["X", "Y", "Z"]], "here", read_tags)
    assert row.text.split(" ") == ["a\u00a0b", "", "c\u00a0"]
    assert row.label == "X Y Z"


def test_the_words_of_a_text():
    text = '"Don\'t," (U.S.) she said ... 3,000 km/h – नमस्ते!'
    assert [text[start:end] for start, end in words_of(text)] == (
        ['"', "Don't", ",", '"', "(", "U.S.", ")", "she", "said", ".", ".", ".", "3,000", "km/h", "–", "नमस्ते", "!"]
    )
    assert words_of(" \n \u200b \x07") == []  # what tokenizers drop is no word
    assert words_of("\ufeff😀𝕏 क्\u200dष") == [(1, 2), (2, 3), (4, 8)]
