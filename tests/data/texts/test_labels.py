"""What a label is, from its cell to the classes: the same whatever file it is in."""

import json
from decimal import Decimal

import pytest

from lightning_nlp.data.texts.labels import label_notes
from lightning_nlp.data.texts.sources import labelled_source
from lightning_nlp.data.texts.splits import build_splits
from lightning_nlp.errors import UserError
from tests.data.texts.test_readers import write_parquet


def classes(tmp_path, labels, name="a.csv", **options):
    """The classes of a file with these labels, ten texts each, and what is said about them."""
    cells = [(f"text {i} of {j}", label) for i in range(10) for j, label in enumerate(labels)]
    if name.endswith(".csv"):
        (tmp_path / name).write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in cells))
    else:
        lines = [json.dumps({"text": text, "label": label}) for text, label in cells]
        (tmp_path / name).write_text("\n".join(lines))
    source = labelled_source(str(tmp_path / name), **options)
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
    with pytest.raises(UserError, match=r"-1 stands beside 0 to 1: .*'\[-1\]' and --data\.drop.*missing_labels '\[\]'"):
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
    assert "'plot|sound' (10) look like several labels in one, with '|' between them" in note
    assert "NY" not in note


def test_a_list_of_one_and_a_decimal_are_the_value_that_they_are(tmp_path):
    assert classes(tmp_path, [["neg"], ["pos"]], "a.jsonl")[0] == ["neg", "pos"]
    with pytest.raises(UserError, match=r"The label is a list \(\['neg', 'pos'\]\)"):
        classes(tmp_path, [["neg", "pos"], ["pos"]], "a.jsonl", problem="classes")
    write_parquet(
        tmp_path / "a.parquet", text=[f"text {i}" for i in range(40)], label=[Decimal("1"), Decimal("2")] * 20
    )
    assert build_splits(labelled_source(str(tmp_path / "a.parquet")), work_dir=tmp_path / "work")[1] == ["1", "2"]


def test_class_names_that_datasets_writes_beside_a_parquet_file(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    rows = {"text": [f"text {i}" for i in range(41)], "label": [*[0, 1] * 20, -1]}
    Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    with pytest.raises(UserError, match=r"1 row without text or label: a\.parquet, row 40"):
        build_splits(labelled_source(str(tmp_path / "a.parquet")), work_dir=tmp_path / "work")
    source = labelled_source(str(tmp_path / "a.parquet"), drop_incomplete=True)
    assert build_splits(source, work_dir=tmp_path / "work")[1] == ["neg", "pos"]
