import pytest
import torch
from lightning import Callback
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from lightning_nlp.callbacks import TRAINED
from lightning_nlp.models.classification import SequenceClassifier
from tests.bad_input.check import check
from tests.conftest import checkpoint_of, invoke, read_metrics

DECAY = ["--ema_decay", "0.9"]


class Reference(Callback):
    """PyTorch's own average of the network, over the same steps."""

    decay = 0.9
    step = 0
    averaged: AveragedModel

    def on_train_start(self, trainer, pl_module):
        def average(averaged, parameter, steps):
            return torch.lerp(averaged, parameter, 1 - min(self.decay, (1 + int(steps)) / (10 + int(steps))))

        Reference.averaged = AveragedModel(pl_module.network, avg_fn=average)
        Reference.averaged.n_averaged += 1  # PyTorch's first step is a copy, ours is the beginning

    def on_train_batch_end(self, trainer, pl_module, *more):
        if trainer.global_step > self.step:
            self.step = trainer.global_step
            Reference.averaged.update_parameters(pl_module.network)


def test_the_average_is_pytorchs(tiny_cls, tmp_path):
    more = ["--trainer.callbacks", "tests.callbacks.test_ema.Reference", "--trainer.accumulate_grad_batches", "2"]
    run = invoke("fit", *tiny_cls, *DECAY, *more, "--runs_dir", tmp_path).run
    state = checkpoint_of(run, "last")["state_dict"]
    reference = Reference.averaged.module.state_dict()
    assert reference
    for name, value in reference.items():
        torch.testing.assert_close(state[f"network.{name}"], value)


def test_the_training_itself_is_the_same(tiny_cls, cls_run, tmp_path):
    run = invoke("fit", *tiny_cls, *DECAY, "--runs_dir", tmp_path).run
    plain, averaged = checkpoint_of(cls_run, "last")["state_dict"], checkpoint_of(run, "last")
    assert all(averaged[TRAINED][name].equal(value) for name, value in plain.items())
    assert not all(averaged["state_dict"][name].equal(value) for name, value in plain.items())


@pytest.mark.parametrize("more", [["--trainer.limit_val_batches", "0"], ["--trainer.precision", "bf16-mixed"]])
def test_validated_chosen_tested_exported_and_told_are_one(more, tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, *DECAY, *more, "--runs_dir", tmp_path)
    best = checkpoint_of(outcome.run, "best")
    exported = load_file(outcome.run / "export" / "model.safetensors")
    assert all(best["state_dict"][f"network.{name}"].equal(value) for name, value in exported.items())
    assert not all(best[TRAINED][f"network.{name}"].equal(value) for name, value in exported.items())
    loaded = SequenceClassifier.load_from_checkpoint(outcome.run / "checkpoints" / "best.ckpt").state_dict()
    assert all(loaded[f"network.{name}"].equal(value) for name, value in exported.items())
    rows = read_metrics(outcome.run)
    for command, column in (("test", "test/loss"), ("validate", "val/loss")):
        logged = {int(row["step"]): row[column] for row in rows if row.get(column)}
        if command == "validate" and "limit_val_batches" in str(more):
            assert logged == {}
            continue
        (told,) = [value for step, value in logged.items() if command == "test" or step == best["global_step"] - 1]
        precision = more if "--trainer.precision" in more else []
        assert f"{float(told):.4f}" in invoke(command, "--run", outcome.run, *precision).out


def test_a_resume_goes_on_with_the_average_or_begins_one_and_drops_none(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--runs_dir", tmp_path]
    one = ["--trainer.max_epochs", "1"]
    invoke(*arguments, *one)
    run = invoke(*arguments, *DECAY, "--ckpt_path", "last").run
    averaged = checkpoint_of(run, "last")
    assert TRAINED in averaged
    check(invoke(*arguments, "--ckpt_path", "last", "--trainer.max_epochs", "3"), "give its --ema_decay too")
    assert checkpoint_of(run, "last")["global_step"] == averaged["global_step"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--ema_decay", "1.5"], "--ema_decay must be greater than 0 and less than 1, not 1.5"),
        ([*DECAY, "--trainer.precision", "bf16-true"], "--trainer.precision bf16-true keeps them in 16: give"),
    ],
)
def test_what_cannot_be_averaged(more, words, tiny_cls, tmp_path):
    check(invoke("fit", *tiny_cls, *more, "--runs_dir", tmp_path), words)
    assert not list(tmp_path.glob("*/*"))
