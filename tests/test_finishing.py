import re

import pytest
import torch
from safetensors.torch import load_file

import lightning_nlp
from lightning_nlp import SequenceClassifier
from lightning_nlp.callbacks.throughput import Throughput
from tests.bad_input.check import check
from tests.cli.test_fit import RUN_FILES
from tests.conftest import checkpoint_of, files_below, invoke, read_metrics


def test_the_best_checkpoint_and_not_the_last_is_tested_and_exported(tiny_cls, tmp_path, monkeypatch):
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
    weights, exported = checkpoint_of(run, "best")["state_dict"], load_file(run / "export" / "model.safetensors")
    assert exported
    assert all(torch.equal(weights[f"network.{name}"], tensor) for name, tensor in exported.items())


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


def page_of(run):
    """What the report says, without its charts."""
    text = re.sub(
        r"(?s)<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", (run / "report.html").read_text(encoding="utf-8")
    )
    return " ".join(text.split())


@pytest.mark.parametrize("more", ["--trainer.max_steps 5", "--checkpoint.monitor null --trainer.max_steps 10"])
def test_nothing_is_said_of_a_choice_that_no_validation_made(more, tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, *more.split(), "--runs_dir", tmp_path)
    card = (outcome.run / "export" / "README.md").read_text(encoding="utf-8")
    step = checkpoint_of(outcome.run, "best")["global_step"]
    assert f"those of step {step}, the last; no validation chose them." in card
    assert f"of step {step} chosen by no validation" in page_of(outcome.run)
    for text in (card, page_of(outcome.run)):
        assert not re.search("on validation[^ ]|scaling|val/|threshold", text.partition("class_path")[0])
    assert "│ best" not in outcome.out, "a row of the summary"
    epochs = {5: "0.71", 10: "1.43"}[step]  # of 7 steps each
    assert f"{epochs} epochs, {step} steps in" in card
    assert re.search(rf"training +│ +{epochs} epochs?, {step} steps ", outcome.out)
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
