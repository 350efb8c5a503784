import logging
import shutil

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    FunnelConfig,
    FunnelForMaskedLM,
    GPT2Config,
)

from lightning_nlp.errors import UserError
from lightning_nlp.models import load_pretrained
from tests.models.test_encoder import bert_config, build, word_tokenizer


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertForMaskedLM(bert_config()).save_pretrained(folder)
    return folder


def test_the_encoder_comes_from_the_checkpoint_and_the_head_is_new(bert_folder, caplog):
    reference = BertForMaskedLM.from_pretrained(bert_folder)
    with caplog.at_level(logging.INFO):
        network = load_pretrained.from_pretrained(
            AutoModelForSequenceClassification, str(bert_folder), id2label={0: "a", 1: "b", 2: "c"}
        )
    assert network.config.num_labels == 3
    torch.testing.assert_close(
        network.bert.state_dict()["embeddings.word_embeddings.weight"], reference.get_input_embeddings().weight
    )
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "classifier.weight" in lines[0]
    assert "pooler" in lines[0]


def test_a_pretrained_network_trains_in_float32_with_dropout_on(tmp_path):
    BertForMaskedLM(bert_config()).to(torch.bfloat16).save_pretrained(tmp_path)
    network = load_pretrained.from_pretrained(AutoModelForMaskedLM, str(tmp_path), dropout=0.4, attention_dropout=0.0)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert network.training
    assert all(module.training for module in network.modules())
    assert network.bert.embeddings.dropout.p == 0.4
    assert network.bert.encoder.layer[0].attention.self.dropout.p == 0.0
    assert network.cls.predictions.decoder.weight is network.bert.embeddings.word_embeddings.weight


def test_missing_encoder_weights_are_refused(bert_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_text((bert_folder / "config.json").read_text())
    weights = load_file(bert_folder / "model.safetensors")
    lost = "bert.encoder.layer.0.output.dense.weight"
    save_file({k: v for k, v in weights.items() if k != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"lacks 1 weights of its encoder.*{lost}.*--model.pretrained"):
        load_pretrained.from_pretrained(AutoModelForMaskedLM, str(tmp_path))
    save_file(weights | {lost: torch.zeros(3, 3)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"another shape.*{lost}"):
        load_pretrained.from_pretrained(AutoModelForMaskedLM, str(tmp_path))


def test_a_model_without_a_form_for_the_task_is_refused(bert_folder, tmp_path):
    GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=9).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((bert_folder / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"cannot be loaded as AutoModelForMaskedLM \(ValueError.*--model.pretrained"):
        load_pretrained.from_pretrained(AutoModelForMaskedLM, str(tmp_path))


def test_the_tokenizer_must_belong_to_the_model(bert_folder):
    assert build(pretrained=str(bert_folder)).config.model_type == "bert"
    assert build(pretrained=str(bert_folder), tokenizer=word_tokenizer(40)) is not None  # a vocabulary rounded up
    with pytest.raises(UserError, match=r"51 tokens and the bert model 50 embeddings.*--data.tokenizer"):
        build(pretrained=str(bert_folder), tokenizer=word_tokenizer(46))
    with pytest.raises(UserError, match=r"pads with 4 and the model with 0.*--data.tokenizer"):
        build(pretrained=str(bert_folder), tokenizer=word_tokenizer(pad_first=False))
    with pytest.raises(UserError, match=r"50 tokens and the bert model 5000"):
        load_pretrained.check_tokenizer(bert_config(vocab_size=5000), word_tokenizer())


def test_another_tokenizer_of_the_same_size_is_found_out_by_its_words(bert_folder, tmp_path):
    shutil.copytree(bert_folder, tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    assert build(pretrained=str(tmp_path / "model"), tokenizer=word_tokenizer()) is not None
    with pytest.raises(UserError, match=r"not that of .*model: 45 of its 50 words have other ids.*data.tokenizer"):
        build(pretrained=str(tmp_path / "model"), tokenizer=word_tokenizer(first=1))


def test_a_tokenizer_from_the_same_name_is_not_fetched_again(bert_folder, monkeypatch):
    fetched, fetch = [], load_pretrained.fetch_pretrained
    monkeypatch.setattr(load_pretrained, "fetch_pretrained", lambda *given: fetched.append(given) or fetch(*given))
    build(pretrained=str(bert_folder), tokenizer_name=str(bert_folder))
    assert fetched == [(str(bert_folder), "model")]


def test_a_network_that_could_not_be_exported_is_refused(tmp_path):
    """Funnel; should transformers load it one day as it was saved, the second half says that it may go."""
    sizes = {"vocab_size": 50, "block_sizes": [1, 1], "d_model": 8, "n_head": 2, "d_head": 4, "d_inner": 16}
    network = FunnelForMaskedLM(FunnelConfig(**sizes, pad_token_id=0))
    torch.nn.init.ones_(network.get_input_embeddings().weight)
    network.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"funnel .* cannot be exported .* padding token.*--model.pretrained"):
        build(pretrained=str(tmp_path))
    assert FunnelForMaskedLM.from_pretrained(tmp_path).get_input_embeddings().weight[0].eq(0).all()
    assert load_pretrained.from_pretrained(AutoModelForSequenceClassification, str(tmp_path)) is not None
