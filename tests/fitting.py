"""A Trainer that writes nothing, and a training that keeps the gradients of each step."""

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from torch.utils.data import DataLoader

from lightning_nlp.training.schedules import lr_lambda


def trainer(tmp_path, **settings):
    """A Trainer that writes and says nothing."""
    settings = {"max_epochs": 1, "enable_checkpointing": False} | settings
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **settings,
    )


class Rows(LightningDataModule):
    """The same rows for each split, in the order given."""

    def __init__(self, rows, batch_size=4):
        super().__init__()
        self.rows, self.batch_size = rows, batch_size
        self.train_batches = len(self.train_dataloader())

    def train_dataloader(self):
        return DataLoader(self.rows, batch_size=self.batch_size)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class Gradients(Callback):
    """Keeps the gradients as the optimizer got them."""

    def __init__(self):
        self.steps = []
        self.stepped = 0

    def on_train_start(self, trainer, pl_module):
        usual = pl_module.configure_gradient_clipping

        def clip(*args, **kwargs):
            usual(*args, **kwargs)
            self.steps.append({name: p.grad.clone() for name, p in pl_module.named_parameters()})

        pl_module.configure_gradient_clipping = clip

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step > self.stepped:  # freed at once: they would take room through the next forward pass
            assert all(p.grad is None for p in pl_module.parameters())
        self.stepped = trainer.global_step


def fit(tmp_path, module_class, data, trainer_settings=None, **settings):
    """Train a new module; returns it, each step's gradients by name, and the Trainer."""
    seed_everything(0)
    gradients, module = Gradients(), module_class(**settings)
    run = trainer(tmp_path, callbacks=[gradients], **(trainer_settings or {}))
    run.fit(module, datamodule=data)
    return module, gradients.steps, run


def plain_loop(tmp_path, module, data, loss_of, trained, gradients):
    """Two epochs of a new module's network in plain PyTorch have the gradients and the weights of a trained one."""
    trainer(tmp_path, max_steps=0).fit(module, datamodule=data)  # the weights before training
    network, batches = module.network.train(), list(data.train_dataloader()) * 2
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0)
    factor = lr_lambda("linear", len(batches))
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 1e-3 * factor(step)
        optimizer.zero_grad()
        loss_of(network, batch).backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[step][f"network.{name}"], parameter.grad, rtol=2e-3, atol=2e-6)
        optimizer.step()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained.network.state_dict()[name], value, rtol=1e-3, atol=1e-4)
