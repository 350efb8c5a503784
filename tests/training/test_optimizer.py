import math
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader

from lightning_nlp.errors import UserError
from lightning_nlp.training.optimizer import (
    configure_adamw,
    lr_lambda,
    num_training_steps,
    parameter_groups,
    restore_command_line,
)
from tests import fitting

ROWS = 24
trainer = partial(fitting.trainer, max_epochs=2)


class Regression(LightningModule):
    """The smallest module that uses everything in optim.py."""

    def __init__(self, lr=0.1, weight_decay=0.1, schedule="linear", warmup_ratio=0.1, width=3):
        super().__init__()
        self.settings = {"lr": lr, "weight_decay": weight_decay}
        self.shape = {"schedule": schedule, "warmup_ratio": warmup_ratio}
        self.layer = nn.Linear(width, 1)
        self.seen = []

    def steps(self):
        return num_training_steps(self.trainer, self.trainer.datamodule.train_batches)

    def training_step(self, batch, batch_idx):
        self.seen.append(batch[:, 0].tolist())
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return configure_adamw(self, **self.settings, **self.shape, num_training_steps=self.steps())

    def on_load_checkpoint(self, checkpoint):
        factor = lr_lambda(self.shape["schedule"], self.steps(), self.shape["warmup_ratio"])
        restore_command_line(checkpoint, **self.settings, lr_lambda=factor)


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


# --- parameter groups


def test_each_trainable_parameter_is_in_one_group():
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, pad_token_id=0
    )
    network = BertForMaskedLM(config)
    assert network.cls.predictions.decoder.weight is network.bert.embeddings.word_embeddings.weight  # tied
    for parameter in network.bert.encoder.layer[0].parameters():
        parameter.requires_grad_(False)
    decay, no_decay = parameter_groups(network, 0.3)
    assert (decay["weight_decay"], no_decay["weight_decay"]) == (0.3, 0.0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed, undecayed = ([names[id(p)] for p in group["params"]] for group in (decay, no_decay))
    assert len(decayed) == len(set(decayed)) > 0
    assert not set(decayed) & set(undecayed)
    assert set(decayed) | set(undecayed) == {name for name in names.values() if ".layer.0." not in name}
    assert all(name.endswith("bias") or "LayerNorm" in name for name in undecayed)
    assert not any(name.endswith("bias") or "LayerNorm" in name for name in decayed)
    assert "bert.embeddings.word_embeddings.weight" in decayed


def test_groups_are_those_of_the_transformers_trainer(tmp_path):
    from transformers import DistilBertConfig, DistilBertForMaskedLM
    from transformers.trainer_pt_utils import get_parameter_names

    network = DistilBertForMaskedLM(DistilBertConfig(vocab_size=20, n_layers=1, n_heads=2, dim=8, hidden_dim=8))
    forbidden = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    expected = set(get_parameter_names(network, [nn.LayerNorm], forbidden))
    ours = {id(parameter) for parameter in parameter_groups(network, 0.1)[0]["params"]}
    assert {id(p) for name, p in network.named_parameters() if name in expected} == ours


# --- schedules


@pytest.mark.parametrize("total", [1, 2, 10, 97])
@pytest.mark.parametrize("warmup_ratio", [0.0, 0.06, 0.5])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_schedule_is_that_of_transformers(schedule, warmup_ratio, total):
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    name = "constant_with_warmup" if schedule == "constant" else schedule
    reference = get_scheduler(name, optimizer, math.ceil(warmup_ratio * total), total).lr_lambdas[0]
    factor = lr_lambda(schedule, total, warmup_ratio)
    assert [factor(step) for step in range(total)] == pytest.approx([reference(s) for s in range(total)], abs=1e-12)


def test_wsd_falls_with_the_square_root():
    factor = lr_lambda("wsd", 100, warmup_ratio=0.1, decay_ratio=0.25)
    assert [factor(step) for step in (0, 5, 10, 50, 75)] == [0, 0.5, 1, 1, 1]
    assert [factor(step) for step in (76, 84, 91, 100)] == pytest.approx([0.8, 0.4, 0.2, 0])
    assert factor(99) == pytest.approx(1 - math.sqrt(24 / 25))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "wsd"])
@pytest.mark.parametrize("warmup_ratio", [0.0, 0.1, 0.95, 1.0])
@pytest.mark.parametrize("total", [1, 3, 50])
def test_schedule_stays_between_0_and_1_and_ends_at_the_last_step(schedule, warmup_ratio, total):
    factor = lr_lambda(schedule, total, warmup_ratio)
    values = [factor(step) for step in range(total + 5)]
    assert all(0 <= value <= 1 for value in values)
    warmup = math.ceil(warmup_ratio * total)
    if warmup < total:
        assert values[warmup] == 1
    assert values[total:] == [1.0 if schedule == "constant" else 0.0] * 5
    assert values[warmup:total] == sorted(values[warmup:total], reverse=True)


def test_schedule_refuses_what_it_cannot_mean():
    with pytest.raises(UserError, match=r"'polynomial'.*--model.schedule.*linear, cosine, constant, wsd"):
        lr_lambda("polynomial", 10)
    with pytest.raises(UserError, match=r"--model.warmup_ratio must be at least 0 and at most 1, not nan"):
        lr_lambda("linear", 10, math.nan)
    with pytest.raises(UserError, match="decay_ratio"):
        lr_lambda("wsd", 10, 0.0, decay_ratio=2)


def test_an_endless_run_needs_the_constant_schedule():
    assert lr_lambda("constant", None)(10**9) == 1
    for schedule, warmup_ratio in (("linear", 0.0), ("cosine", 0.0), ("wsd", 0.0), ("constant", 0.1)):
        with pytest.raises(UserError, match=r"--trainer.max_epochs or --trainer.max_steps"):
            lr_lambda(schedule, None, warmup_ratio)


# --- the number of steps


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_epochs": 3, "accumulate_grad_batches": 4},
        {"max_epochs": 5, "max_steps": 7},
        {"max_epochs": -1, "max_steps": 7},
        {"max_epochs": None, "max_steps": 9},
        {"limit_train_batches": 5, "accumulate_grad_batches": 2},
        {"limit_train_batches": 100},
        {"limit_train_batches": 0.7, "accumulate_grad_batches": 3},
        {"limit_train_batches": 1},
        {"limit_train_batches": 1.0},
        {"overfit_batches": 2},
        {"overfit_batches": 0.5},
        {"fast_dev_run": 3},
        {"fast_dev_run": True},
    ],
    ids=str,
)
def test_number_of_steps_is_what_lightning_makes(settings, tmp_path):
    data, module = Rows(), Regression()
    fit = trainer(tmp_path, **settings)
    expected = num_training_steps(fit, data.train_batches)
    fit.fit(module, datamodule=data)
    assert expected == fit.global_step > 0
    assert expected == fit.estimated_stepping_batches
    # the schedule has come to its end with the last step
    assert fit.optimizers[0].param_groups[0]["lr"] == 0


def test_number_of_steps_of_an_endless_run_is_none(tmp_path):
    assert num_training_steps(trainer(tmp_path, max_epochs=-1), 10) is None
    with pytest.raises(UserError, match="needs to know the last step"):
        trainer(tmp_path, max_epochs=-1).fit(Regression(), datamodule=Rows())


# --- AdamW


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


def test_configure_adamw_uses_the_fused_kernel_unless_told_not_to():
    settings = {"lr": 1e-3, "weight_decay": 0.0, "schedule": "linear", "warmup_ratio": 0.0, "num_training_steps": 5}
    assert configure_adamw(nn.Linear(2, 2), **settings)["optimizer"].defaults["fused"] is True
    assert configure_adamw(nn.Linear(2, 2), **settings, fused=False)["optimizer"].defaults["fused"] is False
    assert configure_adamw(nn.Linear(2, 2, device="meta"), **settings)["optimizer"].defaults["fused"] is False


# --- resuming


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


def test_resume_restores_a_stateful_loader_in_mid_epoch(tmp_path):
    first, second, *_ = resume(tmp_path, {})
    assert len(first.seen) == 12
    assert second.seen == first.seen[4:]  # also shows that computing the steps leaves the loader alone


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
