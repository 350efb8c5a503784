import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from lightning_nlp.evaluation.temperature import calibration, calibration_error, fit_temperature, probabilities
from lightning_nlp.models.heads import LAST_LAYERS, last_layer
from lightning_nlp.predict.calibration import Calibration, calibrate, layer_digest, scaled
from tests.conftest import checkpoint_of, invoke, write_reviews
from tests.models.test_heads import SIZES, logits_of

FOUND = Calibration(temperature=2.5, thresholds={"bad": {"best_f1": {"threshold": 0.4}, "wanted": None}})


def network_of(model_type):
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **SIZES, num_labels=3)
    network = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in network.parameters():  # a new head's bias is 0, which any divisor leaves as it is
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("model_type", sorted(LAST_LAYERS))
def test_the_last_layer_divides_the_logits_and_is_put_back(model_type):
    network = network_of(model_type)
    before, weights = logits_of(network), {name: value.clone() for name, value in network.state_dict().items()}
    assert before.std() > 0.05
    with pytest.raises(ZeroDivisionError), scaled(network, FOUND):  # noqa: PT012
        assert logits_of(network) == pytest.approx(before / 2.5, abs=1e-5)
        assert network.config.calibration["temperature"] == 2.5
        assert network.config.thresholds == {"bad": {"best_f1": {"threshold": 0.4}}}
        assert network.config.fitted_for_last_layer == layer_digest(last_layer(network))
        1 / 0  # noqa: B018
    assert all(value.equal(weights[name]) for name, value in network.state_dict().items())
    assert not {"calibration", "thresholds", "fitted_for_last_layer"} & network.config.to_dict().keys()


def write_record(run_dir, name, temperature=1.5, precision=0.9, **more):
    figures = {"temperature": temperature, "ece_before": 0.1, "ece_after": 0.02, "loss_before": 0.5, "loss_after": 0.4}
    point = {"threshold": 0.4, "precision": precision, "recall": 0.8, "f1": 0.85}
    by_class = [{"label": label, "best_f1": point, "wanted": None} for label in ("bad", "good")]
    (run_dir / "evaluation").mkdir(exist_ok=True)
    content = {"examples": 60, "by_class": by_class, "calibration": figures} | more
    (run_dir / "evaluation" / f"{name}.json").write_text(json.dumps(content))


def test_the_best_checkpoints_record_counts(tmp_path):
    network = network_of("distilbert")
    write_record(tmp_path, "val-00000007")
    write_record(tmp_path, "val-00000014", temperature=9.0)
    found = calibrate(tmp_path, 7, network)
    assert (found.reason, found.temperature, found.step, found.examples, found.test) == ("", 1.5, 7, 60, None)
    write_record(tmp_path, "test", precision=0.5)
    found = calibrate(tmp_path, 7, network)
    assert found.test["ece_after"] == 0.02
    assert found.thresholds["bad"]["test"]["best_f1"]["precision"] == 0.5
    assert found.for_config()["thresholds"]["bad"]["best_f1"]["precision"] == 0.9  # what it was chosen for
    write_record(tmp_path, "val-00000007", temperature=1.0)
    assert calibrate(tmp_path, 7, network).for_config().keys() == {"thresholds"}


@pytest.mark.parametrize(
    ("number", "sign", "why"),
    [(40, 1, "40 .* fewer than 50"), (60, 1, "the 60 .* without a mistake"), (60, -1, "the 60 .* no better than by")],
)
def test_why_there_is_no_temperature(number, sign, why, tmp_path):
    labels = np.arange(number) % 3
    logits = sign * np.eye(3)[labels]
    measured = calibration(logits, labels, fit_temperature(logits, labels))
    write_record(tmp_path, "val-00000007", calibration=measured, examples=number)
    assert re.match(why, calibrate(tmp_path, 7, network_of("distilbert")).reason)


def test_no_record_and_no_known_layer_are_said(tmp_path):
    assert "no record of its best checkpoint" in calibrate(tmp_path, 7, network_of("bert")).reason
    other = SimpleNamespace(config=SimpleNamespace(model_type="xlnet"))
    assert calibrate(tmp_path, 7, other).reason == "the output layer of a xlnet model is not known"


def test_what_the_card_says_of_a_run_is_what_its_predictions_give(tiny_cls, tmp_path):
    """Of a classifier that is too sure of itself: each fifth of its 600 reviews has the wrong label."""
    header, *lines = write_reviews(tmp_path / "reviews.csv", 600).read_text(encoding="utf-8").splitlines()
    swap = {"neg": "pos", "pos": "neg"}
    mixed = [line[:-3] + swap[line[-3:]] if i % 5 == 4 else line for i, line in enumerate(lines)]
    (tmp_path / "reviews.csv").write_text("\n".join([header, *mixed]) + "\n", encoding="utf-8")
    more = ["--data.path", tmp_path / "reviews.csv", "--data.val_fraction", "0.25", "--model.lr", "0.02"]
    run = invoke("fit", *tiny_cls, *more, "--runs_dir", tmp_path / "runs", "--trainer.max_epochs", "3").run
    step = checkpoint_of(run, "best")["global_step"]
    validation, test = (load_file(run / "evaluation" / f"{n}.safetensors") for n in (f"val-{step:08d}", "test"))
    temperature = fit_temperature(validation["logits"], validation["labels"])  # not on the test
    config = json.loads((run / "export" / "config.json").read_text(encoding="utf-8"))
    assert config["calibration"]["temperature"] == temperature != 1
    chances = probabilities(test["logits"], temperature)
    card = ModelCard.load(run / "export" / "README.md")
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["ece"] == pytest.approx(calibration_error(chances, test["labels"]), abs=1e-6)
    assert results["loss"] == pytest.approx(-np.log(chances[np.arange(len(chances)), test["labels"]]).mean(), abs=1e-6)
    assert results["accuracy"] == pytest.approx((chances.argmax(1) == test["labels"]).mean(), abs=1e-6)
    assert "](reliability.svg)" in card.text
