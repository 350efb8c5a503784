"""Numbers and several labels: their losses, and from the command line one training each."""

import json
import random

import pytest
import torch
import torch.nn.functional as F

from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.other_problems import Number, Scores, SeveralLabels
from tests.bad_input.check import check
from tests.conftest import DATA, SIZES, TRAINER, invoke, read_metrics

WORDS = "good fine dull bad".split()
MONITOR = "--checkpoint.monitor val/loss --checkpoint.mode min --early_stopping.monitor val/loss".split()
MONITOR += ["--early_stopping.mode", "min"]


def row(task, rng, number):
    words = [rng.choice(WORDS) for _ in range(rng.randint(1, 6))]
    label = (
        sorted({*words} - {"bad"}) if task == "labels" else 40.25 + 20 * words.count("good") - 7 * words.count("bad")
    )
    return {"text": f"the film was {' and '.join(words)} {number}", "label": label}


@pytest.fixture(scope="module", params=["labels", "number"])
def trained(request, tmp_path_factory):
    """The task, its arguments and its run."""
    task, folder, rng = request.param, tmp_path_factory.mktemp(request.param), random.Random(0)
    lines = [json.dumps(row(task, rng, i)) for i in range(160)]
    (folder / "data.jsonl").write_text("\n".join(lines))
    data = [*DATA, "--data.path", str(folder / "data.jsonl"), "--data.cache_dir", str(folder / "cache")]
    arguments = ["--config", "quickstart.yaml", *SIZES, *TRAINER, *MONITOR, *data, "--data.batch_size", "8"]
    arguments += ["--model.lr", "0.01", "--model.dropout", "0"]
    return task, arguments, invoke("fit", *arguments, "--runs_dir", folder / "runs"), folder


def test_what_was_decided_is_printed_and_the_metrics_are_logged(trained):
    task, _, outcome, _ = trained
    said = "A text may have several labels (the label column has lists)."
    assert (said if task == "labels" else "The label is a number (the label column has fractions).") in outcome.err
    names = {name for name in read_metrics(outcome.run)[0] if name.startswith("val/")}
    labels = {"val/loss", "val/f1", "val/f1_micro", "val/average_precision", "val/subset_accuracy"}
    assert names == (labels if task == "labels" else {f"val/{n}" for n in "loss mse mae r2 pearson spearman".split()})


def test_the_pipeline_opens_the_export_and_gives_what_predict_gives(trained, tmp_path):
    from transformers import pipeline

    task, _, outcome, _ = trained
    texts = ["the film was good and fine", "the film was bad", "bad and dull"]
    (tmp_path / "in.txt").write_text("\n".join([*texts, ""]) + "\n")
    output = tmp_path / "out.jsonl"
    invoke("predict", "--run", outcome.run, "--input", tmp_path / "in.txt", "--output", output)
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert records[3] == {
        "index": 3, ("labels" if task == "labels" else "value"): None, "reason": "the text has no words"
    }  # fmt: skip
    model = pipeline("text-classification", str(outcome.run / "export"), device="cpu", top_k=None)
    for record, found in zip(records, model(texts), strict=False):
        if task == "labels":
            scores = {part["label"]: part["score"] for part in found}
            assert record["probabilities"] == pytest.approx(scores, abs=1e-5)
            limits = json.loads((outcome.run / "export" / "config.json").read_text())["thresholds"]
            over = [name for name in record["probabilities"] if scores[name] >= limits[name]["best_f1"]["threshold"]]
            assert record["labels"] == over
        else:
            assert record["value"] == pytest.approx(found[0]["score"], abs=1e-3)
            assert 0 < record["value"] < 100


def test_the_checkpoint_loads_without_a_trainer_and_gives_the_same(trained):
    task, _, outcome, _ = trained
    module = SequenceClassifier.load_from_checkpoint(
        outcome.run / "checkpoints" / "best.ckpt", weights_only=True
    ).eval()
    assert module.task == task
    batch = module.tokenizer(["the film was good"], return_tensors="pt")
    with torch.inference_mode():
        ours = module.predict_step({name: batch[name] for name in ("input_ids", "attention_mask")}, 0)
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(outcome.run / "export").eval()
    theirs = network(**{name: batch[name] for name in ("input_ids", "attention_mask")}).logits
    torch.testing.assert_close(ours, theirs if task == "number" else theirs.sigmoid(), rtol=1e-4, atol=1e-4)


def test_a_packed_training_is_a_padded_one(trained, tmp_path):
    _, arguments, outcome, _ = trained
    padded = invoke("fit", *arguments, "--data.packing", "false", "--runs_dir", tmp_path).run
    packed, padded = (
        [float(row["train/loss"]) for row in read_metrics(run) if row["train/loss"]] for run in (outcome.run, padded)
    )
    assert packed == pytest.approx(padded, rel=2e-3, abs=2e-3)


def test_validate_measures_again_and_the_pages_say_what_it_is(trained, tmp_path):
    task, _, outcome, _ = trained
    measured = invoke("test", "--run", outcome.run)
    assert measured.code == 0, measured.err[-2000:]
    card = (outcome.run / "export" / "README.md").read_text(encoding="utf-8")
    page = (outcome.run / "report.html").read_text(encoding="utf-8")
    record = json.loads((outcome.run / "evaluation" / "test.json").read_text())
    assert record["task"] == task
    assert ("Several labels a text" if task == "labels" else "A number for a text") in page
    assert "Confusion" not in page
    assert ("surest of" if task == "labels" else "Farthest off") in page or not record["mistakes"]
    assert "Accuracy on validation" not in page
    assert ("average precision" if task == "labels" else "mae") in card


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.class_weights", "balanced"], ["--model.class_weights is for classes", "leave it out"]),
        (["--model.label_smoothing", "0.1"], ["--model.label_smoothing is for classes"]),
        (["--checkpoint.monitor", "val/accuracy", "--checkpoint.mode", "max"], ["logs no val/accuracy", "val/pearson"]),
        (["--data.problem", "labels", "--data.label_separator", "|"], ["--data.label_separator is for strings"]),
    ],
)
def test_what_numbers_do_not_have(options, words, trained, tmp_path):
    task, arguments, _, _ = trained
    if task == "number":
        check(invoke("fit", *arguments, *options, "--runs_dir", tmp_path), *words)


def test_the_scale_is_that_of_train_and_the_loss_does_not_depend_on_the_unit():
    problem, labels = Number(), torch.tensor([3.0, float("nan"), 8.0])
    problem.mean.fill_(5.0)
    problem.std.fill_(2.0)
    logits = torch.tensor([[0.5], [0.0], [1.0]], requires_grad=True)
    outputs = problem.outputs(logits)
    assert outputs.squeeze(-1).tolist() == [6.0, 5.0, 7.0]
    total, number = problem.loss_terms(outputs, labels, None, 0.0)
    assert (total.item(), number.item()) == (pytest.approx((3 / 2) ** 2 + (1 / 2) ** 2), 2)
    total.backward()
    assert logits.grad is not None
    assert logits.grad.squeeze(-1).tolist() == [3.0, 0.0, -1.0]


def test_a_pretrained_head_for_other_classes_is_new(trained, cls_run, tmp_path):
    _, _, _, folder = trained
    data = ["--data.path", str(folder / "data.jsonl"), "--data.cache_dir", str(folder / "cache")]
    arguments = ["--config", "quickstart.yaml", *TRAINER, *MONITOR, *data, "--data.max_length", "32"]
    arguments += ["--model.pretrained", str(cls_run / "export"), "--trainer.max_epochs", "1"]
    outcome = invoke("fit", *arguments, "--runs_dir", tmp_path)
    assert outcome.code == 0, outcome.err[-2000:]
    assert "so trained from scratch: classifier.bias, classifier.weight" in outcome.err


LOGITS = torch.tensor([[0.5, -1.0], [2.0, 0.25], [-3.0, 1.0]])
LABELS = torch.tensor([[1, 0], [0, 0], [1, 1]])


def test_several_labels_have_pytorchs_loss_also_of_parts_of_a_batch():
    weights = torch.tensor([3.0, 0.5])
    problem = SeveralLabels()
    total, number = problem.loss_terms(LOGITS, LABELS, weights, 0.0)
    torch.testing.assert_close(
        total / number, F.binary_cross_entropy_with_logits(LOGITS, LABELS.float(), pos_weight=weights)
    )
    parts = [problem.loss_terms(LOGITS[rows], LABELS[rows], weights, 0.0) for rows in ([0], [1, 2])]
    torch.testing.assert_close(sum(part for part, _ in parts) / sum(n for _, n in parts), total / number)
    filled = problem.loss_terms(LOGITS, torch.where(torch.tensor([[True], [False], [False]]), -100, LABELS), weights, 0)
    assert filled[1] == 2
    torch.testing.assert_close(filled[0], parts[1][0])
    smooth, _ = problem.loss_terms(LOGITS, LABELS, None, 0.2)
    torch.testing.assert_close(smooth / number, F.binary_cross_entropy_with_logits(LOGITS, LABELS.float() * 0.8 + 0.1))


def test_rows_that_do_not_count_are_not_collected():
    found = []
    scores = Scores(lambda *arrays: found.append([array.tolist() for array in arrays]) or {"n": len(arrays[1])})
    scores.update(torch.tensor([[1.0], [2.0]]), torch.tensor([-100.0, float("nan")]))  # -100 is a number
    scores.update(torch.tensor([[3.0]]), torch.tensor([5.0]))
    assert scores.compute() == {"n": 2}
    assert found.pop() == [[[1.0], [3.0]], [-100.0, 5.0]]
    scores.reset()
    scores.update(LOGITS, torch.tensor([[1, 0], [-100, -100], [0, 0]]))
    scores.compute()
    assert found.pop() == [LOGITS[[0, 2]].tolist(), [[1, 0], [0, 0]]]
