"""What a label is, from its cell to the classes: the same whatever file it is in."""

import json
from decimal import Decimal

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.data.settings import LabelForm
from lightning_nlp.data.texts.sources import Row, Source, labelled_source
from lightning_nlp.data.texts.splits import build_splits
from lightning_nlp.data.texts.targets import label_name, label_notes
from lightning_nlp.errors import UserError
from tests.data.texts.test_readers import write_parquet

TEXTS = [f"text number {i}" for i in range(40)]


def write(tmp_path, name, cells, number=40):
    """So many texts with these cells in turn: a list of them, or of a dict by column."""
    columns = cells if isinstance(cells, dict) else {"label": cells}
    rows = [{"text": f"text number {i}"} | {c: v[i % len(v)] for c, v in columns.items()} for i in range(number)]
    path = tmp_path / name
    if name.endswith(".csv"):
        lines = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    elif name.endswith(".parquet"):
        write_parquet(path, **{column: [row[column] for row in rows] for column in rows[0]})
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.mark.parametrize(
    ("name", "cells", "options", "problem"),
    [
        ("a.csv", [0, 1], {}, "classes"),
        ("a.csv", [1, 2, 3, 4, 5], {}, "classes"),
        ("a.csv", ["0.0", "1.0", ""], {}, "classes"),  # as pandas writes whole numbers beside missing ones
        ("a.jsonl", [True, False], {}, "classes"),
        ("a.jsonl", [["a"], ["b"]], {}, "classes"),
        ("a.csv", ["a", "0.5"], {}, "classes"),
        ("a.csv", ["1.5", "", "2"], {}, "number"),
        ("a.csv", ["\u22121.5", "\uff12"], {}, "number"),  # a minus sign, a full-width digit
        ("a.jsonl", [10**20, 2 * 10**20], {}, "classes"),
        ("a.csv", ["1e3", "-.5", "nan"], {}, "number"),
        ("a.parquet", [0.5, 1.0, None], {}, "number"),
        ("a.csv", [1, 5], {"problem": "number"}, "number"),
        ("a.csv", ["1.5", "2.5"], {"problem": "classes"}, "classes"),
        ("a.jsonl", [["a", "b"], ["a"], []], {}, "labels"),
        ("a.parquet", [["a", "b"], ["a"]], {}, "labels"),
        ("a.csv", ["a|b", "b", ""], {"label_separator": "|"}, "labels"),
        ("a.csv", {"x": [0, 1], "y": [1, 1]}, {"label_column": ["x", "y"]}, "labels"),
    ],
)
def test_the_column_decides_or_the_user(name, cells, options, problem, tmp_path):
    source = labelled_source(write(tmp_path, name, cells), **options)
    assert source.form.problem == problem
    assert any("label" in line for line in source.lines()) == (problem != "classes")


@pytest.mark.parametrize(
    ("name", "cells", "options"),
    [
        ("a.jsonl", [["b", "a", "a"], [], ["a"]], {}),
        ("a.parquet", [["a", "b"], [], ["a"]], {}),
        ("a.csv", ["a|b", "", "a"], {"label_separator": "|"}),
        ("a.csv", {"a": [1, "0.0", 1], "b": [1, 0, "0"]}, {"label_column": ["a", "b"]}),
        ("a.jsonl", {"a": [True, 0, 1.0], "b": [1, False, 0]}, {"label_column": ["a", "b"]}),
    ],
)
def test_several_labels_in_all_their_forms_are_the_same_batch(name, cells, options, tmp_path):
    data = TextClassificationDataModule(
        write(tmp_path, name, cells), **options, max_length=16, vocab_size=300, cache_dir=str(tmp_path / "cache")
    )
    data.setup()
    assert data.label_names == ["a", "b"]
    expected = {0: [1, 1], 1: [0, 0], 2: [1, 0]}
    rows, number = data.token_rows["train"], range(len(data.token_rows["train"].lengths))
    batch = data.collate_function(0)(rows[np.array(number)] | {"index": number}, 0)
    for ids, labels in zip(batch["input_ids"], batch["labels"].tolist(), strict=True):
        number = int(data.tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "").removeprefix("textnumber"))
        assert labels == expected[number % 3]
    assert data.class_counts == batch["labels"].sum(0).tolist()


@pytest.mark.parametrize(
    ("name", "cells", "options", "message"),
    [
        ("a.jsonl", [["a", ""], ["b"]], {}, r"A label of \['a', ''\] is empty: a.jsonl, line 1; remove it"),
        ("a.jsonl", [["a", {}], ["b"]], {}, "The label is a dict"),
        ("a.csv", ["a||b", "c"], {"label_separator": "|"}, "is empty: a.csv, line 2"),
        ("a.jsonl", [["a", "b"], ["b"]], {"label_separator": "|"}, "--data.label_separator is for strings"),
        ("a.jsonl", [["a", "b"], ["b"]], {"problem": "classes"}, "--data.problem labels if a text may have several"),
        ("a.csv", {"x": [0, 2], "y": [1, 1]}, {"label_column": ["x", "y"]}, "The column 'x' has '2', not 0 or 1"),
        ("a.csv", {"x": [0, None], "y": [1, 1]}, {"label_column": ["x", "y"]}, "20 rows without text or label"),
        ("a.csv", {"x": [0, 1]}, {"label_column": ["x", "x"]}, "--data.label_column"),
        ("a.csv", [0, 1], {"label_column": ["x"], "problem": "classes"}, "is a list is for several labels"),
        ("a.csv", [0, 1], {"label_separator": "|", "problem": "number"}, "--data.label_separator is for several"),
        ("a.csv", [0, 1], {"label_separator": "|", "label_column": ["x"]}, "give one"),
        ("a.csv", [0, 1], {"label_separator": ""}, "--data.label_separator is empty"),
        ("a.csv", [0, 1], {"label_column": []}, "--data.label_column is an empty list"),
        ("a.jsonl", [["a", "b"]], {}, "train has only one label"),
        (
            "a.csv",
            ["bad", "0.5"],
            {"problem": "number"},
            "The label 'bad' is not a number from -1e\\+15 to 1e\\+15: a.csv, line 2",
        ),
        ("a.csv", ['"1,5"', "0.5"], {"problem": "number"}, "with a decimal point"),
        ("a.jsonl", [1e39, 0.5], {}, "is not a number from"),  # single precision has none so large
        ("a.jsonl", [True, False], {"problem": "number"}, "'True' is not a number from"),
        ("a.csv", ["1.5", "n/a"], {}, r"20 rows without text or label \('n/a' \(20\) count as missing\)"),
        ("a.jsonl", [1.5, -1.0], {"missing_labels": [-1]}, r"label \('-1' \(20\) count as missing\)"),
    ],
)
def test_bad_labels_are_one_sentence(name, cells, options, message, tmp_path):
    path = write(tmp_path, name, cells)
    with pytest.raises(UserError, match=message):
        TextClassificationDataModule(path, **options, max_length=16, cache_dir=str(tmp_path / "cache")).setup()


def test_lists_of_class_labels_have_the_names_that_datasets_keeps(tmp_path):
    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["zebra", "ape", "never"]))})
    columns = {"text": TEXTS, "label": [[[0, 1], [], [1]][i % 3] for i in range(len(TEXTS))]}
    DatasetDict({"train": Dataset.from_dict(columns, features=features)}).save_to_disk(tmp_path / "saved")
    path, cache = str(tmp_path / "saved"), str(tmp_path / "cache")
    data = TextClassificationDataModule(path, max_length=16, cache_dir=cache)
    data.setup()
    assert data.label_names == ["zebra", "ape", "never"]
    assert data.facts["problem"] == "labels"
    assert data.class_counts[2] == 0
    assert 0 < data.class_counts[0] < data.class_counts[1]


def classes(tmp_path, labels, name="a.csv", **options):
    """The classes of a file with these labels, ten texts each, and what is said about them."""
    source = labelled_source(write(tmp_path, name, labels, 10 * len(labels)), **options)
    _, names, counts = build_splits(source, work_dir=tmp_path / "work")
    return names, counts.notes


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_one_class_whatever_nobody_sees(tmp_path, name):
    labels = [
        *("1", "1.0", " 1.000", "+1", "0", "-0.0", ".0", "\uff11", "\uff0b\uff11\uff0e\uff10", "\u0661"),
        *("\u2212\uff10", "Caf\u00e9", "Cafe\u0301", "Caf\u00e9\u200b", "\ufeffCaf\u00e9 ", "7"),
    ]
    assert classes(tmp_path, labels, name) == (["0", "1", "7", "Caf\u00e9"], [])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("label", [0.53, "0.53", "-4.50", ".5", "1.5e-3", "1e3", "2.E5", "\u2212\uff10.\uff15"])
def test_scores_are_no_classes(tmp_path, name, label):
    with pytest.raises(UserError, match=rf"The label {label} is a score, not a class: {name}, line "):
        classes(tmp_path, ["a", label if name == "a.csv" or isinstance(label, float) else str(label)], name)
    assert classes(tmp_path, ["a", f"class {label}"], name)[0] == ["a", f"class {label}"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_what_only_looks_like_a_number_is_a_name(tmp_path, name):
    labels = ["50%", "1/2", "1e", "e3", "3d", "0x1f", "\u00b2", "1_000", "1-2"]
    assert set(classes(tmp_path, labels, name)[0]) == set(labels)


def test_spellings_that_differ_where_it_can_be_seen(tmp_path):
    names, found = classes(tmp_path, ["Bar", "BAR", "bar", "sci-fi", "sci fi", "01", "1", "other"])
    assert len(names) == 8
    (note,) = found
    for pair in ("'Bar' (10), 'BAR' (10), 'bar' (10)", "'sci-fi' (10), 'sci fi' (10)", "'01' (10), '1' (10)"):
        assert pair in note
    assert "other" not in note
    assert label_notes({"C": 1, "C++": 1, "C#": 1, "-": 1, "+": 1, "0": 1, "00": 2, "-1": 1, "1": 1})[0].count("(") == 2


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("word", ["nan", "None", "NULL", "N/A", "#N/A", "?", "-"])
def test_words_for_missing_labels(tmp_path, name, word):
    with pytest.raises(UserError, match="10 rows without text or label") as caught:
        classes(tmp_path, ["0", "1", word], name)
    assert f"('{word}' (10) count as missing)" in str(caught.value)
    for cure in ("--data.drop_incomplete true", "--data.missing_labels '[]'"):
        assert cure in str(caught.value)
    kept, found = classes(tmp_path, ["0", "1", word], name, drop_incomplete=True)
    assert kept == ["0", "1"]
    assert f"'{word}' (10) count as missing" in found[0]
    assert set(classes(tmp_path, ["0", "1", word], name, missing_labels=[])[0]) == {"0", "1", word}


def test_words_for_missing_labels_that_are_none_are_named(tmp_path):
    words = ["Unknown", "n/a", "?"]
    _, found = classes(tmp_path, ["0", "1", "N/A"], drop_incomplete=True, missing_labels=words)
    assert found == ["--data.missing_labels: no row has the label '?', 'unknown'."]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_minus_one_beside_the_classes_is_asked_about(tmp_path, name):
    with pytest.raises(UserError, match=r"label -1 besides 0 to 1: .*'\[-1\]' and --data\.drop.*missing_labels '\[\]'"):
        classes(tmp_path, [-1, 0, 1], name)
    assert classes(tmp_path, [-1, 0, 1], name, missing_labels=[-1], drop_incomplete=True) == (["0", "1"], [])
    assert classes(tmp_path, [-1, 0, 1], name, missing_labels=[]) == (["-1", "0", "1"], [])
    assert classes(tmp_path, [-1, 1, "\u22121"], name) == (["-1", "1"], [])
    with pytest.raises(UserError, match=r"missing_labels '\[-1, \"nan\"\]'"):
        classes(tmp_path, [-1, 0, 1, "nan"], name, drop_incomplete=True)
    both = classes(tmp_path, [-1, 0, 1, "nan"], name, drop_incomplete=True, missing_labels=[-1, "nan"])
    assert both == (["0", "1"], [])


def test_several_labels_in_one(tmp_path):
    _, (note,) = classes(tmp_path, ["plot", "plot|sound", "sound", "cast|plot", "New York; NY"])
    assert "'plot|sound' (10) look like several labels joined by '|'" in note
    assert "NY" not in note


def test_a_list_of_one_and_a_decimal_are_the_value_that_they_are(tmp_path):
    assert classes(tmp_path, [["neg"], ["pos"]], "a.jsonl")[0] == ["neg", "pos"]
    with pytest.raises(UserError, match=r"The label is a list \(\['neg', 'pos'\]\)"):
        classes(tmp_path, [["neg", "pos"], ["pos"]], "a.jsonl", problem="classes")
    write_parquet(tmp_path / "a.parquet", text=TEXTS, label=[Decimal("1"), Decimal("2")] * 20)
    assert build_splits(labelled_source(str(tmp_path / "a.parquet")), work_dir=tmp_path / "work")[1] == ["1", "2"]


def test_class_names_that_datasets_writes_beside_a_parquet_file(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    rows = {"text": [*TEXTS, "one more"], "label": [*[0, 1] * 20, -1]}
    Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    with pytest.raises(UserError, match=r"1 row without text or label: a\.parquet, row 40"):
        build_splits(labelled_source(str(tmp_path / "a.parquet")), work_dir=tmp_path / "work")
    source = labelled_source(str(tmp_path / "a.parquet"), drop_incomplete=True)
    assert build_splits(source, work_dir=tmp_path / "work")[1] == ["neg", "pos"]


def one_source(**settings):
    return Source("a.csv", "0", {}, labelled=True, **settings)


def test_a_label_has_a_name_or_is_missing():
    assert label_name(one_source(), Row("a", "1", "row 1")) == "1"
    assert label_name(one_source(), Row("a", "n/a", "row 1")) is None
    assert label_name(one_source(form=LabelForm(missing=("1",))), Row("a", "1", "row 1")) is None
    assert (
        label_name(one_source(label_names=("n/a", "b"), form=LabelForm(missing=())), Row("a", "n/a", "row 1")) == "n/a"
    )
    with pytest.raises(UserError, match="The label 'c' is not one of a, b: row 1"):
        label_name(one_source(label_names=("a", "b")), Row("a", "c", "row 1"))
    several = one_source(form=LabelForm("labels"), label_names=("a", "b"))
    assert label_name(several, Row("a", '["a"]', "row 1")) == '["a"]'
    assert label_name(several, Row("a", None, "row 1")) is None
