import json
from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.errors import UserError
from lightning_nlp.models import metadata
from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.mlm import MaskedLanguageModel
from tests.conftest import checkpoint_of
from tests.models.test_encoder import bert_config, word_tokenizer

NETWORK = SimpleNamespace(config=bert_config())


def test_a_checkpoint_must_be_of_this_kind_of_run():
    data = SimpleNamespace(tokenizer=word_tokenizer())  # of the user's own: it records nothing
    expected = metadata.checkpoint_metadata("classification", data, NETWORK) | {"label_names": ["a", "b"]}
    metadata.check_checkpoint({"lightning_nlp": expected}, expected, data)
    with pytest.raises(UserError, match=r"not written by this program.*--ckpt_path"):
        metadata.check_checkpoint({}, expected, data)
    for change, message in (
        ({"task": "mlm"}, "task is 'mlm', and this run's is 'classification'"),
        ({"label_names": ["b", "a"]}, r"label_names is \['b', 'a'\], and this run's is \['a', 'b'\]"),
        ({"tokenizer": "0"}, "tokenizer is another one than this run's: give --data.tokenizer"),
    ):
        with pytest.raises(UserError, match=message):
            metadata.check_checkpoint({"lightning_nlp": expected | change}, expected, data)


def test_what_a_data_module_records_is_kept_and_handed_to_it():
    found = []
    data = SimpleNamespace(tokenizer=word_tokenizer(), record=lambda: {"texts": 3}, go_on_from=found.append)
    expected = metadata.checkpoint_metadata("mlm", data, NETWORK)
    metadata.check_checkpoint({"lightning_nlp": expected}, expected, data)
    assert found == [{"texts": 3}]


def test_a_call_of_the_tokenizer_leaves_no_trace():
    data = SimpleNamespace(tokenizer=word_tokenizer())
    before = metadata.checkpoint_metadata("mlm", data, NETWORK)
    data.tokenizer(["w1 w2 w3", "w4"], truncation=True, max_length=2, padding=True)
    assert metadata.checkpoint_metadata("mlm", data, NETWORK) == before


def changed(run, tmp_path, change):
    content = checkpoint_of(run, "best")
    change(content["lightning_nlp"])
    torch.save(content, tmp_path / "changed.ckpt")
    return tmp_path / "changed.ckpt"


def test_what_cannot_be_loaded_without_a_trainer(cls_run, tmp_path):
    earlier = changed(cls_run, tmp_path, lambda found: found.pop("network"))
    cure = "AutoModelForSequenceClassification.from_pretrained"
    with pytest.raises(UserError, match=rf"earlier versions.* load its run's export with transformers\.{cure}"):
        SequenceClassifier.load_from_checkpoint(earlier)
    with pytest.raises(UserError, match="task is 'classification', not 'mlm': load it with the other class"):
        MaskedLanguageModel.load_from_checkpoint(cls_run / "checkpoints" / "best.ckpt")


def test_a_strangers_checkpoint_names_no_code(cls_run, tmp_path):
    def harm(found):
        config = json.loads(found["network"]["config"])
        auto_map = {"AutoModelForSequenceClassification": "code.A"}
        more = {"auto_map": auto_map, "attn_implementation": "stranger/kernel"}
        found["network"]["config"] = json.dumps(config | more)

    module = SequenceClassifier.load_from_checkpoint(changed(cls_run, tmp_path, harm))
    assert module.network.config._attn_implementation == "sdpa"
    assert type(module.network).__module__.startswith("transformers.")
