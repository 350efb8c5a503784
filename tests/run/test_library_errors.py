import errno
import re

import pytest
import torch

from lightning_nlp.atomic_files import write_whole
from tests.bad_input.check import check
from tests.conftest import invoke


class Memory:
    """A device that has no memory left for batches of more than so many places, from some step of training on."""

    def __init__(self, monkeypatch, places, *, after=0, stage="training_step"):
        from lightning_nlp.models.classification import SequenceClassifier

        original = getattr(SequenceClassifier, stage)

        def step(module, batch, batch_idx):
            if batch["input_ids"].numel() > places and module.trainer.global_step >= after:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return original(module, batch, batch_idx)

        monkeypatch.setattr(SequenceClassifier, stage, step)


def advised(outcome):
    """The arguments that an error names."""
    return re.findall(r"(--[\w.]+) (\w+)", check(outcome).partition(": give ")[2])


@pytest.mark.parametrize("tokens", [False, True])
def test_a_batch_that_does_not_fit_is_one_sentence_and_its_advice_goes_on(tokens, tiny_cls, tmp_path, monkeypatch):
    size = ["--data.tokens_per_batch", "128"] if tokens else ["--data.batch_size", "8"]
    arguments = ["fit", *tiny_cls, *size, "--runs_dir", tmp_path]
    if not tokens:
        arguments += ["--data.packing", "false"]  # packed batches of 64 places are those of 128 after rounding
    largest = {False: 70, True: 64}[tokens]
    Memory(monkeypatch, largest, after=8)
    outcome = invoke(*arguments, *(["--resume", "auto"] if tokens else []))
    (name, half), (_, accumulated), (_, last), *instead = advised(outcome)
    assert instead == [("--resume", "auto")] * tokens, "which looks for the same settings"
    assert (name, int(half)) == ("--data.tokens_per_batch", 64) if tokens else ("--data.batch_size", 4)
    assert (accumulated, last) == ("2", "last")
    outcome = invoke(*arguments, name, half, "--trainer.accumulate_grad_batches", accumulated, "--ckpt_path", last)
    assert outcome.run == tmp_path / "quickstart" / "0"


def test_a_first_batch_that_does_not_fit_leaves_nothing(tiny_cls, tmp_path, monkeypatch):
    Memory(monkeypatch, 0)
    outcome = invoke("fit", *tiny_cls, "--data.batch_size", "1", "--runs_dir", tmp_path / "r")
    assert advised(outcome) == []
    assert "a lower --data.max_length" in outcome.err
    assert list(tmp_path.glob("r/*/*")) == []


@pytest.mark.parametrize(
    ("command", "stage"), [("fit", "validation_step"), ("test", "test_step"), ("validate", "validation_step")]
)
def test_an_evaluation_that_does_not_fit_names_its_batches(command, stage, tiny_cls, cls_run, tmp_path, monkeypatch):
    Memory(monkeypatch, 0, stage=stage)
    arguments = [*tiny_cls, "--runs_dir", tmp_path] if command == "fit" else ["--run", cls_run]
    assert advised(invoke(command, *arguments))[0] == ("--data.eval_batch_size", "8")


def test_predictions_that_do_not_fit_name_their_batches(cls_run, tmp_path, monkeypatch):
    def fails(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("lightning_nlp.models.packing.forward", fails)
    (tmp_path / "in.txt").write_text("a good film\n", encoding="utf-8")
    arguments = ["predict", "--run", cls_run, "--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl"]
    assert advised(invoke(*arguments)) == [("--tokens_per_batch", "2048")]
    assert not (tmp_path / "out.jsonl").exists()


def test_a_cpus_memory_is_the_same_error(tiny_cls, tmp_path, monkeypatch):
    from lightning_nlp.models.classification import SequenceClassifier

    monkeypatch.setattr(SequenceClassifier, "training_step", lambda *_: torch.empty(2**50))
    outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path)
    assert advised(outcome)[0] == ("--data.batch_size", "4")


@pytest.mark.parametrize("unwritten", ["val-00000014.json", "test.json"])
def test_a_full_disk_is_one_sentence_and_the_training_can_go_on(unwritten, tiny_cls, tmp_path, monkeypatch):
    def full(path, content):
        if path.name == unwritten:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_whole(path, content)

    monkeypatch.setattr("lightning_nlp.evaluation.writing.write_whole", full)
    arguments = ["fit", *tiny_cls, "--runs_dir", tmp_path]
    line = check(invoke(*arguments), "cannot be written (No space left on device): free some space.")
    assert "the same command and --ckpt_path last" in line
    monkeypatch.undo()
    assert invoke(*arguments, "--ckpt_path", "last").run == tmp_path / "quickstart" / "0"
