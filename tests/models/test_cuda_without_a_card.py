"""CUDA without a card: fake tensors say on which device and of what shape a step's results are, and refuse to be read.

Both modules, every proven architecture, packed and padded. Fake tensors are computed without gradients, and autocast
switches itself off among them, so the networks are themselves in 16 bits. What runs with gradients alone is covered by
the walk over the sources in tests/test_device_reads.py.
"""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from lightning_nlp.models import packing
from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.heads import masked_positions
from lightning_nlp.models.mlm import MaskedLanguageModel
from tests.models.test_packing import ARCHITECTURES, LENGTHS, batches, network_of

CUDA = torch.device("cuda", 0)


def module_of(task, name, dtype, monkeypatch):
    """A module as `configure_model` makes it, with a small network of some architecture; it logs into a dict."""
    auto_class = AutoModelForMaskedLM if task == "mlm" else AutoModelForSequenceClassification
    network = network_of(auto_class, ARCHITECTURES[name]()).to(dtype)
    monkeypatch.setattr("lightning_nlp.models.encoder.build", lambda *args, **kwargs: network)
    module = MaskedLanguageModel() if task == "mlm" else SequenceClassifier(class_weights=[1.0, 2.0, 3.0])
    data = SimpleNamespace(tokenizer=None, max_length=160, label_names="abc", class_counts=[1, 1, 1], packing=False)
    module._trainer = SimpleNamespace(
        datamodule=data, strategy=SimpleNamespace(root_device=torch.device("cpu")), precision="32-true"
    )
    module._jit_is_scripting = True  # LightningModule.trainer then asks nothing of the stand-in
    module.configure_model()
    module.on_validation_epoch_start()
    module.logged = {}
    monkeypatch.setattr(LightningModule, "log", lambda self, name, value, **_: self.logged.update({name: value}))
    monkeypatch.setattr(LightningModule, "log_dict", lambda self, values, **_: self.logged.update(values))
    return module


class Reads(Exception):
    """A boolean index has as many results as the device finds, and the host waits for their number."""


class Stand(TorchFunctionMode):
    """In the place of what a build without CUDA cannot do with fake tensors: results of the right shape."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        stand_in = STAND_INS.get(function) if args and isinstance(args[0], torch.Tensor) and args[0].is_cuda else None
        return (stand_in or function)(*args, **kwargs or {})


def indexed(tensor, index):
    """What an index gives: its values are nobody's, so its shape is all."""
    parts = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, torch.Tensor):
            if part.dtype == torch.bool:
                raise Reads
            part = torch.empty(part.shape, dtype=part.dtype, device="meta")
        parts.append(part)
    return tensor.new_empty(torch.empty(tensor.shape, device="meta")[tuple(parts)].shape)


STAND_INS = {
    torch.Tensor.__getitem__: indexed,
    torch.Tensor.__invert__: torch.logical_not,
    torch.Tensor.contiguous: torch.clone,
}


def on_fake_cuda(module, batch, mode):
    """A module, changed in place, and a batch as fake tensors on CUDA."""

    def moved(tensor):
        return torch.ops.aten._to_copy(mode.from_tensor(tensor), device=CUDA)

    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        for part in (module, *module.metrics.values()):
            part._apply(moved)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    return {key: moved(x) if isinstance(x, torch.Tensor) else x for key, x in batch.items()}


PRECISIONS = [(True, torch.bfloat16), (True, torch.float16), (False, torch.bfloat16), (False, torch.float32)]


@pytest.mark.parametrize(("packs", "dtype"), PRECISIONS)
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("task", ["classification", "mlm"])
def test_no_step_reads_a_value_back(task, name, packs, dtype, monkeypatch):
    module = module_of(task, name, dtype, monkeypatch)
    if packs:
        packing.enable(module.network)
    batch = batches("tokens" if task == "mlm" else "texts")[packs]
    if task == "mlm":  # what the collate functions add
        batch["masked"] = masked_positions(batch["labels"])
    rows = len(batch["masked"]) if task == "mlm" else len(LENGTHS)
    classes = 50 if task == "mlm" else 3
    seen = []
    module.network.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)

    mode = FakeTensorMode()
    with mode, Stand(), torch.no_grad():
        batch = on_fake_cuda(module, batch, mode)
        loss = module.training_step(batch, 0)
        found = module.validation_step(batch, 0) | {"predictions": module.predict_step(batch, 0)}

    assert (loss.shape, loss.device, loss.dtype) == ((), CUDA, torch.float32)
    assert module.logged["train/loss"].device == CUDA
    assert {value.device for value in found.values()} == {CUDA}
    assert found["predictions"].shape == (rows, classes)
    assert found["predictions"].dtype == torch.float32
    assert {len(value) for value in found.values()} == {rows}
    assert {kwargs["input_ids"].device for kwargs in seen} == {CUDA}
    if packs:  # tokens beyond the last sequence have NaN gradients in flash attention (pytorch issue 176793)
        assert {kwargs["input_ids"].shape for kwargs in seen} == {(1, sum(LENGTHS))}


@pytest.mark.parametrize(
    "read", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.sum()), torch.bincount]
)
def test_a_read_would_be_noticed(read):
    with FakeTensorMode(), Stand(), pytest.raises((Reads, DataDependentOutputException, DynamicOutputShapeException)):
        read(torch.zeros(3, dtype=torch.int64, device=CUDA))
