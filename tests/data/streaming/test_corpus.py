import gzip
import json
import pickle
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from lightning_nlp.data.streaming.corpus import addresses, find_corpus
from lightning_nlp.data.streaming.datamodule import stream_source
from lightning_nlp.errors import UserError
from tests.data.conftest import running

TEXTS = [f"Ĉi tiu frazo havas la numeron {number}." for number in range(2500)]


def lines(texts):
    return "".join(f"{text}\n" for text in texts).encode()


def json_lines(texts):
    return "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts).encode()


def zstd(content):
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as file:
        file.write(content)
    return packed.getvalue().to_pybytes()


def parquet(path, texts):
    pq.write_table(pa.table({"id": [1] * len(texts), "text": texts}), path, row_group_size=700)


WRITERS = {
    "txt": lambda path, texts: path.write_bytes(lines(texts)),
    "txt.gz": lambda path, texts: path.write_bytes(gzip.compress(lines(texts))),
    "txt.zst": lambda path, texts: path.write_bytes(zstd(lines(texts))),
    "jsonl": lambda path, texts: path.write_bytes(json_lines(texts)),
    "jsonl.gz": lambda path, texts: path.write_bytes(gzip.compress(json_lines(texts))),
    "jsonl.zst": lambda path, texts: path.write_bytes(zstd(json_lines(texts))),
    "parquet": parquet,
}


def write_shards(folder, suffix, texts=TEXTS, number=2):
    size = len(texts) // number
    for shard in range(number):
        WRITERS[suffix](folder / f"part-{shard:02}.{suffix}", texts[shard * size : (shard + 1) * size])
    return folder / f"*.{suffix}"


def all_texts(corpus):
    return [text for shard in range(corpus.shards()) for _, text in corpus.rows("train", shard)]


@pytest.mark.parametrize("suffix", WRITERS)
def test_each_format_gives_the_same_rows(suffix, tmp_path):
    corpus = find_corpus(str(write_shards(tmp_path, suffix)))
    assert corpus.shards() == 2
    assert all_texts(corpus) == TEXTS


@pytest.mark.parametrize("parts", [2, 3])
def test_readers_that_share_a_shard_have_each_row_once(parts, tmp_path):
    corpus = find_corpus(str(write_shards(tmp_path, "parquet", number=1)))
    found = [list(corpus.rows("train", 0, row=1500, part=part, parts=parts)) for part in range(parts)]
    assert sorted(row for part in found for row in part) == list(enumerate(TEXTS))[1500:]
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("suffix", ["txt", "txt.gz", "jsonl.zst", "parquet"])
def test_shards_come_from_addresses(suffix, tmp_path):
    write_shards(tmp_path, suffix, number=3, texts=TEXTS[:90])
    handler = type("Quiet", (Handler,), {"folder": str(tmp_path)})
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        corpus = find_corpus(f"http://127.0.0.1:{server.server_port}/part-{{00..02}}.{suffix}")
        assert corpus.shards() == 3
        assert corpus.files.names == {"train": [f"part-0{shard}.{suffix}" for shard in range(3)]}
        assert all_texts(corpus) == TEXTS[:90]
        with pytest.raises(UserError, match=r"part-09.*cannot be opened|cannot be opened.*part-09"):
            find_corpus(f"http://127.0.0.1:{server.server_port}/part-09.{suffix}")


class Handler(SimpleHTTPRequestHandler):
    folder = ""

    def __init__(self, *args):
        super().__init__(*args, directory=self.folder)

    def log_message(self, *args):
        pass


def test_addresses_with_numbers_are_written_out():
    assert addresses("s3://b/{08..10}-{1..2}.gz") == [
        f"s3://b/{first}-{second}.gz" for first in ("08", "09", "10") for second in (1, 2)
    ]
    assert addresses("https://h/a.jsonl") == ["https://h/a.jsonl"]
    with pytest.raises(UserError, match="counts from 3 down to 1"):
        addresses("https://h/{3..1}.jsonl")


def test_folders_tell_the_split_as_they_do_without_a_stream(tmp_path):
    for split, texts in (("train", TEXTS[:10]), ("test", TEXTS[10:14])):
        (tmp_path / "default" / split).mkdir(parents=True)
        WRITERS["parquet"](tmp_path / "default" / split / "0000.parquet", texts)
    WRITERS["parquet"](tmp_path / "notes.parquet", TEXTS)
    corpus = find_corpus(str(tmp_path))
    assert all_texts(corpus) == TEXTS[:10]
    assert [text for _, text in corpus.rows("test", 0)] == TEXTS[10:14]
    lines = stream_source(corpus, {"validation": 2, "test": 2}, 4).lines()
    assert lines[0] == "train is read from default/train/0000.parquet"
    assert lines[2] == "not used: notes.parquet (no split in its name)"


def test_a_folder_that_save_to_disk_made(tmp_path):
    parts = {"train": TEXTS[:6], "dev": TEXTS[6:9]}
    DatasetDict({split: Dataset.from_dict({"text": texts}) for split, texts in parts.items()}).save_to_disk(tmp_path)
    (tmp_path / "train" / "cache-0123.arrow").write_bytes(b"what `map` left")
    corpus = find_corpus(str(tmp_path))
    assert all_texts(corpus) == TEXTS[:6]
    assert [text for _, text in corpus.rows("validation", 0)] == TEXTS[6:9]


def test_splits_of_other_names_of_a_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "dev_b", "dev_a", "more"):
        WRITERS["txt"](tmp_path / f"{split}.txt", [split])
    files = {split: str(tmp_path / f"{split}.txt") for split in ("train", "dev_b", "dev_a", "more")}
    builder = datasets.load_dataset_builder("text", data_files=files)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda name: builder)
    corpus = find_corpus("org/name")
    assert [text for _, text in corpus.rows("validation", 0)] == ["dev_b"]
    assert stream_source(corpus, {"validation": 2, "test": 2}, 4).lines() == [
        "train is read from the split train",
        "validation is read from the split dev_b",
        "not used: the split more (no split in its name)",
        "not used: the split dev_a (a stream takes the first of a kind)",
    ]


def test_leipzig_lines_lose_their_numbers(tmp_path):
    corpus = find_corpus(str(write_shards(tmp_path, "txt", [f"{n}\t{text}" for n, text in enumerate(TEXTS[:50])])))
    assert all_texts(corpus) == TEXTS[:50]


def test_the_fingerprint_is_that_of_the_files(tmp_path):
    pattern = str(write_shards(tmp_path, "txt"))
    first = find_corpus(pattern)
    assert find_corpus(pattern).fingerprint == first.fingerprint == pickle.loads(pickle.dumps(first)).fingerprint
    assert find_corpus(pattern, text_column="body").fingerprint != first.fingerprint, "and of how they are read"
    WRITERS["txt"](tmp_path / "part-00.txt", TEXTS[:1251])
    assert find_corpus(pattern).fingerprint != first.fingerprint


def test_a_file_whose_name_is_a_pattern_is_itself(tmp_path):
    WRITERS["txt"](tmp_path / "a[0].txt", TEXTS[:3])
    WRITERS["txt"](tmp_path / "a0.txt", TEXTS[3:6])
    assert all_texts(find_corpus(str(tmp_path / "a[0].txt"))) == TEXTS[:3]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (None, "cannot be streamed"),
        ("demo", "cannot be streamed"),
        ("https://example.org/corpus.tar.gz", "cannot be streamed"),
        ("no/such/file.txt", "neither a file"),
        ("a.csv", r"cannot be streamed as \.csv"),
        ("part-*", r"several formats \(\.jsonl, \.txt\)"),
        ("part-*.jsonl", r"no column 'body' in .*part-00\.jsonl, only id, text"),
    ],
)
def test_what_cannot_be_streamed_is_refused(path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("text\nsaluton\n", encoding="utf-8")
    for suffix in ("txt", "jsonl"):
        write_shards(tmp_path, suffix, TEXTS[:4])
    with pytest.raises(UserError, match=words):
        find_corpus(path, text_column="body")


@pytest.mark.parametrize("suffix", ["txt.gz", "txt.zst", "jsonl", "parquet"])
def test_a_damaged_shard_is_named(suffix, tmp_path):
    pattern = write_shards(tmp_path, suffix)
    corpus = find_corpus(str(pattern))
    shard = tmp_path / f"part-01.{suffix}"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2] + (b'{"text": \n' if suffix == "jsonl" else b""))
    with pytest.raises(UserError, match=r"part-01.* cannot be read after row \d+"):
        list(corpus.rows("train", 1))
