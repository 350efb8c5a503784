import datasets
import httpx2
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from huggingface_hub.errors import HfHubHTTPError

from lightning_nlp.data.texts.layout import UNLABELLED
from lightning_nlp.data.texts.sources import labelled_source, text_source
from lightning_nlp.data.texts.tagged import tagged_source
from lightning_nlp.data.texts.targets import label_name
from lightning_nlp.errors import UserError
from tests.data.texts.test_readers import PAIRS
from tests.data.texts.test_sources import make, rows

LABELS = ClassLabel(names=["neg", "pos"])


@pytest.fixture(autouse=True)
def work(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def hub_data(label_type=LABELS, **splits):
    features = Features({"id": Value("int64"), "text": Value("string"), "label": label_type})
    return DatasetDict({
        split: Dataset.from_dict(
            {"id": list(range(len(pairs))), "text": [p[0] for p in pairs], "label": [p[1] for p in pairs]}, features
        )
        for split, pairs in splits.items()
    })  # fmt: skip


def hub(monkeypatch, label_type=LABELS, **splits):
    """Let load_dataset give these splits of (text, label) pairs; returns the list of names asked for."""
    loaded, asked = hub_data(label_type, **splits), []
    monkeypatch.setattr(datasets, "load_dataset", lambda name: asked.append(name) or loaded)
    return asked


def test_hub_data_set(monkeypatch, tmp_path):
    asked = hub(monkeypatch, train=[("a", 0), ("b", 1)] * 1500, test=[("c", 1)], unsupervised=[("d", -1)])
    source = labelled_source("org/films")
    assert asked == ["org/films"]
    assert list(source.splits) == ["train", "test"]
    assert source.label_names == ("neg", "pos")
    assert source.description == "org/films"
    assert rows(source) == [("a", "neg"), ("b", "pos")] * 1500
    assert list(source.splits["train"]())[2001].where == "org/films, train, row 2001 (from 0)"
    assert rows(text_source("org/films", cache_dir=tmp_path), "test") == [("c", None)]
    grouped = labelled_source("org/films", group_column="id")
    assert [row.group for row in grouped.splits["train"]()][1998:2001] == ["1998", "1999", "2000"]
    assert grouped.fingerprint != source.fingerprint


def test_hub_labels_that_are_missing(monkeypatch, tmp_path):
    hub(monkeypatch, train=[("a", 0), ("b", -1), ("c", None)], validation=[("v", 1)], test=[("d", -1), ("e", -1)])
    source = labelled_source("org/films")
    assert rows(source) == [("a", "neg"), ("b", None), ("c", None)]
    assert list(source.splits) == ["train", "validation"]  # a test split without labels cannot be scored


@pytest.mark.parametrize(("names", "read", "left_out"), [
    (("train", "dev"), {"validation": "dev"}, []),
    (("train", "eval", "test"), {"validation": "eval", "test": "test"}, []),
    # of glue/mnli; all that tell a split make it up
    (("train", "validation_matched", "validation_mismatched"),
     {"validation": "validation_matched, the split validation_mismatched"}, []),
    # unless one has its very name
    (("train", "train_small", "valid", "other"), {"validation": "valid"},
     ["train_small (another has the plain name)", "other (no split in its name)"]),
])  # fmt: skip
def test_hub_splits_of_other_names(monkeypatch, tmp_path, names, read, left_out):
    hub(monkeypatch, **{name: [(name, 1)] for name in names})
    for source in (labelled_source("org/films"), text_source("org/films", cache_dir=tmp_path)):
        expected = {"train": "train"} | read
        assert source.lines() == [
            *(f"{split} is read from the split {name}" for split, name in expected.items()),
            *(f"not used: the split {name}" for name in left_out),
        ]
        assert [row.text for split in source.splits for row in source.splits[split]()] == [
            name for part in expected.values() for name in part.split(", the split ")
        ]


def test_a_folder_that_save_to_disk_made(tmp_path):
    data = hub_data(train=[("a", 0), ("b", 1)], dev=[("c", 1)], test=[("d", -1)])
    data.with_format("numpy").save_to_disk(tmp_path / "all")
    data["train"].save_to_disk(tmp_path / "one")
    source = labelled_source(str(tmp_path / "all"))
    assert source.label_names == ("neg", "pos")
    assert [rows(source, split) for split in source.splits] == [[("a", "neg"), ("b", "pos")], [("c", "pos")]]
    assert source.description == "all"
    assert source.lines()[2] == f"not used: the split test ({UNLABELLED})"
    assert rows(text_source(str(tmp_path / "all"), cache_dir=tmp_path), "test") == [("d", None)]
    assert rows(labelled_source(str(tmp_path / "one"))) == [("a", "neg"), ("b", "pos")]
    make(tmp_path, "other/train.csv", "other/state.json")  # somebody else's state
    assert rows(labelled_source(str(tmp_path / "other"))) == [("other/train.csv", "a")]
    (tmp_path / "one" / "data-00000-of-00001.arrow").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"one cannot be read .*--data\.path"):
        labelled_source(str(tmp_path / "one"))


def test_a_class_may_have_the_name_of_a_missing_label(monkeypatch, tmp_path):
    hub(monkeypatch, ClassLabel(names=["none", "some"]), train=[("a", 0), ("b", 1)])
    source = labelled_source("org/films")
    assert [label_name(source, row) for row in source.splits["train"]()] == ["none", "some"]  # the data say what it is


def test_hub_fingerprint(monkeypatch, tmp_path):
    hub(monkeypatch, train=[("a", 0)], test=[("b", 1)])
    base = labelled_source("org/films").fingerprint
    assert labelled_source("org/films").fingerprint == base
    other_column = labelled_source("org/films", text_column="id").fingerprint
    hub(monkeypatch, train=[("a", 0)], test=[("c", 1)])
    assert len({base, other_column, labelled_source("org/films").fingerprint}) == 3
    with pytest.raises(
        UserError, match=r"no column 'stars' in org/films, train, only id, text, label: give --data.lab"
    ):
        labelled_source("org/films", label_column="stars")
    hub(monkeypatch, test=[("a", 0)], other=[("a", 0)])
    with pytest.raises(UserError, match="no split train, only test, other"):
        labelled_source("org/films")


def test_local_wins_over_the_hub(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "load_dataset", lambda name: pytest.fail("asked the Hub"))
    make(tmp_path, "org/films/train.csv", pairs=PAIRS)
    assert rows(labelled_source("org/films")) == PAIRS


NETWORK = r"'org/films' from http.*network, or give a local .*--data\.path"


@pytest.mark.parametrize(("error", "message"), [
    (httpx2.ReadTimeout("slow"), NETWORK),
    (HfHubHTTPError("503", response=httpx2.Response(503, request=httpx2.Request("GET", "http://h"))), NETWORK),
    (OSError("cut"), NETWORK),
    (DatasetGenerationError("x"), NETWORK),
    (DatasetNotFoundError("Dataset 'org/films' doesn't exist"), r"neither a local file.* nor a public data set"),
    (ValueError("Config name is missing.\nPick one"), r"id alone \(ValueError: .* missing\. Pick one\).*files"),
    (RuntimeError("Dataset scripts are no longer supported"), r"by its id alone .*scripts"),
])  # fmt: skip
def test_a_data_set_that_cannot_be_had(monkeypatch, tmp_path, error, message):
    def load(name):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UserError, match=message) as caught:
        labelled_source("org/films")
    assert caught.value.__cause__ is error


def test_tagged_sentences_of_the_hub(monkeypatch):
    names = ["O", "B-PER"]
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    rows_of = {"train": [[1, 0]], "validation": [[0, 1]], "test": [[], None]}
    loaded = DatasetDict({
        split: Dataset.from_dict({"tokens": [["Anna", "left"]] * len(tags), "ner_tags": tags}, features)
        for split, tags in rows_of.items()
    })  # fmt: skip
    monkeypatch.setattr(datasets, "load_dataset", lambda name: loaded)
    source = tagged_source("org/names")
    assert [*source.splits] == ["train", "validation"]  # test has no tags
    assert source.label_names == tuple(names)
    assert rows(source) == [("Anna left", "B-PER O")]
    assert rows(source, "validation") == [("Anna left", "O B-PER")]
