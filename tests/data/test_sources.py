import dataclasses
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from lightning_nlp.data import hub_texts
from lightning_nlp.data.demo import demo_reviews
from lightning_nlp.data.sources import labelled_source, text_source
from lightning_nlp.errors import UserError
from tests.data.test_readers import PAIRS, write_table


def rows(source, split="train"):
    return [(row.text, row.label) for row in source.splits[split]()]


def make(folder, *names, pairs=None):
    """Files whose only text is the file's own name, so that a test sees which were read."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".jsonl", ".parquet")):
            write_table(path, pairs or [(name, "a")])
        else:
            path.write_text(name + "\n")


def texts(source):
    return {split: [row.text for row in read()] for split, read in source.splits.items()}


@pytest.mark.parametrize("name", ["reviews.csv", "test.tsv", "r.jsonl.gz", "r.parquet"])
def test_single_file_is_train(tmp_path, name):
    make(tmp_path, name, pairs=PAIRS)
    source = labelled_source(str(tmp_path / name))
    assert list(source.splits) == ["train"]
    assert rows(source) == PAIRS
    assert rows(source) == PAIRS  # a split can be read again
    assert source.description == name
    assert source.label_names is None
    assert source.labelled


def test_columns_are_handed_on(tmp_path):
    (tmp_path / "a.csv").write_text("review,stars\ngood,5\n")
    assert rows(labelled_source(str(tmp_path / "a.csv"), text_column="review", label_column="stars")) == [("good", "5")]
    assert rows(text_source(str(tmp_path / "a.csv"), text_column="stars", cache_dir=tmp_path)) == [("5", None)]


def test_glob_is_train_in_the_order_of_names(tmp_path):
    make(tmp_path, "b.csv", "a.jsonl", "c.csv.gz", "notes.md", "d.txt")
    source = labelled_source(str(tmp_path / "*"))
    assert texts(source) == {"train": ["a.jsonl", "b.csv", "c.csv.gz"]}
    assert source.description == "a.jsonl (+2 files)"


def test_glob_whose_names_tell_the_split(tmp_path):
    make(tmp_path, "train-0.csv", "test-0.csv")
    assert texts(labelled_source(str(tmp_path / "*.csv"))) == {"train": ["train-0.csv"], "test": ["test-0.csv"]}


@pytest.mark.parametrize("subfolder", ["", "plain_text/", "data/"])
def test_folder_as_on_the_hub(tmp_path, subfolder):
    names = [f"{subfolder}{name}-00000-of-00001.parquet" for name in ("train", "test", "unsupervised")]
    make(tmp_path / "imdb", *names, "README.md")
    source = labelled_source(str(tmp_path / "imdb"))
    assert texts(source) == {"train": [names[0]], "test": [names[1]]}
    assert source.description == "imdb"


@pytest.mark.parametrize(("name", "split"), [
    ("validation.csv", "validation"), ("valid.csv", "validation"), ("val_1.csv", "validation"),
    ("dev.csv", "validation"), ("reviews-dev.tsv", "validation"),
    ("TEST.csv", "test"), ("imdb_test.csv", "test"), ("testing.csv", "test"), ("testset.jsonl", "test"),
    ("train2.csv", "train"), ("training.csv.gz", "train"),
    ("contest.csv", None), ("interval.csv", None), ("device.csv", None), ("testament.csv", None), ("trains.csv", None),
])  # fmt: skip
def test_names_that_tell_the_split(tmp_path, name, split):
    make(tmp_path, "my-train.csv", name)
    expected = {"train": ["my-train.csv"]}
    if split:
        expected.setdefault(split, []).append(name)
    assert texts(labelled_source(str(tmp_path))) == expected


def test_splits_come_in_the_usual_order(tmp_path):
    make(tmp_path, "dev.csv", "test.csv", "train.csv")
    assert list(labelled_source(str(tmp_path)).splits) == ["train", "validation", "test"]


def test_folder_without_train_split(tmp_path):
    make(tmp_path, "test.csv", "validation.csv")
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"No file in .* train split: found test\.csv, validation\.csv; rename"):
            find(str(tmp_path))


def test_folder_without_split_words(tmp_path):
    make(tmp_path, "a.csv", "b.csv")
    with pytest.raises(UserError, match=r"train split: found a\.csv, b\.csv"):
        labelled_source(str(tmp_path))
    assert texts(text_source(str(tmp_path), cache_dir=tmp_path)) == {"train": ["a.csv", "b.csv"]}


def test_folder_without_data(tmp_path):
    make(tmp_path, "README.md")
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))} holds no data files \(.csv.*--data\.path"):
        labelled_source(str(tmp_path))


@pytest.mark.parametrize(
    "path", ["", "reviews", "none/reviews.csv", "./org/name", "/none/at/all", "a/b/c", "~/nothing"]
)
def test_neither_file_nor_hub_id(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: pytest.fail("asked the Hub"))
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=rf"'{re.escape(path)}' is neither a file, a folder nor .*--data\.path"):
            find(path)


def test_glob_without_match(tmp_path):
    make(tmp_path, "a.txt")
    with pytest.raises(UserError, match=r"No data file \(.csv.*\) matches .*\*\.csv.*--data\.path"):
        labelled_source(str(tmp_path / "*.csv"))
    with pytest.raises(UserError, match="No data file"):
        labelled_source(str(tmp_path / "*.txt"))  # plain text has no labels


def test_file_of_an_unknown_format(tmp_path):
    make(tmp_path, "reviews.xlsx")
    with pytest.raises(UserError, match=r"reviews\.xlsx is in no format .* \.csv, \.tsv, \.jsonl, \.parquet"):
        labelled_source(str(tmp_path / "reviews.xlsx"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(tmp_path):
    make(tmp_path, "a.csv")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(UserError, match=r"a\.csv cannot be read \(Permission denied\)"):
        labelled_source(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("path", ["x" * 5000, "~nobody-of-this-name/reviews.csv", "a\0b"])
def test_names_that_no_file_can_have(tmp_path, path):
    for find in (labelled_source, lambda path: text_source(path, cache_dir=tmp_path)):
        with pytest.raises(UserError, match=r"neither a file|File name too long"):
            find(path)


def acl_imdb(folder):
    for name in ("train/pos/0_9", "train/pos/10_7", "train/pos/2_10", "train/neg/0_3", "test/pos/0_8", "test/neg/1_1"):
        make(folder, name + ".txt")
    make(folder, "train/unsup/0_0.txt", "imdb.vocab", "train/labeledBow.feat")
    return folder


def test_acl_imdb_tree(tmp_path):
    source = labelled_source(str(acl_imdb(tmp_path / "aclImdb")))
    assert list(source.splits) == ["train", "test"]
    assert source.label_names == ("neg", "pos")
    assert source.description == "aclImdb"
    train = list(source.splits["train"]())
    assert [row.where for row in train] == [
        "train/neg/0_3.txt", "train/pos/0_9.txt", "train/pos/2_10.txt", "train/pos/10_7.txt",
    ]  # fmt: skip
    assert [(row.text.strip(), row.label) for row in train] == [(r.where, r.where.split("/")[1]) for r in train]
    assert [label for _, label in rows(source, "test")] == ["neg", "pos"]


def test_acl_imdb_tree_that_is_incomplete_or_not_utf8(tmp_path):
    folder = acl_imdb(tmp_path / "aclImdb")
    (folder / "train/pos/0_9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"train/pos/0_9\.txt cannot be read"):
        rows(labelled_source(str(folder)))
    (folder / "test/neg/1_1.txt").unlink()
    with pytest.raises(UserError, match=r"test lacks reviews in neg or pos"):
        labelled_source(str(folder))


def test_fingerprint_changes_with_contents_and_columns_only(tmp_path):
    make(tmp_path / "one", "train.csv", "test.csv", pairs=PAIRS)
    make(tmp_path / "two", "train.csv", "test.csv", pairs=PAIRS)
    base = labelled_source(str(tmp_path / "one")).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", base)
    assert labelled_source(str(tmp_path / "two")).fingerprint == base
    make(tmp_path / "two", "unsupervised.csv")
    assert labelled_source(str(tmp_path / "two")).fingerprint == base
    others = [
        labelled_source(str(tmp_path / "one"), text_column="id").fingerprint,
        labelled_source(str(tmp_path / "one"), label_column="id").fingerprint,
        labelled_source(str(tmp_path / "one"), drop_incomplete=True).fingerprint,
        labelled_source(str(tmp_path / "one/train.csv")).fingerprint,
    ]
    make(tmp_path / "two", "test.csv", pairs=PAIRS[:2])
    others.append(labelled_source(str(tmp_path / "two")).fingerprint)
    (tmp_path / "two/test.csv").rename(tmp_path / "two/dev.csv")
    others.append(labelled_source(str(tmp_path / "two")).fingerprint)
    assert len({base, *others}) == 7


def test_fingerprint_of_the_tree(tmp_path):
    before = labelled_source(str(acl_imdb(tmp_path / "aclImdb"))).fingerprint
    (tmp_path / "aclImdb/train/neg/0_3.txt").rename(tmp_path / "aclImdb/train/pos/0_3.txt")
    make(tmp_path / "aclImdb", "train/neg/0_9.txt")
    assert labelled_source(str(tmp_path / "aclImdb")).fingerprint != before


def test_drop_incomplete_is_handed_on(tmp_path):
    make(tmp_path, "a.csv")
    assert not labelled_source(str(tmp_path / "a.csv")).drop_incomplete
    assert labelled_source(str(tmp_path / "a.csv"), drop_incomplete=True).drop_incomplete


def test_text_files_and_globs(tmp_path):
    make(tmp_path, "a.txt", "b.txt", "c.md", "d.jsonl", "frazoj")
    find = lambda name: text_source(str(tmp_path / name), cache_dir=tmp_path)  # noqa: E731
    assert texts(find("frazoj")) == {"train": ["frazoj"]}  # any file can be plain text
    assert texts(find("*.txt")) == {"train": ["a.txt", "b.txt"]}
    assert texts(find("*.md")) == {"train": ["c.md"]}
    assert texts(find("")) == {"train": ["a.txt", "b.txt", "d.jsonl"]}
    assert rows(find("a.txt")) == [("a.txt", None)]
    assert find("*.txt").label_names is None
    assert not find("*.txt").labelled
    assert find("*.txt").description == "a.txt (+1 files)"


def test_text_folder_with_splits(tmp_path):
    make(tmp_path, "train.txt", "valid.txt", "other.txt")
    source = text_source(str(tmp_path), cache_dir=tmp_path)
    assert texts(source) == {"train": ["train.txt"], "validation": ["valid.txt"]}


def test_unpacked_leipzig_archive(tmp_path):
    make(tmp_path, "epo_x-words.txt", "epo_x-sources.txt")
    (tmp_path / "epo_x-sentences.txt").write_text("1\tUnua.\n2\tDua.\n")
    assert texts(text_source(str(tmp_path), cache_dir=tmp_path)) == {"train": ["Unua.", "Dua."]}


def test_several_leipzig_files_are_told_apart_one_by_one(tmp_path):
    (tmp_path / "a.txt").write_text("1\tUnua.\n")
    (tmp_path / "b.txt").write_text("Dua.\n")
    assert texts(text_source(str(tmp_path / "*.txt"), cache_dir=tmp_path)) == {"train": ["Unua.", "Dua."]}


def test_demo_reviews():
    source = labelled_source("demo")
    assert list(source.splits) == ["train", "test"]
    assert rows(source) == list(demo_reviews(10_000, 0))
    assert rows(source, "test") == list(demo_reviews(2_000, 1))
    assert source.fingerprint == labelled_source("demo").fingerprint


def test_demo_sentences(tmp_path):
    source = text_source("demo", cache_dir=tmp_path)
    assert list(source.splits) == ["train"]
    sentences = rows(source)
    assert len(sentences) == 20_000
    assert all(text and label is None for text, label in sentences)
    assert source.fingerprint not in ("", labelled_source("demo").fingerprint)


LABELS = ClassLabel(names=["neg", "pos"])


def hub(monkeypatch, label_type=LABELS, **splits):
    """Let load_dataset give these splits of (text, label) pairs; returns the list of names asked for."""
    features = Features({"id": Value("int64"), "text": Value("string"), "label": label_type})
    loaded = DatasetDict({
        split: Dataset.from_dict(
            {"id": list(range(len(pairs))), "text": [p[0] for p in pairs], "label": [p[1] for p in pairs]}, features
        )
        for split, pairs in splits.items()
    })  # fmt: skip
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda name: asked.append(name) or loaded)
    return asked


def test_hub_data_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = hub(monkeypatch, train=[("a", 0), ("b", 1)] * 1500, test=[("c", 1)], unsupervised=[("d", -1)])
    source = labelled_source("org/films")
    assert asked == ["org/films"]
    assert list(source.splits) == ["train", "test"]
    assert source.label_names == ("neg", "pos")
    assert source.description == "org/films"
    assert rows(source) == [("a", "neg"), ("b", "pos")] * 1500
    assert list(source.splits["train"]())[2001].where == "org/films, train, row 2001 (from 0)"
    assert rows(text_source("org/films", cache_dir=tmp_path), "test") == [("c", None)]


def test_hub_labels_that_are_missing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hub(monkeypatch, train=[("a", 0), ("b", -1), ("c", None)], validation=[("v", 1)], test=[("d", -1), ("e", -1)])
    source = labelled_source("org/films")
    assert rows(source) == [("a", "neg"), ("b", None), ("c", None)]
    assert list(source.splits) == ["train", "validation"]  # a test split without labels cannot be scored


@pytest.mark.parametrize(("label_type", "label", "expected"), [
    (Value("int64"), 7, 7), (Value("string"), "x", "x"), (Value("bool"), True, "True"), (Value("float64"), 2.0, 2),
])  # fmt: skip
def test_hub_labels_of_other_types(monkeypatch, tmp_path, label_type, label, expected):
    monkeypatch.chdir(tmp_path)
    hub(monkeypatch, label_type, train=[("a", label)])
    source = labelled_source("org/films")
    assert source.label_names is None
    assert rows(source) == [("a", expected)]


def test_hub_fingerprint(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hub(monkeypatch, train=[("a", 0)], test=[("b", 1)])
    base = labelled_source("org/films").fingerprint
    assert labelled_source("org/films").fingerprint == base
    other_column = labelled_source("org/films", text_column="id").fingerprint
    hub(monkeypatch, train=[("a", 0)], test=[("c", 1)])
    assert len({base, other_column, labelled_source("org/films").fingerprint}) == 3


def test_hub_data_set_without_column_or_train(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hub(monkeypatch, train=[("a", 0)])
    with pytest.raises(UserError, match=r"no column 'review' in org/films, train, only id, text, label: .*text_column"):
        labelled_source("org/films", text_column="review")
    with pytest.raises(UserError, match=r"no column 'stars' .*--data\.label_column"):
        labelled_source("org/films", label_column="stars")
    hub(monkeypatch, test=[("a", 0)], other=[("a", 0)])
    with pytest.raises(UserError, match="no split train, only test, other"):
        labelled_source("org/films")


def test_local_wins_over_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: pytest.fail("asked the Hub"))
    make(tmp_path, "org/films/train.csv", pairs=PAIRS)
    assert rows(labelled_source("org/films")) == PAIRS


def failing(monkeypatch, *failures):
    """Let load_dataset fail in turn, then succeed; returns the list of attempts."""
    loaded = DatasetDict({"train": Dataset.from_dict({"text": ["a"], "label": [1]})})
    attempts = []

    def load(name):
        attempts.append(name)
        if len(attempts) <= len(failures):
            raise failures[len(attempts) - 1]
        return loaded

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(hub_texts, "HUB_ATTEMPTS", (0.0, 0.0, 0.0))
    return attempts


def http_errors():
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    response = httpx2.Response(503, request=httpx2.Request("GET", "http://127.0.0.1"))
    return [
        httpx2.ReadTimeout("slow"),
        HfHubHTTPError("503", response=response),
        OSError("cut"),
        DatasetGenerationError("x"),
    ]


@pytest.mark.parametrize("error", http_errors(), ids=lambda error: type(error).__name__)
def test_hub_failures_are_tried_again(monkeypatch, tmp_path, error):
    monkeypatch.chdir(tmp_path)
    attempts = failing(monkeypatch, error, error)
    assert rows(labelled_source("org/films")) == [("a", 1)]
    assert len(attempts) == 3
    attempts = failing(monkeypatch, error, error, error)
    with pytest.raises(UserError, match=r"'org/films' from http.*network, or give a local .*--data\.path") as caught:
        labelled_source("org/films")
    assert caught.value.__cause__ is error
    assert len(attempts) == 3


@pytest.mark.parametrize(("error", "message"), [
    (ConnectionError("Couldn't reach 'org/films' on the Hub"), r"Could not fetch .*Couldn't reach.*--data\.path"),
    (DatasetNotFoundError("Dataset 'org/films' doesn't exist"), r"neither a local file.* nor a public data set"),
    (ValueError("Config name is missing.\nPick one"), r"id alone \(ValueError: Config name is missing\.\).*files"),
    (RuntimeError("Dataset scripts are no longer supported"), r"by its id alone .*scripts"),
])  # fmt: skip
def test_hub_failures_that_stay(monkeypatch, tmp_path, error, message):
    monkeypatch.chdir(tmp_path)
    attempts = failing(monkeypatch, error)
    with pytest.raises(UserError, match=message) as caught:
        labelled_source("org/films")
    assert caught.value.__cause__ is error
    assert len(attempts) == 1


def test_real_client_and_a_hub_without_the_data_set(tmp_path):
    class NotFound(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), NotFound)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    code = (
        "from lightning_nlp.data.sources import labelled_source\n"
        "from lightning_nlp.errors import UserError\n"
        "try: labelled_source('org/films')\n"
        "except UserError as error: print(error)"
    )
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN")
    environment = {key: value for key, value in os.environ.items() if key not in offline}
    address = f"http://127.0.0.1:{server.server_port}"
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "no_proxy": "*"}
    environment["PYTHONPATH"] = os.getcwd()
    try:
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert result.stdout.startswith(f"'org/films' is neither a local file or folder nor a public data set on {address}")


def test_source_is_frozen(tmp_path):
    make(tmp_path, "a.csv")
    with pytest.raises(dataclasses.FrozenInstanceError):
        labelled_source(str(tmp_path / "a.csv")).description = "b"
