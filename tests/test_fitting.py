import re

import pytest
import torch
from lightning import seed_everything

import lightning_nlp
from lightning_nlp import SequenceClassifier, TextClassificationDataModule, default_callbacks
from lightning_nlp.callbacks.throughput import Throughput
from tests.bad_input.check import check, fails
from tests.cli.test_commands import RUN_FILES
from tests.conftest import checkpoint_of, files_below, invoke, read_metrics
from tests.fitting import trainer


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_the_best_checkpoint_is_the_one_tested_and_exported(task, request):
    run = request.getfixturevalue(f"{task}_run")
    (row,) = [row for row in read_metrics(run) if row["test/loss"]]
    expected = {key: float(value) for key, value in row.items() if key.startswith("test/")}
    outcome = invoke("test", "--run", run)
    assert outcome.code == 0, outcome.err
    for key, value in expected.items():
        assert f"{value:.4f}" in outcome.out.split(key)[1].splitlines()[0]
    assert len(expected) >= 4
    from safetensors.torch import load_file

    weights = checkpoint_of(run, "best")["state_dict"]
    exported = load_file(run / "export" / "model.safetensors")
    assert exported
    assert all(torch.equal(weights[f"network.{name}"], tensor) for name, tensor in exported.items())


def test_fit_tests_the_best_and_not_the_last_epoch(tiny_cls, tmp_path, monkeypatch):
    def ruin(self, trainer, module):
        if trainer.current_epoch == 1:
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.normal_(std=10, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(Throughput, "on_train_epoch_start", ruin)
    choice = ["--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    run = invoke("fit", *tiny_cls, *choice, "--runs_dir", tmp_path).run
    best, last = (checkpoint_of(run, name)["global_step"] for name in ("best", "last"))
    assert (best, last) == (7, 14)
    (row,) = [row for row in read_metrics(run) if row["test/loss"]]
    table = {which: invoke("test", "--run", run, "--ckpt_path", which).out for which in ("best", "last")}
    assert f"{float(row['test/loss']):.4f}" in table["best"]
    assert f"{float(row['test/loss']):.4f}" not in table["last"]


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_what_is_measured_in_part_says_so_everywhere(task, request, tmp_path):
    limits = ["--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "0.5", "--data.eval_batch_size", "1"]
    limits += ["--data.tokens_per_batch", "null"]
    outcome = invoke("fit", *request.getfixturevalue(f"tiny_{task}"), *limits, "--runs_dir", tmp_path)
    run = outcome.run
    part = re.search(r"test read *│ *(\d+ of \d+ texts)", outcome.out)[1]
    number, whole = map(int, re.findall(r"\d+", part))
    assert 0 < number < whole
    assert re.search(r"validation read *│ *1 of \d+ texts", outcome.out)
    assert f"test: measured on {part}, drawn at random" in outcome.err
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert part in card
    assert "eval_results" not in card
    assert "model-index" not in card, "the Hub would show it as the test split's"
    assert part in (run / "report.html").read_text(encoding="utf-8")
    (row,) = [row for row in read_metrics(run) if row["test/loss"]]
    again = invoke("test", "--run", run)
    assert f"on {part}" in again.out
    assert f"{float(row['test/loss']):.4f}" in again.out, "the same texts each time"
    assert "texts" not in invoke("test", "--run", run, "--trainer.limit_test_batches", "null").out


def test_a_training_on_a_part_of_the_batches_says_so(tiny_cls, tmp_path):
    limit = ["--trainer.overfit_batches", "1", "--trainer.enable_progress_bar", "true"]
    outcome = invoke("fit", *tiny_cls, *limit, "--runs_dir", tmp_path)
    assert re.search(r"tokens \(1 of \d+ batches an epoch\)", outcome.err)
    assert re.search(r"train read *│ *1 of \d+ batches an epoch", outcome.out)
    assert len([row for row in read_metrics(outcome.run) if row["train/loss"]]) == 2
    assert "; read: 1 of " in (outcome.run / "export" / "README.md").read_text(encoding="utf-8")


def test_a_limit_that_leaves_nothing_to_test_on_is_found_before_the_training(tiny_cls, tmp_path):
    fails(
        ["fit", *tiny_cls, "--trainer.limit_test_batches", "0.01", "--runs_dir", str(tmp_path / "runs")],
        *("--trainer.limit_test_batches 0.01 of 1 is no batch", "give 1"),
    )
    assert not files_below(tmp_path)


def test_fast_dev_run_leaves_nothing(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--trainer.fast_dev_run", "true", "--data.eval_batch_size", "2"]
    outcome = invoke(*arguments, "--runs_dir", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    assert " of 5 texts, drawn at random (--trainer.fast_dev_run)" in outcome.err
    assert not (tmp_path / "r").exists()


@pytest.mark.filterwarnings("ignore")  # Lightning's, which the command line silences
def test_the_callbacks_of_a_run_work_with_a_trainer_of_ones_own(reviews, cache_dir, tmp_path):
    def train(epochs, **settings):
        seed_everything(0)
        data = TextClassificationDataModule(str(reviews), vocab_size=300, max_length=32, cache_dir=str(cache_dir))
        model = SequenceClassifier(n_layers=1, n_heads=2, dim=16, hidden_dim=32, schedule="constant")
        callbacks = default_callbacks(folder, ema_decay=0.5)
        own = trainer(tmp_path, callbacks=callbacks, max_epochs=epochs, enable_checkpointing=True)
        own.fit(model, data, **settings)
        return own, model

    folder = tmp_path / "whole"
    whole, model = train(2)
    assert whole.checkpoint_callback.best_model_path == str((folder / "checkpoints" / "best.ckpt").resolve())
    assert {"data.json", "evaluation", "checkpoints/last.ckpt"} <= files_below(folder)
    folder = tmp_path / "broken"
    train(1)
    _, resumed = train(2, ckpt_path=folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), resumed.parameters(), strict=True))


def test_a_failed_export_is_not_hidden(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.export.folder.export_run", lambda *args, **settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        invoke("fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", tmp_path)


class TwoLayers(SequenceClassifier):
    """A head that transformers does not know."""

    def configure_model(self):
        super().configure_model()
        if isinstance(self.network.classifier, torch.nn.Linear):
            self.network.classifier = torch.nn.Sequential(self.network.classifier, torch.nn.Linear(2, 2))


def test_another_head_is_tested_and_not_exported(tiny_cls, tmp_path):
    own = ["--model", f"{__name__}.TwoLayers", "--trainer.max_epochs", "1"]
    outcome = invoke("fit", *tiny_cls, *own, "--runs_dir", tmp_path)
    line = check(outcome, "There is no export", "classifier.0.weight")
    (run,) = (tmp_path / "quickstart").iterdir()
    assert {"checkpoints/best.ckpt", "evaluation/test.json"} <= files_below(run)
    assert not any("export" in name for name in files_below(run))
    assert lightning_nlp.open_run(run).metrics["test/accuracy"] >= 0
    cure = re.search(r"`test` (--config .*)\.$", line)[1].split()
    assert "test/accuracy" in invoke("test", *cure).out


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


def test_an_evaluation_that_does_not_fit_names_its_own_batches(tiny_cls, tmp_path, monkeypatch):
    Memory(monkeypatch, 0, stage="validation_step")
    outcome = invoke("fit", *tiny_cls, "--data.batch_size", "8", "--runs_dir", tmp_path)
    assert advised(outcome)[0] == ("--data.eval_batch_size", "8")


@pytest.mark.parametrize("command", ["test", "validate"])
def test_a_measurement_that_does_not_fit_names_its_batches(command, cls_run, monkeypatch):
    Memory(monkeypatch, 0, stage=f"{command.replace('validate', 'validation')}_step")
    assert advised(invoke(command, "--run", cls_run)) == [("--data.eval_batch_size", "8")]


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


def page_of(run):
    """What the report says, without its charts."""
    text = re.sub(
        r"(?s)<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", (run / "report.html").read_text(encoding="utf-8")
    )
    return " ".join(text.split())


NO_CHOICE = [
    "--trainer.limit_val_batches 0",
    "--trainer.max_steps 5",
    "--checkpoint.monitor null --trainer.max_steps 10",
]


@pytest.mark.parametrize("more", NO_CHOICE)
def test_nothing_is_said_of_a_choice_that_no_validation_made(more, tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, *more.split(), "--runs_dir", tmp_path)
    card = (outcome.run / "export" / "README.md").read_text(encoding="utf-8")
    step = checkpoint_of(outcome.run, "best")["global_step"]
    assert f"those of step {step}, the last; no validation chose them." in card
    assert f"of step {step} chosen by no validation" in page_of(outcome.run)
    for text in (card, page_of(outcome.run)):
        assert not re.search("on validation[^ ]|scaling|val/|threshold", text.partition("class_path")[0])
    assert "│ best" not in outcome.out, "a row of the summary"
    epochs = {5: "0.71", 10: "1.43", 14: "2"}[step]  # of 7 steps each
    assert f"{epochs} epochs, {step} steps in" in card
    assert re.search(rf"epochs, steps +│ +{epochs}, {step} ", outcome.out)
    assert [row["step"] for row in read_metrics(outcome.run) if row["test/loss"]] == [str(step)]
    assert files_below(outcome.run) >= RUN_FILES


def test_a_resume_says_what_it_did_itself_and_what_was_the_best_before(tiny_cls, tmp_path):
    choice = [*tiny_cls, "--runs_dir", tmp_path, "--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    invoke("fit", *choice, "--trainer.max_epochs", "1", "--ema_decay", "0.5")
    outcome = invoke("fit", *choice, "--ckpt_path", "last", "--model.lr", "9", "--ema_decay", "0.5")
    card = (outcome.run / "export" / "README.md").read_text(encoding="utf-8")
    best = "those of step 7, the best of the validations by val/loss, as a moving average (`ema_decay 0.5`)."
    assert best in card
    assert "2 epochs, 14 steps, the last 7 of them in" in card
    assert re.search(r"checkpoint of step 7 +│", outcome.out)
    assert re.search(r"time +│ +\d+ s since step 7 ", outcome.out)
    page = page_of(outcome.run)
    assert re.search(r"time \d+ s since step 7 .* checkpoint of step 7 chosen by", page)
    assert "Best checkpoint: step 7." in page
