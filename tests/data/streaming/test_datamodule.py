import json
from types import SimpleNamespace

import numpy as np
import pytest

from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.streaming.corpus import find_corpus
from lightning_nlp.data.streaming.datamodule import StreamingDataModule, held_out_rows, stream_source, tokenize
from tests.bad_input.check import check
from tests.conftest import invoke, read_metrics, write_sentences


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Three shards of Esperanto sentences."""
    folder = tmp_path_factory.mktemp("shards")
    lines = write_sentences(folder / "all.txt", 600).read_text(encoding="utf-8").splitlines()
    (folder / "all.txt").unlink()
    for shard in range(3):
        rows = (json.dumps({"text": line.split("\t")[1]}) + "\n" for line in lines[shard * 200 : (shard + 1) * 200])
        (folder / f"part-{shard}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


@pytest.fixture
def streaming(tiny_mlm, shards):
    """A tiny training on a stream."""
    return [
        *tiny_mlm,
        *("--data", "lightning_nlp.StreamingDataModule", "--data.path", f"{shards}/*.jsonl"),
        *("--data.max_val_samples", "30", "--data.max_test_samples", "30"),
        *("--data.shuffle_rows", "100", "--trainer.max_steps", "24"),
    ]


def test_a_training_on_a_stream(streaming, tmp_path):
    run = invoke("fit", *streaming, "--runs_dir", tmp_path).run
    rows = read_metrics(run)
    assert [int(row["step"]) for row in rows if row["val/loss"]] != []
    facts = json.loads((run / "facts.json").read_text())
    assert facts["steps"] == 24
    assert facts["epochs"] == 0, "a pass over the 540 texts takes some 34 steps"
    assert "| train (a sample of the stream) |" in (run / "export" / "README.md").read_text()
    assert "train, a sample</th>" in (run / "report.html").read_text(encoding="utf-8")
    data = json.loads((run / "data.json").read_text())
    assert data["cleaning"][0] == "a stream of 3 shards"
    assert data["splits"]["validation"]["texts"] == data["splits"]["test"]["texts"] == 30
    assert "max_epochs: -1" in (run / "config.yaml").read_text()


def test_shards_that_change_after_the_training(streaming, shards, tmp_path):
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    own = ["--data.path", f"{tmp_path}/*.jsonl", "--data.cache_dir", str(tmp_path / "cache"), "--runs_dir", tmp_path]
    run = invoke("fit", *streaming, *own).run
    first, other = tmp_path / "part-0.jsonl", ["--data.cache_dir", tmp_path / "other"]
    with first.open("a", encoding="utf-8") as file:
        file.write('{"text": "tute nova frazo"}\n')
    kept = invoke("test", "--run", run)
    assert kept.code == 0, kept.err
    assert "has changed since this run began: the run's own held-out texts are used" in kept.err
    anew = invoke("test", "--run", run, *other, "--data.tokenizer", run / "export")
    assert "1 text added); it was not trained on any test text" in anew.err
    assert anew.out.splitlines()[-6:] == kept.out.splitlines()[-6:], "they are the same"
    first.write_text('{"text": "kaj pli frua"}\n' + first.read_text(encoding="utf-8"), encoding="utf-8")
    for command in ("test", "validate"):
        check(invoke(command, "--run", run, *other), "texts may have been used in its training")


def test_max_tokens_end_the_training(streaming, tmp_path):
    more = ["--data.tokens_per_batch", "256", "--data.max_tokens", "4000", "--trainer.max_steps", "-1"]
    run = invoke("fit", *streaming, *more, "--runs_dir", tmp_path, "--trainer.log_every_n_steps", "1").run
    steps = json.loads((run / "facts.json").read_text())["steps"]
    assert 4000 / 256 <= steps <= 4000 / 256 * 1.15
    rates = [float(row["train/lr"]) for row in read_metrics(run) if row.get("train/lr")]
    assert len(rates) == steps
    assert rates[-1] == min(rates[steps // 2 :]) < 0.2 * max(rates), "the rate has come down with the budget"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--trainer.max_steps", "-1"], "A stream has no end: give --trainer.max_steps or --data.max_tokens"),
        (["--trainer.overfit_batches", "1"], "--trainer.overfit_batches is not for a stream"),
        (["--data.group_column", "who"], "Unknown configuration key 'data.group_column'. Only another class has it"),
        (["--data.shuffle_rows", "0"], "--data.shuffle_rows must be at least 1 and at most 4294967295, not 0"),
        (["--data.path", "demo"], "--data.path demo cannot be streamed"),
        (["--data.max_val_samples", "900"], "hold out less with --data.max_val_samples and --data.max_test_samples"),
    ],
)
def test_what_a_stream_cannot_do_is_one_error(streaming, more, what, tmp_path):
    check(invoke("fit", *streaming, *more, "--runs_dir", tmp_path), what)
    assert not list(tmp_path.rglob("config.yaml"))


def test_a_stream_is_not_inspected(streaming):
    check(invoke("inspect", *streaming), "`inspect` reads all texts")


@pytest.mark.parametrize(("deduplicate", "left"), [(True, 100 - 12 - 12), (False, 100 - 12)])
def test_neither_what_is_held_out_nor_its_copies_are_trained_on(deduplicate, left, tmp_path):
    texts = [f"frazo {number}" for number in range(50)]
    (tmp_path / "shard.txt").write_text("".join(f"{text}\n" for text in texts * 2), encoding="utf-8")
    settings = {"max_val_samples": 7, "max_test_samples": 5, "batch_size": 100, "packing": False}
    settings |= {"deduplicate": deduplicate, "vocab_size": 90}
    data = StreamingDataModule(str(tmp_path / "shard.txt"), **settings, cache_dir=str(tmp_path / "cache"))
    data.setup()
    sizes = {"max_steps": 9, "accumulate_grad_batches": 1, "global_rank": 0, "world_size": 1}
    data.trainer = SimpleNamespace(**sizes, limit_val_batches=1.0, limit_test_batches=1.0)
    batch = next(iter(data.train_dataloader()))
    assert len(batch["input_ids"]) == left


def test_texts_become_the_ids_of_the_cached_way(sentences, tmp_path):
    """The same texts, cached and streamed, are the same examples."""
    (tmp_path / "shard.txt").write_text(sentences.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {"path": str(tmp_path / "shard.txt"), "vocab_size": 200, "cache_dir": str(tmp_path / "cache")}
    cached = MaskedLanguageModelingDataModule(**settings, max_length=12, val_fraction=0.1, test_fraction=0.1)
    cached.setup()
    texts = [row.text for row in cached.source().splits["train"]()]
    ids, origins = tokenize(texts, tokenizer=cached.tokenizer, max_length=12, clean=True)
    known = {
        tuple(cached.token_rows[split][np.array([number])]["input_ids"][0].tolist())
        for split in cached.token_rows
        for number in range(len(cached.token_rows[split].lengths))
    }
    assert {tuple(example.tolist()) for example in ids} == known
    assert sorted(set(origins)) == list(range(len(texts)))


@pytest.fixture
def corpus(tmp_path):
    for shard in range(40):
        lines = "".join(f"{shard} {row}\n" for row in range(20))
        (tmp_path / f"part-{shard:02}.txt").write_text(lines, encoding="utf-8")
    return find_corpus(str(tmp_path))


def texts_of(source, split):
    return [row.text for row in source.splits[split]()]


def test_the_parts_come_from_the_beginnings_of_sixteen_shards(corpus):
    sizes = {"validation": 20, "test": 16}
    source = stream_source(corpus, sizes, 32)
    test, validation, train = (texts_of(source, split) for split in ("test", "validation", "train"))
    assert len({text.split()[0] for text in validation}) == 16
    assert len(test) == 16
    assert len(validation) == 32, "two of each shard, the least that makes 20"
    assert len(train) == 32
    assert not set(test) & set(validation)
    held = held_out_rows(corpus, sizes)
    assert len(held) == 16
    for text in test + validation + train:
        shard, row = map(int, text.split())
        assert (row >= held[shard]) == (text in train), "training begins after what is held out"
    assert source.fingerprint == stream_source(corpus, sizes, 32).fingerprint
    others = (stream_source(corpus, sizes | {"test": 17}, 32), stream_source(corpus, sizes, 33))
    assert source.fingerprint not in [other.fingerprint for other in others], "it says what is held out"


def test_a_split_that_the_corpus_has_is_taken_from_there(tmp_path):
    sizes = {"validation": 6, "test": 4}
    for name in ("train", "validation"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} {row}\n" for row in range(30)), encoding="utf-8")
    corpus = find_corpus(str(tmp_path))
    source = stream_source(corpus, sizes, 100)
    assert texts_of(source, "validation") == [f"validation {row}" for row in range(6)]
    assert texts_of(source, "test") == [f"train {row}" for row in range(4)]
    assert texts_of(source, "train") == [f"train {row}" for row in range(4, 30)]
    assert held_out_rows(corpus, sizes) == {0: 4}
