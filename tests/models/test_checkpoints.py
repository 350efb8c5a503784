import json
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback

from lightning_nlp.errors import UserError
from lightning_nlp.models.checkpoints import check_checkpoint, metadata, override_settings
from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.mlm import MaskedLanguageModel
from tests import fitting
from tests.conftest import checkpoint_of
from tests.models.test_encoder import bert_config, word_tokenizer
from tests.training.test_optimizer import Regression, Rows

MODULE = SimpleNamespace(task="classification", label_names=["a", "b"], network=SimpleNamespace(config=bert_config()))


def test_a_checkpoint_must_be_of_this_kind_of_run():
    data = SimpleNamespace(tokenizer=word_tokenizer())  # of the user's own: it records nothing
    expected = metadata(MODULE, data)
    check_checkpoint(MODULE, {"lightning_nlp": expected}, data)
    with pytest.raises(UserError, match=r"not written by this program.*--ckpt_path"):
        check_checkpoint(MODULE, {}, data)
    for change, message in (
        ({"task": "mlm"}, "task is 'mlm', and this run's is 'classification'"),
        ({"label_names": ["b", "a"]}, r"label_names is \['b', 'a'\], and this run's is \['a', 'b'\]"),
        ({"tokenizer": "0"}, "tokenizer is different from this run's: give --data.tokenizer"),
    ):
        with pytest.raises(UserError, match=message):
            check_checkpoint(MODULE, {"lightning_nlp": expected | change}, data)


def test_what_a_data_module_records_is_kept_and_handed_to_it():
    found = []
    data = SimpleNamespace(tokenizer=word_tokenizer(), record=lambda: {"texts": 3}, go_on_from=found.append)
    for same_texts in (True, False):
        check_checkpoint(MODULE, {"lightning_nlp": metadata(MODULE, data)}, data, same_texts=same_texts)
    assert found == [{"texts": 3}]


def test_a_call_of_the_tokenizer_leaves_no_trace():
    data = SimpleNamespace(tokenizer=word_tokenizer())
    before = metadata(MODULE, data)
    data.tokenizer(["w1 w2 w3", "w4"], truncation=True, max_length=2, padding=True)
    assert metadata(MODULE, data) == before


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


class Resumed(Regression):
    def on_load_checkpoint(self, checkpoint):
        override_settings(self, checkpoint, self.trainer.datamodule)


class Noted(Callback):
    """The optimizer's settings when a training resumes."""

    def on_train_start(self, trainer, pl_module):
        self.start = [{k: v for k, v in g.items() if k != "params"} for g in trainer.optimizers[0].param_groups]
        self.scheduler = trainer.lr_scheduler_configs[0].scheduler.state_dict()


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before")  # this loader begins anew
@pytest.mark.parametrize(
    ("before", "settings", "epochs", "expected"),
    [
        ({}, {}, 2, {"lr": 0.1 * (12 - 4) / (12 - 2)}),
        ({}, {"lr": 0.02}, 2, {"lr": 0.02 * (12 - 4) / (12 - 2), "initial_lr": 0.02}),
        ({}, {"weight_decay": 0.7}, 2, {"weight_decay": 0.7}),
        ({"weight_decay": 0.0}, {"weight_decay": 0.2}, 2, {"weight_decay": 0.2}),  # which group decays is not forgotten
        ({}, {"schedule": "constant"}, 2, {"lr": 0.1}),
        ({}, {}, 4, {"lr": 0.1 * (24 - 4) / (24 - 3)}),  # a longer run stretches the schedule
    ],
    ids=str,
)
def test_the_command_line_wins_over_a_checkpoint(before, settings, epochs, expected, tmp_path):
    first = fitting.trainer(tmp_path, max_epochs=2, max_steps=4)
    first.fit(Resumed(**before, schedule="constant", warmup_ratio=0.0), datamodule=Rows())
    first.save_checkpoint(tmp_path / "step.ckpt")
    saved = torch.load(tmp_path / "step.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]
    noted, path = Noted(), tmp_path / "step.ckpt"
    run = fitting.trainer(tmp_path, max_epochs=epochs, callbacks=[noted])
    run.fit(Resumed(**before | settings), datamodule=Rows(), ckpt_path=path, weights_only=True)
    decay, no_decay = noted.start
    wanted = {"lr": 0.1 * (12 - 4) / (12 - 2), "initial_lr": 0.1, "weight_decay": saved["weight_decay"]} | expected
    for key in ("lr", "initial_lr", "weight_decay"):
        assert decay[key] == pytest.approx(wanted[key]), key
    assert [decay[key] for key in ("betas", "eps")] == [saved[key] for key in ("betas", "eps")]
    assert (no_decay["weight_decay"], no_decay["lr"]) == (0, decay["lr"])
    assert noted.scheduler["base_lrs"] == [settings.get("lr", 0.1)] * 2
