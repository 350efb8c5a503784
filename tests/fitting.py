"""A Trainer that writes nothing, and a training that keeps the gradients of each step."""

from lightning.pytorch import Callback, Trainer, seed_everything


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
