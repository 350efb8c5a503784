import re

import pytest
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from lightning_nlp.errors import UserError
from lightning_nlp.models.freezing import freeze
from tests.bad_input.check import check
from tests.conftest import checkpoint_of, invoke

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
SIZES |= {"vocab_size": 50, "max_position_embeddings": 20, "pad_token_id": 0}


def network_of(model_type, auto_class=AutoModelForSequenceClassification):
    return auto_class.from_config(AutoConfig.for_model(model_type, **SIZES))


def trained(network):
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("model_type", ["distilbert", "bert", "roberta", "electra", "mpnet", "deberta-v2"])
def test_parts_are_frozen_from_below(model_type):
    before = trained(network_of(model_type))
    left = {}
    for part in ("embeddings", 0, 2, 3, "encoder"):
        network = network_of(model_type)
        freeze(network, part)
        left[part] = trained(network)
        layers = {int(number) for name in left[part] for number in re.findall(r"layer\.(\d)", name)}
        assert layers == {"embeddings": {0, 1, 2}, 0: {0, 1, 2}, 2: {2}}.get(part, set())
        assert not [name for name in left[part] if "embeddings" in name or "relative" in name]
        assert {name for name in before if name.startswith(("classifier", "pre_classifier"))} <= left[part]
    assert left["embeddings"] == left[0]
    assert not [name for name in left["encoder"] if name.startswith(model_type) and "pooler" not in name]
    assert ("bert.pooler.dense.weight" in left["encoder"]) is (model_type == "bert")


def test_a_head_with_the_embeddings_weights_is_frozen_with_them():
    network = network_of("bert", AutoModelForMaskedLM)
    freeze(network, "encoder")
    assert {name.removeprefix("cls.predictions.") for name in trained(network)} == {
        *("bias", "transform.dense.weight", "transform.dense.bias"),
        *("transform.LayerNorm.weight", "transform.LayerNorm.bias"),
    }


@pytest.mark.parametrize(
    ("model_type", "part", "words"),
    [
        ("bert", 4, "freeze is 4, and this bert model has 3 layers: give --model.freeze 0 to 3"),
        ("bert", -1, "freeze is -1, and this bert model has 3 layers"),
        ("albert", 1, "where albert models have that part is unknown: give --model.freeze encoder"),
    ],
)
def test_what_an_architecture_has_not(model_type, part, words):
    network = network_of(model_type)
    with pytest.raises(UserError, match=words):
        freeze(network, part)
    assert trained(network) == trained(network_of(model_type))


@pytest.fixture(scope="module")
def arguments(tiny_cls, pretrained):
    return ["fit", *tiny_cls, "--model.pretrained", pretrained, "--trainer.enable_progress_bar", "true"]


def test_what_is_frozen_stays_and_costs_no_state(arguments, pretrained, tmp_path):
    outcome = invoke(*arguments, "--model.freeze", "encoder", "--runs_dir", tmp_path)
    checkpoint = checkpoint_of(outcome.run)
    weights = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
    network = AutoModelForSequenceClassification.from_pretrained(pretrained)
    freeze(network, "encoder")
    left = trained(network)
    for name, value in network.named_parameters():
        if "classifier" not in name:  # the rest came from the folder
            assert weights[name].equal(value) is (name not in left)
    moments = [state["exp_avg"] for state in checkpoint["optimizer_states"][0]["state"].values()]
    assert sum(moment.numel() for moment in moments) == sum(weights[name].numel() for name in left)
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("Training: ")]
    assert f"Training: {sum(moment.numel() for moment in moments):,} parameters, " in line


def test_a_resume_freezes_the_same(arguments, tmp_path):
    arguments = [*arguments, "--runs_dir", tmp_path]
    assert invoke(*arguments, "--model.freeze", "1", "--trainer.max_epochs", "1").code == 0
    for other in ([], ["--model.freeze", "encoder"]):
        words = "The checkpoint was trained with freeze 1", "give --model.freeze 1, or start from its export"
        check(invoke(*arguments, *other, "--ckpt_path", "last"), *words)
    assert invoke(*arguments, "--model.freeze", "1", "--ckpt_path", "last").code == 0
    assert invoke("test", "--run", tmp_path / "quickstart" / "0").code == 0


@pytest.mark.parametrize("more", [["--model.freeze", "1"], ["--model.keep_head", "true"]])
def test_a_new_network_has_nothing_to_freeze_or_keep(more, tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, *more, "--runs_dir", tmp_path)
    check(outcome, "are for a pretrained model: give --model.pretrained too")
