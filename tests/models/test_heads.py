import logging

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from lightning_nlp.errors import UserError
from lightning_nlp.models import load_pretrained
from lightning_nlp.models.heads import LAST_LAYERS, last_layer

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SIZES |= {"vocab_size": 50, "max_position_embeddings": 20, "pad_token_id": 0, "embedding_size": 16}
SIZES |= {"bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}


def folder_with(root, names, model_type="bert"):
    """A classifier as save_pretrained writes it, and what it gives for some tokens."""
    config = AutoConfig.for_model(model_type, **SIZES)
    config.update({"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}})
    network = AutoModelForSequenceClassification.from_config(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(root)
    return logits_of(network)


def load(root, labels, **settings):
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return load_pretrained.from_pretrained(AutoModelForSequenceClassification, str(root), **names, **settings)


def logits_of(network):
    with torch.inference_mode():
        return network.eval()(input_ids=torch.tensor([[1, 5, 6, 7, 2], [1, 9, 4, 3, 2]])).logits


@pytest.mark.parametrize("model_type", sorted(LAST_LAYERS))
def test_rows_follow_the_names_whatever_their_case(model_type, tmp_path, caplog):
    before = folder_with(tmp_path, ["World", "sports", "BUSINESS"], model_type)
    with caplog.at_level(logging.INFO):
        network = load(tmp_path, ["business", "Sports", "world"])
    torch.testing.assert_close(logits_of(network), before[:, [2, 1, 0]])
    assert network.config.id2label == {0: "business", 1: "Sports", 2: "world"}
    assert [r.getMessage().partition(str(tmp_path))[2] for r in caplog.records if str(tmp_path) in r.getMessage()] == [
        " has a head for these labels: its rows are matched by name."
    ]


@pytest.mark.parametrize(
    "names", [["LABEL_0", "LABEL_1"], ["joy", "fear"], ["pos", "POS"], ["neg", "positive"]], ids="-".join
)
def test_other_names_mean_a_new_last_layer(names, tmp_path, caplog):
    before = folder_with(tmp_path, names)
    with caplog.at_level(logging.INFO):
        network = load(tmp_path, ["neg", "pos"])
    reference = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert network.bert.pooler.dense.weight.equal(reference.bert.pooler.dense.weight)
    assert network.classifier.weight.std() < 0.05  # the checkpoint's is 0.3
    assert network.classifier.bias.tolist() == [0, 0]
    assert f"is for {', '.join(names)}, and the labels are neg, pos: its last layer is new" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        network = load(tmp_path, ["neg", "pos"], keep_head=True)
    torch.testing.assert_close(logits_of(network), before)
    assert f"is kept by position (--model.keep_head): {', '.join(names)} become neg, pos" in caplog.text


def test_labels_that_are_called_so_too_can_be_verified(tmp_path):
    before = folder_with(tmp_path, ["LABEL_0", "LABEL_1"])
    torch.testing.assert_close(logits_of(load(tmp_path, ["label_1", "label_0"])), before[:, [1, 0]])


@pytest.mark.parametrize("names", [["a", "b", "c"], None])
def test_a_head_to_keep_must_be_there(names, tmp_path, pretrained):
    folder = pretrained if names is None else tmp_path
    if names:
        folder_with(tmp_path, names)
    assert load(folder, ["a", "b"]).config.num_labels == 2
    with pytest.raises(UserError, match=r"has no head for 2 classes: leave out --model\.keep_head"):
        load(folder, ["a", "b"], keep_head=True)


def test_an_architecture_whose_last_layer_is_not_in_the_table(tmp_path):
    before = folder_with(tmp_path, ["x", "y"], "convbert")
    assert last_layer(AutoModelForSequenceClassification.from_pretrained(tmp_path)) is None
    torch.testing.assert_close(logits_of(load(tmp_path, ["y", "x"])), before[:, [1, 0]])
