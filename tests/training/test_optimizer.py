from functools import partial

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn

from lightning_nlp.training.optimizer import configure_adamw, parameter_groups
from lightning_nlp.training.schedules import lr_lambda
from tests import fitting

trainer = partial(fitting.trainer, max_epochs=2)


class Regression(LightningModule):
    """The smallest module that uses everything in optimizer.py."""

    def __init__(self, lr=0.1, weight_decay=0.1, schedule="linear", warmup_ratio=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return configure_adamw(self, self.trainer.datamodule)


class Rows(fitting.Rows):
    """Six batches."""

    def __init__(self):
        super().__init__(torch.randn(24, 3, generator=torch.Generator().manual_seed(0)))

    val_dataloader = LightningDataModule.val_dataloader


def test_groups_are_those_of_the_transformers_trainer_without_what_is_frozen():
    from transformers import DistilBertConfig, DistilBertForMaskedLM
    from transformers.trainer_pt_utils import get_parameter_names

    network = DistilBertForMaskedLM(DistilBertConfig(vocab_size=20, n_layers=2, n_heads=2, dim=8, hidden_dim=8))
    for parameter in network.distilbert.transformer.layer[0].parameters():
        parameter.requires_grad_(False)
    forbidden = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    decays = set(get_parameter_names(network, [nn.LayerNorm], forbidden))
    names = {id(p): name for name, p in network.named_parameters() if p.requires_grad}  # a tied one is there once
    found = [[names[id(p)] for p in group["params"]] for group in parameter_groups(network, 0.1)]
    assert found == [[name for name in names.values() if (name in decays) is decayed] for decayed in (True, False)]


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
    for step, batch in enumerate(list(data.train_dataloader()) * 2):
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
