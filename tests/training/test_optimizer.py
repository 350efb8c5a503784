from functools import partial

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn
from torch.utils.data import DataLoader

from lightning_nlp.training.optimizer import configure_adamw, parameter_groups
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

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return configure_adamw(self, self.trainer.datamodule)


class Rows(LightningDataModule):
    def __init__(self, batch_size=4):
        super().__init__()
        rows = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))
        rows[:, 0] = torch.arange(ROWS)
        self.loader = DataLoader(rows, batch_size=batch_size)
        self.train_batches = len(self.loader)

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
