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
from tests.conftest import invoke, write_reviews

SIZES = {
    **dict.fromkeys(("hidden_size", "dim", "embedding_size", "pooler_hidden_size"), 16),
    **dict.fromkeys(("num_hidden_layers", "n_layers"), 1),
    **dict.fromkeys(("num_attention_heads", "n_heads"), 2),
    **dict.fromkeys(("intermediate_size", "hidden_dim"), 32),
    **{"vocab_size": 50, "max_position_embeddings": 20, "pad_token_id": 0, "reference_compile": False},
    **dict.fromkeys(("bos_token_id", "cls_token_id"), 1),
    **dict.fromkeys(("eos_token_id", "sep_token_id"), 2),
}
FOUND = Calibration(2.5, 7, 60, {}, None, {"bad": {"best_f1": {"threshold": 0.4}, "wanted": None}})


def network_of(model_type):
    config = AutoConfig.for_model(model_type, num_labels=3)
    for name, value in SIZES.items():
        if hasattr(config, name):
            setattr(config, name, value)
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in network.parameters():  # a new head's bias is 0, which any divisor leaves as it is
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def logits_of(network):
    with torch.inference_mode():
        return network(input_ids=torch.tensor([[1, 5, 6, 7, 2], [1, 9, 4, 3, 2]])).logits


@pytest.mark.parametrize("model_type", sorted(LAST_LAYERS))
def test_the_last_layer_divides_the_logits_and_is_put_back(model_type):
    network = network_of(model_type)
    before, weights = logits_of(network), {name: value.clone() for name, value in network.state_dict().items()}
    assert before.std() > 0.05
    with scaled(network, FOUND):
        assert logits_of(network) == pytest.approx(before / 2.5, abs=1e-5)
        assert network.config.calibration["temperature"] == 2.5
        assert network.config.thresholds == {"bad": {"best_f1": {"threshold": 0.4}}}
        assert network.config.fitted_for_last_layer == layer_digest(last_layer(network))
    assert logits_of(network).equal(before)
    assert all(value.equal(weights[name]) for name, value in network.state_dict().items())
    assert not {"calibration", "thresholds", "fitted_for_last_layer"} & network.config.to_dict().keys()


def test_an_error_within_puts_the_weights_back():
    network = network_of("bert")
    before = network.classifier.weight.clone()
    with pytest.raises(ZeroDivisionError), scaled(network, FOUND):
        1 / 0  # noqa: B018
    assert network.classifier.weight.equal(before)
    assert not hasattr(network.config, "thresholds")


def test_what_a_loaded_network_knew_of_other_data_is_forgotten():
    network = network_of("bert")
    network.config.calibration, network.config.thresholds = {"temperature": 9}, {"old": {}}
    with scaled(network, "why not"):
        assert not {"calibration", "thresholds"} & network.config.to_dict().keys()


def record(**more):
    point = {"threshold": 0.4, "precision": 0.9, "recall": 0.8, "f1": 0.85}
    return {
        "examples": 60,
        "by_class": [{"label": label, "best_f1": point, "wanted": None} for label in ("bad", "good")],
        "calibration": {
            "temperature": 1.5,
            "ece_before": 0.1,
            "ece_after": 0.02,
            "loss_before": 0.4,
            "loss_after": 0.3,
        },
    } | more


def write_record(run_dir, name, content):
    (run_dir / "evaluation").mkdir(exist_ok=True)
    (run_dir / "evaluation" / f"{name}.json").write_text(json.dumps(content))


def test_the_best_checkpoints_record_counts(tmp_path):
    network = network_of("distilbert")
    write_record(tmp_path, "val-00000007", record())
    write_record(tmp_path, "val-00000014", record(calibration={"temperature": 9.0}))
    found = calibrate(tmp_path, 7, network)
    assert (found.temperature, found.step, found.examples, found.test) == (1.5, 7, 60, None)
    assert found.for_config()["thresholds"]["bad"]["best_f1"]["threshold"] == 0.4
    test = record()
    test["by_class"][0]["best_f1"] = {"threshold": 0.4, "precision": 0.5, "recall": 0.6, "f1": 0.55}
    write_record(tmp_path, "test", test)
    found = calibrate(tmp_path, 7, network)
    assert found.test["ece_after"] == 0.02
    assert found.thresholds["bad"]["test"]["best_f1"]["precision"] == 0.5
    assert found.for_config()["thresholds"]["bad"]["best_f1"]["precision"] == 0.9  # what it was chosen for


def test_without_a_temperature_there_is_none_in_the_configuration(tmp_path):
    write_record(tmp_path, "val-00000007", record(calibration={"temperature": 1.0}))
    assert calibrate(tmp_path, 7, network_of("distilbert")).for_config().keys() == {"thresholds"}


@pytest.mark.parametrize(
    ("number", "sign", "why"),
    [(40, 1, "40 .* fewer than 50"), (60, 1, "the 60 .* without a mistake"), (60, -1, "the 60 .* no better than by")],
)
def test_why_there_is_no_temperature(number, sign, why, tmp_path):
    labels = np.arange(number) % 3
    logits = sign * np.eye(3)[labels]
    measured = calibration(logits, labels, fit_temperature(logits, labels))
    assert measured["temperature"] == 1
    write_record(tmp_path, "val-00000007", record(calibration=measured, examples=number))
    assert re.match(why, calibrate(tmp_path, 7, network_of("distilbert")).why_none())


def test_no_record_and_no_known_layer_are_said(tmp_path):
    assert "no record of its best checkpoint" in calibrate(tmp_path, 7, network_of("bert"))
    write_record(tmp_path, "val-00000007", {**record(), "calibration": None} | {})
    other = SimpleNamespace(config=SimpleNamespace(model_type="xlnet"))
    assert last_layer(other) is None
    assert calibrate(tmp_path, 7, other) == "where a xlnet model makes its logits is not known"


@pytest.fixture(scope="module")
def noisy_run(tiny_cls, tmp_path_factory):
    """A classifier that is too sure of itself: of its 600 reviews, each fifth has the wrong label."""
    folder = tmp_path_factory.mktemp("noisy")
    lines = write_reviews(folder / "reviews.csv", 600).read_text(encoding="utf-8").splitlines()
    swapped = [line.replace(",neg", ",POS").replace(",pos", ",neg").replace(",POS", ",pos") for line in lines]
    mixed = [other if i % 5 == 0 else line for i, (line, other) in enumerate(zip(lines, swapped, strict=True))]
    (folder / "reviews.csv").write_text("\n".join([lines[0], *mixed[1:]]) + "\n", encoding="utf-8")
    more = ["--data.path", folder / "reviews.csv", "--data.val_fraction", "0.25", "--model.lr", "0.02"]
    return invoke("fit", *tiny_cls, *more, "--runs_dir", folder / "runs", "--trainer.max_epochs", "3").run


def test_what_the_card_says_of_a_run_is_what_its_predictions_give(noisy_run):
    step = torch.load(noisy_run / "checkpoints" / "best.ckpt", weights_only=True)["global_step"]
    validation, test = (load_file(noisy_run / "evaluation" / f"{n}.safetensors") for n in (f"val-{step:08d}", "test"))
    temperature = fit_temperature(validation["logits"], validation["labels"])  # not on the test
    config = json.loads((noisy_run / "export" / "config.json").read_text(encoding="utf-8"))
    assert config["calibration"]["temperature"] == temperature != 1
    chances = probabilities(test["logits"], temperature)
    card = ModelCard.load(noisy_run / "export" / "README.md")
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["ece"] == pytest.approx(calibration_error(chances, test["labels"]), abs=1e-6)
    assert results["loss"] == pytest.approx(-np.log(chances[np.arange(len(chances)), test["labels"]]).mean(), abs=1e-6)
    assert results["accuracy"] == pytest.approx((chances.argmax(1) == test["labels"]).mean(), abs=1e-6)
    assert "](reliability.svg)" in card.text
