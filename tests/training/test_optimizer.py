from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn
from torch.utils.data import DataLoader

from lightning_nlp.training.optimizer import configure_adamw, override_checkpoint, parameter_groups
from lightning_nlp.training.schedules import lr_lambda
from tests import fitting

ROWS = 24
trainer = partial(fitting.trainer, max_epochs=2)


class Regression(LightningModule):
    """The smallest module that uses everything in optimizer.py."""

    def __init__(self, lr=0.1, weight_decay=0.1, schedule="linear", warmup_ratio=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(3, 1)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch[:, 0].tolist())
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return configure_adamw(self, self.trainer.datamodule)

    def on_load_checkpoint(self, checkpoint):
        override_checkpoint(self, checkpoint, self.trainer.datamodule)


class StatefulLoader:
    """A loader that knows where it stands, as the package's own does."""

    def __init__(self, batches):
        self.batches, self.position, self.restored = batches, 0, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        start, self.restored = self.restored, 0  # Lightning does not exhaust an iterator whose length it knows
        for index in range(start, len(self.batches)):
            self.position = index + 1
            yield self.batches[index]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.restored = state["position"]


class Rows(LightningDataModule):
    def __init__(self, batch_size=4, stateful=False):
        super().__init__()
        rows = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))
        rows[:, 0] = torch.arange(ROWS)
        self.loader = DataLoader(rows, batch_size=batch_size)
        self.train_batches = len(self.loader)
        if stateful:
            self.loader = StatefulLoader(list(self.loader))

    def train_dataloader(self):
        return self.loader


def test_each_trainable_parameter_is_in_one_group():
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, pad_token_id=0
    )
    network = BertForMaskedLM(config)
    assert network.cls.predictions.decoder.weight is network.bert.embeddings.word_embeddings.weight  # tied
    for parameter in network.bert.encoder.layer[0].parameters():
        parameter.requires_grad_(False)
    groups = parameter_groups(network, 0.3)
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    names = {parameter: name for name, parameter in network.named_parameters()}
    found = [names[parameter] for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(name for name in names.values() if ".layer.0." not in name)


def test_groups_are_those_of_the_transformers_trainer(tmp_path):
    from transformers import DistilBertConfig, DistilBertForMaskedLM
    from transformers.trainer_pt_utils import get_parameter_names

    network = DistilBertForMaskedLM(DistilBertConfig(vocab_size=20, n_layers=1, n_heads=2, dim=8, hidden_dim=8))
    forbidden = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    expected = set(get_parameter_names(network, [nn.LayerNorm], forbidden))
    ours = {id(parameter) for parameter in parameter_groups(network, 0.1)[0]["params"]}
    assert {id(p) for name, p in network.named_parameters() if name in expected} == ours


def test_configure_adamw_is_adamw_on_two_groups(tmp_path):
    torch.manual_seed(0)
    data, module = Rows(), Regression(lr=0.05, weight_decay=0.3)
    reference = nn.Linear(3, 1)
    reference.load_state_dict(module.layer.state_dict())
    trainer(tmp_path).fit(module, datamodule=data)
    optimizer = torch.optim.AdamW(
        [{"params": [reference.weight], "weight_decay": 0.3}, {"params": [reference.bias], "weight_decay": 0}], lr=0.05
    )
    factor = lr_lambda("linear", 12, 0.1)
    for step, batch in enumerate(list(data.loader) * 2):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * factor(step)
        optimizer.zero_grad()
        reference(batch).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(module.layer.weight, reference.weight)
    torch.testing.assert_close(module.layer.bias, reference.bias)


def test_the_kernel_is_fused_but_in_fp16(tmp_path):
    """Lightning cannot clip beside it there."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)  # a high one overflows at first
    for plugin, fused in ((Precision(), True), (MixedPrecision("16-mixed", "cpu", scaler), False)):
        run = trainer(tmp_path, plugins=[plugin], gradient_clip_val=1.0)
        run.fit(Regression(), datamodule=Rows())
        assert run.optimizers[0].defaults["fused"] is fused


class Save(Callback):
    """Saves a checkpoint after a step, and notes the optimizer's state when training resumes and when it ends."""

    def __init__(self, path=None, step=None):
        self.path, self.step, self.start, self.end = path, step, None, None

    def on_train_start(self, trainer, pl_module):
        self.start = self.state(trainer)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)

    def on_train_end(self, trainer, pl_module):
        self.end = self.state(trainer)

    @staticmethod
    def state(trainer):
        groups = [{k: v for k, v in g.items() if k != "params"} for g in trainer.optimizers[0].param_groups]
        return {"groups": groups, "scheduler": trainer.lr_scheduler_configs[0].scheduler.state_dict()}


def resume(tmp_path, settings, trainer_settings=None):
    """Train, stop after step 4 of 12, resume with other settings; the modules and what the callback noted."""
    path = tmp_path / "step.ckpt"
    torch.manual_seed(0)
    first, whole, noted = Regression(), Save(path, 4), Save()
    trainer(tmp_path, callbacks=[whole]).fit(first, datamodule=Rows(stateful=True))
    second = Regression(**settings)
    trainer(tmp_path, callbacks=[noted], **(trainer_settings or {})).fit(
        second, datamodule=Rows(stateful=True), ckpt_path=path, weights_only=True
    )
    return first, second, whole, noted, torch.load(path, weights_only=True)


def test_resume_with_the_same_settings_changes_not_a_bit(tmp_path):
    first, second, whole, noted, checkpoint = resume(tmp_path, {})
    saved = [{k: v for k, v in g.items() if k != "params"} for g in checkpoint["optimizer_states"][0]["param_groups"]]
    assert noted.start["groups"] == saved
    assert noted.start["scheduler"] == checkpoint["lr_schedulers"][0]
    assert 0 < noted.start["groups"][0]["lr"] < 0.1
    assert noted.end == whole.end
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert len(first.seen) == 12
    assert second.seen == first.seen[4:], "a stateful loader goes on, and computing the steps leaves it alone"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr": 0.02}, {"lr": 0.02 * (12 - 4) / (12 - 2), "initial_lr": 0.02}),
        ({"weight_decay": 0.7}, {"weight_decay": 0.7}),
        ({"schedule": "constant"}, {"lr": 0.1}),
    ],
    ids=str,
)
def test_the_command_line_wins_over_a_checkpoint(settings, expected, tmp_path):
    first, second, _, noted, checkpoint = resume(tmp_path, settings)
    decay, no_decay = noted.start["groups"]
    before = checkpoint["optimizer_states"][0]["param_groups"][0]
    for key in ("lr", "initial_lr", "weight_decay", "betas", "eps"):
        assert decay[key] == pytest.approx(expected.get(key, before[key])), key
    assert no_decay["weight_decay"] == 0
    assert no_decay["lr"] == decay["lr"]
    assert noted.start["scheduler"]["base_lrs"] == [settings.get("lr", 0.1)] * 2
    assert not torch.equal(first.layer.weight, second.layer.weight)


def test_a_longer_run_stretches_the_schedule(tmp_path):
    *_, noted, _ = resume(tmp_path, {}, {"max_epochs": 4})
    assert noted.start["groups"][0]["lr"] == pytest.approx(0.1 * (24 - 4) / (24 - 3))
    assert noted.end["groups"][0]["lr"] == 0


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before")  # this loader begins anew
def test_weight_decay_of_0_does_not_hide_which_group_decays(tmp_path):
    path = tmp_path / "last.ckpt"
    trainer(tmp_path, callbacks=[Save(path, 4)]).fit(Regression(weight_decay=0.0), datamodule=Rows())
    noted = Save()
    trainer(tmp_path, callbacks=[noted]).fit(
        Regression(weight_decay=0.2), datamodule=Rows(), ckpt_path=path, weights_only=True
    )
    assert [group["weight_decay"] for group in noted.start["groups"]] == [0.2, 0.0]
