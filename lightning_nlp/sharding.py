"""Fully sharded data parallelism: each process keeps a part of the weights, of the gradients and of the optimizer.

This is PyTorch's own `fully_shard` (FSDP2). Lightning has a strategy for it too, but that writes checkpoints of another
form, and restores the optimizer past the module's hooks. Here a checkpoint is the file that any other strategy writes
and reads.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


class FullyShardedStrategy(DDPStrategy):
    """Lightning's DDP strategy for a model that shards itself in `configure_model`, by `shard`.

    A checkpoint holds the whole of the weights and of the optimizer's state, gathered by all processes and written by
    the first; it is the same file as without sharding.
    """

    strategy_name = "fsdp"

    def setup(self, trainer: Trainer) -> None:
        """As for a single process: the model shares its weights and gradients itself."""
        super(DDPStrategy, self).setup(trainer)

    def _setup_model(self, model: nn.Module) -> Any:
        """No wrapper for it."""
        return model

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole weights, on the CPU; all processes must ask for them."""
        assert self.lightning_module is not None
        return _all_gathered(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state of an optimizer; all processes must ask for it."""
        content: Any = super().optimizer_state(optimizer)
        states = {
            number: {name: _gathered(value) for name, value in state.items()}
            for number, state in content["state"].items()
        }
        return content | {"state": states}

    def load_model_state_dict(self, checkpoint: Any, strict: bool = True) -> None:
        """Take this process's part of the weights."""
        assert self.lightning_module is not None
        own = self.lightning_module.state_dict()
        parts = {
            name: _part(value, own[name]) if name in own else value for name, value in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(parts, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Any) -> None:
        """Take this process's part of the optimizers' states."""
        parts = []
        for optimizer, content in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            states = {
                number: {name: _part(value, parameters[number]) for name, value in state.items()}
                for number, state in content["state"].items()
            }
            parts.append(content | {"state": states})
        super().load_optimizer_state_dict({**checkpoint, "optimizer_states": parts})


def shard(module: LightningModule) -> None:
    """Shard a module's `network`, layer by layer, if the Trainer's strategy asks for it.

    Args:
        module: In its `configure_model`, with a `network` of transformers.
    """
    strategy = getattr(module.trainer, "strategy", None)
    if not isinstance(strategy, FullyShardedStrategy):
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    network: Any = module.network
    network.to(strategy.root_device)
    for tensor in [*network.parameters(), *network.buffers()]:  # each process may have drawn its own
        torch.distributed.broadcast(tensor.data, 0)
    mesh = init_device_mesh(strategy.root_device.type, (strategy.world_size,))
    for layers in [part for part in network.modules() if isinstance(part, nn.ModuleList)]:
        for layer in layers:
            fully_shard(layer, mesh=mesh)
    fully_shard(network, mesh=mesh)
    # the network returns a view of its logits, and nobody here writes into them
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)


def is_sharded(module: nn.Module) -> bool:
    """Whether this process has a part of a module's weights only."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def whole(network: Any) -> Any:
    """A network of transformers with all of its weights on each process; itself if it is not sharded.

    Args:
        network: All processes must ask for it.

    Returns:
        The network, or a plain copy of it, in the same mode and on the same device.
    """
    if not is_sharded(network):
        return network
    device = next(network.parameters()).device
    state = _all_gathered(network.state_dict())
    # `fully_shard` has put classes of its own before it
    plain_class: Any = next(kind for kind in type(network).__mro__ if not issubclass(kind, FSDPModule))
    plain = plain_class(copy.deepcopy(network.config))
    plain.load_state_dict(state)
    return plain.to(device).train(network.training)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, in the same memory; another tensor as it is.

    Args:
        tensor: Any tensor.
    """
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def total(tensor: Tensor) -> Tensor:
    """A whole tensor on each process; all of them must ask for it.

    Args:
        tensor: Any tensor.
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _all_gathered(state: dict[str, Any]) -> dict[str, Any]:
    """The whole tensors of a state dict; tied weights stay one tensor."""
    found: dict[int, Any] = {}
    gathered = {}
    for name, value in state.items():
        if isinstance(value, DTensor):
            place = value.to_local().data_ptr() or id(value)  # a part may be empty
            found[place] = found[place] if place in found else _gathered(value)
            gathered[name] = found[place]
        else:
            gathered[name] = value
    return gathered


def _gathered(value: Any) -> Any:
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def _part(value: Any, like: Any) -> Any:
    """What this process keeps of a whole tensor, sharded as another one of the same shape is."""
    if isinstance(value, Tensor) and isinstance(like, DTensor) and value.shape == like.shape and value.dim():
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value
