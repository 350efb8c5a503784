import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lightning_nlp.callbacks.nonfinite import NonFiniteSteps
from lightning_nlp.callbacks.throughput import Throughput
from tests.bad_input.check import check
from tests.conftest import invoke


@contextlib.contextmanager
def planted(hook: str, steps: set[int], plant) -> Iterator[dict[int, dict]]:
    """Call `plant(model)` in a hook of these optimizer steps, counted from 1; yields the state after each step."""
    seen: dict[int, dict] = {}
    original = getattr(Throughput, hook)
    original_end = Throughput.on_train_batch_end

    def plants(self, trainer, pl_module, *args):
        if trainer.global_step + 1 in steps:
            plant(pl_module)
        original(self, trainer, pl_module, *args)

    def remembers(self, trainer, pl_module, *args):
        optimizer = trainer.optimizers[0].state_dict()["state"]
        weights = pl_module.network.state_dict()
        seen[trainer.global_step] = {
            "weights": {name: value.clone() for name, value in weights.items()},
            "optimizer": {
                f"{i}/{name}": value.clone() for i, state in optimizer.items() for name, value in state.items()
            },
        }
        original_end(self, trainer, pl_module, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Throughput, hook, plants)
        patch.setattr(Throughput, "on_train_batch_end", remembers)
        yield seen


def poison_gradient(model) -> None:
    next(p for name, p in model.named_parameters() if "ffn.lin1.weight" in name).grad[0, 0] = torch.inf


def poison_weight(model) -> None:
    next(p for name, p in model.named_parameters() if "ffn.lin1.weight" in name).data[0, 0] = torch.nan


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def report_of(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["report"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize(("task", "accumulate", "step"), [("cls", 4, 3), ("mlm", 1, 12)])  # in the second epoch
def test_an_infinite_gradient_stops_at_its_step_and_names_it(task, accumulate, step, request, tmp_path):
    arguments = [*request.getfixturevalue(f"tiny_{task}"), "--trainer.accumulate_grad_batches", str(accumulate)]
    with planted("on_after_backward", {step}, poison_gradient) as seen:
        outcome = invoke("fit", *arguments, "--runs_dir", tmp_path)
    (run,) = tmp_path.glob("quickstart*/0")
    saved = run / "nonfinite" / f"step_{step}.safetensors"
    words = f"Step {step} ", "ffn.lin1.weight (decay)", str(saved), "--ckpt_path last", "--skip_nonfinite 1"
    error = check(outcome, *words)
    report, tensors = report_of(saved)
    assert (report["step"], report["epoch"]) == (step, 1)
    assert list(report["parameters"]) == ["decay"]
    assert any("ffn.lin1.weight" in name for name in report["parameters"]["decay"])
    assert len(report["examples"]) == len(report["losses"]) == accumulate
    assert str(report["examples"][0][0]) in error
    assert {name.split("/")[0] for name in tensors} == {str(i) for i in range(accumulate)}
    assert all(torch.isfinite(value).all() for value in seen[step - 1]["weights"].values())
    assert max(seen) == step - 1, "the training stopped before the step was taken"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert not list((run / "nonfinite").glob("*.unfinished"))


@pytest.mark.parametrize("deferred", [False, True])
def test_a_step_left_out_changes_neither_weights_nor_optimizer(deferred, tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setattr(NonFiniteSteps.__init__, "__kwdefaults__", {"deferred": deferred})
    arguments = [*tiny_cls, "--trainer.log_every_n_steps", "5", "--skip_nonfinite", "2"]
    with planted("on_after_backward", {4, 9}, poison_gradient) as seen:
        outcome = invoke("fit", *arguments, "--runs_dir", tmp_path)
    run = outcome.run
    for step in (4, 9):
        assert same(seen[step]["weights"], seen[step - 1]["weights"])
        assert same(seen[step]["optimizer"], seen[step - 1]["optimizer"])
        assert not same(seen[step + 1]["weights"], seen[step]["weights"])
        assert (run / "nonfinite" / f"step_{step}.safetensors").is_file()
    assert "Step 4 is not finite and was left out (1 of 2)" in outcome.err
    assert all(torch.isfinite(value).all() for value in seen[14]["weights"].values())


def test_no_more_are_left_out_than_allowed_over_all_resumes(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--skip_nonfinite", "1", "--runs_dir", tmp_path]
    with planted("on_after_backward", {4, 9}, poison_gradient):
        assert invoke(*arguments, "--trainer.max_epochs", "1").code == 0
        outcome = invoke(*arguments, "--ckpt_path", "last")
    check(outcome, "Step 9 is not finite, after 1 that --skip_nonfinite left out", "--skip_nonfinite 2")


@pytest.mark.parametrize(
    "precision", ["", *(pytest.param(name, marks=pytest.mark.gpu) for name in ("bf16-mixed", "32-true"))]
)
def test_on_a_gpu_the_flags_wait_for_the_log_step(precision, tiny_cls, tmp_path, monkeypatch):
    """And with the flags of a CPU: until they are read, the bad step has changed nothing."""
    monkeypatch.setattr(NonFiniteSteps.__init__, "__kwdefaults__", {"deferred": None if precision else True})
    gpu = ["--trainer.accelerator", "gpu", "--trainer.precision", precision] if precision else []
    with planted("on_after_backward", {3}, poison_gradient) as seen:
        outcome = invoke("fit", *tiny_cls, *gpu, "--trainer.log_every_n_steps", "5", "--runs_dir", tmp_path)
    check(outcome, "Step 3 is not finite")
    assert max(seen) == 4, "noticed at step 5"
    assert same(seen[3]["weights"], seen[2]["weights"])
    report, tensors = report_of(tmp_path / "quickstart" / "0" / "nonfinite" / "step_3.safetensors")
    assert tensors["0/labels"].shape == (len(report["examples"][0]),)


def test_a_broken_weight_in_the_first_step_keeps_the_runs_directory(tiny_mlm, tmp_path):
    with planted("on_train_batch_start", {1}, poison_weight) as seen:
        outcome = invoke("fit", *tiny_mlm, "--runs_dir", tmp_path)
    assert "--ckpt_path" not in check(outcome, "Step 1 is not finite: loss nan"), "there is no checkpoint to go on from"
    assert not seen
    report, tensors = report_of(tmp_path / "quickstart_mlm" / "0" / "nonfinite" / "step_1.safetensors")
    assert {"decay", "no_decay"} == set(report["parameters"])
    assert report["losses"] == ["nan"]
    assert (tensors["0/labels"] != -100).sum() == len(tensors["0/masked"])


def test_between_log_steps_nothing_is_read_reduced_or_copied(tiny_cls, tmp_path, monkeypatch):
    """On a GPU each would be a wait: a float that is logged is copied to it, a reduction is a barrier under DDP."""
    from lightning import LightningModule
    from lightning.pytorch.strategies import SingleDeviceStrategy

    found: list[tuple[int, str]] = []
    log = LightningModule.log

    def logs(self, name, value, *args, **kwargs):
        if self.trainer.training and isinstance(value, float):
            found.append((self.trainer.global_step, name))
        log(self, name, value, *args, **kwargs)

    def reduces(self, tensor, *args, **kwargs):
        found.append((self.lightning_module.trainer.global_step, "reduce"))
        return tensor

    monkeypatch.setattr(LightningModule, "log", logs)
    monkeypatch.setattr(SingleDeviceStrategy, "reduce", reduces)
    monkeypatch.setattr(NonFiniteSteps.__init__, "__kwdefaults__", {"deferred": True})
    options = ["--trainer.log_every_n_steps", "3", "--trainer.max_epochs", "1", "--trainer.max_steps", "5"]
    assert invoke("fit", *tiny_cls, *options, "--runs_dir", tmp_path).code == 0
    assert {name for _, name in found} > {"train/lr", "perf/data_wait"}
    steps = {step for step, _ in found}
    assert steps >= {2, 3}, "while the third step is done, and when it is"
    assert not steps & {1, 4}, "and not in the second and the fifth; Lightning itself reduces before and after"
