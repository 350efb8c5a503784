"""AdamW: which parameters decay, and its fused kernel."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn

from lightning_nlp.training.schedules import module_lr_lambda


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices and embeddings decay, biases and norms do not.

    As in the Trainer of transformers; a tied parameter counts once, and a group may be empty.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay, "name": "decay"},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0, "name": "no_decay"},
    ]


def configure_adamw(module: LightningModule, data: Any) -> dict[str, Any]:
    """What `configure_optimizers` returns: AdamW by a module's `lr` and `weight_decay`, and its schedule.

    The module must be on its device, which decides whether the kernel is fused. In fp16 it is not: Lightning could not
    clip the gradients.
    """
    groups = parameter_groups(module, module.hparams["weight_decay"])
    parameters = [parameter for group in groups for parameter in group["params"]]
    assert parameters, "there is nothing to train"
    fused = module.trainer.precision != "16-mixed"
    fused = fused and all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in parameters)
    optimizer = torch.optim.AdamW(groups, lr=module.hparams["lr"], fused=fused)
    # Lightning would keep the gradients, and their memory, through the next forward pass
    optimizer.register_step_post_hook(lambda optimizer, *_: optimizer.zero_grad())
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, module_lr_lambda(module, data))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
