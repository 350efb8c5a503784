"""A token classifier: exact accumulation, packed equals padded over a training, and all commands of a run."""

import json
import re

import pytest
import torch
from transformers import pipeline

from lightning_nlp import load_predictor
from lightning_nlp.errors import UserError
from lightning_nlp.models.tagging import TokenClassifier
from tests import fitting
from tests.bad_input.check import fails
from tests.conftest import DATA, SIZES, TRAINER, invoke, read_metrics, write_tagged
from tests.data.test_tagging import open_data

EXACT = {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 32, "dropout": 0.0, "lr": 1e-2, "warmup_ratio": 0.0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Arguments of a token classifier that trains in a second."""
    folder = tmp_path_factory.mktemp("data")
    data = [*DATA, "--data.path", str(write_tagged(folder / "tagged.jsonl", 120)), "--data.batch_size", "8"]
    return ["--config", "tags.yaml", *SIZES, *TRAINER, *data, "--data.cache_dir", str(folder / "cache")]


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    arguments = [*tiny, "--model.lr", "0.02", "--trainer.max_epochs", "6"]
    return invoke("fit", *arguments, "--runs_dir", tmp_path_factory.mktemp("runs")).run


def fit(tmp_path, trainer_settings=None, **data):
    found = open_data(write_tagged(tmp_path / "a.jsonl"), tmp_path, **data)
    return fitting.fit(tmp_path, TokenClassifier, found, trainer_settings, **EXACT)


def test_a_packed_training_is_a_padded_one(tmp_path):
    packed, _, run = fit(tmp_path, {"max_epochs": 3}, packing=True)
    padded, _, other = fit(tmp_path, {"max_epochs": 3}, packing=False)
    for name, value in padded.network.state_dict().items():
        torch.testing.assert_close(packed.network.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    for name in ("val/loss", "val/f1", "val/accuracy"):
        torch.testing.assert_close(run.callback_metrics[name], other.callback_metrics[name], rtol=1e-3, atol=1e-4)


def test_without_labels_each_token_has_logits(tmp_path):
    module, _, _ = fit(tmp_path, {"max_steps": 1}, packing=False)
    batch = next(iter(module.trainer.datamodule.train_dataloader()))
    logits = module({name: batch[name] for name in ("input_ids", "attention_mask")})
    assert logits.shape == (*batch["input_ids"].shape, 3)
    torch.testing.assert_close(logits.flatten(0, 1)[batch["words"]], module(batch), rtol=1e-4, atol=1e-5)
    theirs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}  # of a user's own loader
    torch.testing.assert_close(module(theirs), module(batch))


def test_a_run_learns_and_each_command_measures_the_same(run):
    record = json.loads((run / "evaluation" / "test.json").read_text())
    assert record["task"] == "tags"
    assert record["metrics"]["f1"] == 1.0
    assert {part["label"] for part in record["by_class"]} == {"PER", "LOC"}
    tested = invoke("test", "--run", run)
    assert f"{record['metrics']['loss']:.4f}" in tested.out
    best = json.loads((run / "facts.json").read_text())["validation"]["val/f1"]
    assert re.search(rf"val/f1 +│ {best:.4f}", invoke("validate", "--run", run).out)
    assert "val/precision" in read_metrics(run)[-1]


def test_the_export_gives_a_pipeline_the_same_entities(run, tmp_path):
    texts = ["the man Kar7 saw Bel3 .", "  the man Kar99 saw Bel1.", ""]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    invoke("predict", "--run", run, "--input", tmp_path / "texts.txt", "--output", tmp_path / "out.jsonl")
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert load_predictor(run / "export")(texts) == records
    assert records[0]["words"] == texts[0].split()
    assert records[0]["tags"] == "O O B-PER O B-LOC O".split()
    assert [entity["text"] for entity in records[1]["entities"]] == ["Kar99", "Bel1"]
    assert records[2] == {"index": 2, "words": [], "tags": [], "entities": []}
    model = pipeline("token-classification", str(run / "export"), aggregation_strategy="first")
    for text, record in zip(texts[:2], records, strict=False):
        theirs = [(found["entity_group"], found["start"], found["end"]) for found in model(text)]
        assert theirs == [(found["type"], found["start"], found["end"]) for found in record["entities"]]
        scores = [found["score"] for found in record["entities"]]
        assert [float(found["score"]) for found in model(text)] == pytest.approx(scores, abs=1e-4)


def test_words_are_predicted_as_they_are(run, tmp_path):
    words = ["the", "man", "Kar 7", "saw", "Bel3."]
    (record, empty, text) = load_predictor(run / "export")([words, [], "the man"])
    assert record["words"] == ["the", "man", "Kar\u00a07", "saw", "Bel3."]
    assert (empty["words"], text["words"]) == ([], ["the", "man"])
    files = {
        "one.jsonl": json.dumps({"tokens": words}),
        "a.conll": "".join(f"{word}\tX\n" for word in words),
        "b.jsonl": '{"tokens": "the man"}',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        invoke("predict", "--run", run, "--input", tmp_path / name, "--output", tmp_path / f"{name}.out")
        (found,) = map(json.loads, (tmp_path / f"{name}.out").read_text().splitlines())
        wanted = {**text, "index": 0} if name == "b.jsonl" else record
        for entity, other in zip(found["entities"], wanted["entities"], strict=True):
            other["score"] = pytest.approx(entity["score"], abs=1e-5)  # other batches
        assert found == wanted
    for bad in ([5], [["a", 5]]):
        with pytest.raises(UserError, match="only strings"):
            load_predictor(run / "export")(bad)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data.label_column", "label"], ["label_column"]),
        (["--model.class_weights", "balanced"], ["class_weights"]),
        (["--data.clean", "true"], ["clean"]),
        (["--probes", "['a [MASK]']"], ["--probes are for a masked language model", "TokenClassifier"]),
        (["--checkpoint.monitor", "val/top1"], ["TokenClassifier logs no 'val/top1'", "val/f1"]),
        (["--data", "TextClassificationDataModule"], []),
        (["--model.class_path", "lightning_nlp.SequenceClassifier"], ["DataModule is not for SequenceClassifier"]),
    ],
)
def test_what_is_not_for_tags_is_refused(arguments, words, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    print(fails(["fit", *tiny, *arguments], *words))


def test_report_and_card_show_entities(run):
    page, card = (run / "report.html").read_text(), (run / "export" / "README.md").read_text()
    assert "100.0%" in page
    assert "the number of words" in page
    assert '<th scope="col" class="n">entities</th>' in page
    assert "Accuracy on validation" not in page
    assert "| class | precision | recall | F1 | entities |" in card
    assert 'pipeline("token-classification", "export", aggregation_strategy="first")' in card


def test_inspect_reads_tagged_sentences(tiny):
    assert invoke("inspect", *tiny).code == 0
