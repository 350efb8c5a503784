import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from lightning_nlp.evaluation.records import classification_record
from lightning_nlp.evaluation.writing import by_row
from tests.conftest import checkpoint_of, invoke, read_metrics


def records(run):
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (run / "evaluation").glob("*.json")}


def test_a_classifiers_records_hold_what_was_measured(cls_run):
    found = records(cls_run)
    logged = {int(row["step"]): row for row in read_metrics(cls_run) if row["val/accuracy"]}
    assert sorted(found) == ["test", *(f"val-{step + 1:08d}" for step in sorted(logged))]
    for step, row in logged.items():
        metrics = found[f"val-{step + 1:08d}"]["metrics"]
        for name in ("accuracy", "loss", "f1"):
            assert metrics[name] == pytest.approx(float(row[f"val/{name}"]), abs=1e-6)
    test = found["test"]
    correct = sum(test["confusion"][i][i] for i in range(2))
    assert test["metrics"]["accuracy"] == pytest.approx(correct / test["examples"], abs=1e-6)
    wrong = test["examples"] - correct
    assert len(test["mistakes"]) == min(50, wrong)


def test_predictions_are_kept_for_the_test_and_the_best_validation(cls_run):
    checkpoint = checkpoint_of(cls_run, "best")
    names = {path.stem for path in (cls_run / "evaluation").glob("*.safetensors")}
    assert names == {"test", f"val-{checkpoint['global_step']:08d}"}
    for name in names:
        record, found = records(cls_run)[name], load_file(cls_run / "evaluation" / f"{name}.safetensors")
        assert found["rows"].tolist() == list(range(record["examples"]))
        accuracy = (found["logits"].argmax(1) == found["labels"]).mean()
        assert accuracy == pytest.approx(record["metrics"]["accuracy"], abs=1e-6)
        weights = np.exp(found["logits"] - found["logits"].max(1, keepdims=True))
        chances = weights[np.arange(len(weights)), found["labels"]] / weights.sum(1)
        assert -np.log(chances).mean() == pytest.approx(record["metrics"]["loss"], abs=1e-5)


def test_a_masked_language_models_records(tiny_mlm, tmp_path):
    arguments = ["--runs_dir", tmp_path, "--trainer.max_epochs", "1", "--probes", '["La [MASK] estas [MASK]."]']
    run = invoke("fit", *tiny_mlm, *arguments).run
    test = records(run)["test"]
    counted = test["by_frequency"]
    assert sum(group["tokens"] for group in counted) == test["masked_tokens"] > 0
    mean = sum(group["tokens"] * group["loss"] for group in counted) / test["masked_tokens"]
    assert mean == pytest.approx(test["metrics"]["loss"], abs=1e-4)
    pieces = test["by_piece"].values()
    top1 = sum(piece["tokens"] * piece["top1"] for piece in pieces) / test["masked_tokens"]
    assert top1 == pytest.approx(test["metrics"]["top1"], abs=1e-5)
    (probe,) = test["probes"]
    assert [len(hole) for hole in probe["fillings"]] == [5, 5]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_examples_without_probabilities_do_not_end_a_training(value):
    logits = np.array([[0.0, 1.0], [value, 0.0], [2.0, 0.0], [0.0, 9.0]], dtype=np.float32)
    found = {"logits": logits, "labels": np.array([1, 0, 0, -100]), "rows": np.array([2, 1, 0, 0])}
    kept = by_row(found | {"lengths": np.array([5, 6, 7, 1])})
    assert kept["rows"].tolist() == [0, 2]
    record = classification_record(kept["logits"], kept["labels"], kept["lengths"], ["neg", "pos"])
    assert record["examples"] == 2
    json.dumps(record, allow_nan=False)
