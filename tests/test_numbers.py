from pathlib import Path

import pytest
import torch

from tests.bad_input.check import check, with_data
from tests.conftest import checkpoint_of, invoke, read_losses, read_metrics

TASKS = {"tiny_cls": "cls_run", "tiny_mlm": "mlm_run"}


def state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = checkpoint_of(run)
    moments = checkpoint["optimizer_states"][0]["state"]
    return checkpoint["state_dict"] | {f"{i}/{name}": value for i in moments for name, value in moments[i].items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_run_bit_for_bit_with_and_without_workers(task, request, tmp_path):
    arguments, first = request.getfixturevalue(task), request.getfixturevalue(TASKS[task])
    again = invoke("fit", *arguments, "--data.num_workers", "2", "--runs_dir", tmp_path).run
    assert same(state(first), state(again))
    assert read_losses(first) == read_losses(again)


def test_another_seed_gives_another_run_of_the_same_data(tiny_cls, cls_run, cache_dir, tmp_path):
    caches = {path.name for path in cache_dir.iterdir()}
    run = invoke("fit", *tiny_cls, "--seed_everything", "43", "--runs_dir", tmp_path).run
    assert not same(state(cls_run), state(run))
    assert {path.name for path in cache_dir.iterdir()} == caches  # the same held-out split


@pytest.fixture
def deterministic_again():
    """Lightning sets it for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic_again")
def test_an_operation_that_cannot_be_deterministic_is_named(tiny_cls, tmp_path, monkeypatch):
    from lightning_nlp.models.classification import SequenceClassifier

    original = SequenceClassifier.training_step

    def with_such_an_operation(self, batch, batch_idx):
        torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0]))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SequenceClassifier, "training_step", with_such_an_operation)
    outcome = invoke("fit", *tiny_cls, "--trainer.deterministic", "true", "--runs_dir", tmp_path)
    check(outcome, "put_ does not have a deterministic implementation", "--trainer.deterministic warn")


@pytest.mark.gpu
@pytest.mark.usefixtures("deterministic_again")
@pytest.mark.parametrize("packing", ["true", "false"])
@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_on_a_gpu(task, packing, request, tmp_path):
    arguments = [*request.getfixturevalue(task), "--trainer.accelerator", "gpu", "--trainer.precision", "bf16-mixed"]
    arguments += ["--trainer.deterministic", "true", "--data.packing", packing, "--runs_dir", str(tmp_path)]
    outcomes = [invoke("fit", *arguments) for _ in range(2)]
    if outcomes[0].code == 2:
        assert "does not have a deterministic implementation" in outcomes[0].err
        return
    assert same(*[state(outcome.run) for outcome in outcomes])


def measured(arguments: list[str | Path], tmp_path: Path, *more: str) -> dict[str, float]:
    """All that a training of one epoch logged, by name; the last of each."""
    run = invoke(*arguments, *more, "--trainer.max_epochs", "1", "--runs_dir", tmp_path).run
    values = {name: float(value) for row in read_metrics(run) for name, value in row.items() if value}
    assert all(abs(value) < float("inf") for value in values.values()), values
    return values


def test_texts_of_one_token_with_one_in_validation_and_one_in_test(tiny_cls, tmp_path):
    texts = {"train": "abcdefghijklmnopqrstuvwx", "validation": "y", "test": "z"}
    (tmp_path / "data").mkdir()
    for split, letters in texts.items():
        rows = [f"{letter},{i % 2}" for i, letter in enumerate(letters)]
        (tmp_path / "data" / f"{split}.csv").write_text("\n".join(["text,label", *rows, ""]))
    more = ["--trainer.accumulate_grad_batches", "4", "--data.batch_size", "1"]
    values = measured(with_data(tiny_cls, tmp_path / "data", tmp_path), tmp_path, *more)
    for split in ("val", "test"):
        assert {values[f"{split}/{name}"] for name in ("accuracy", "precision", "recall", "f1")} in ({0.0}, {1.0})


@pytest.mark.parametrize(("probability", "split"), [("1e-12", "train"), ("0.01", "validation")])
def test_a_split_in_which_nothing_is_masked_is_an_error_before_training(probability, split, tiny_mlm, tmp_path):
    outcome = invoke("fit", *tiny_mlm, "--data.mlm_probability", probability, "--runs_dir", tmp_path)
    check(outcome, f"sentences of {split} is masked", "--data.mlm_probability")
    assert not list(tmp_path.glob("*/*"))


def test_sentences_of_one_word(tiny_mlm, tmp_path):
    data = tmp_path / "words.txt"
    words = "saluton adiaŭ jes ne bone bele kara nova juna ruĝa blua verda".split()
    data.write_text("".join(f"{i}\t{word}\n" for i in range(10) for word in words), encoding="utf-8")
    more = ["--data.deduplicate", "false", "--data.val_fraction", "0.3", "--data.test_fraction", "0.3"]
    measured(with_data(tiny_mlm, data, tmp_path), tmp_path, *more)
