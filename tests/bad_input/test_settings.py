"""Settings that make no sense, alone or together."""

import pytest

from tests.bad_input.check import fails

CLS, MLM = "cls", "mlm"
SETTINGS = [  # task, arguments, words of the message
    (CLS, ["--model.lr", "0"], ["--model.lr", "greater than 0"]),
    (CLS, ["--model.lr", "fast"], ["--model.lr cannot be 'fast'", "float"]),
    (CLS, ["--model.schedule", "sine"], ["--model.schedule cannot be 'sine'", "cosine"]),
    (CLS, ["--model.class_weights", "even"], ["--model.class_weights cannot be 'even'", "balanced"]),
    (CLS, ["--model.freeze", "foo"], ["--model.freeze cannot be 'foo'. Expected: int, embeddings, encoder."]),
    (CLS, ["--data.missing_labels", "1"], ["--data.missing_labels cannot be '1'. Expected: a list, e.g. '[A, B]'."]),
    (CLS, ["--data.path", "missing.csv"], ["--data.path"]),
    (CLS, ["--data.val_fraction", "0"], ["--data.val_fraction"]),
    (CLS, ["--trainer.max_epochs", "-1"], ["--trainer.max_epochs", "'linear'"]),
    (CLS, ["--trainer.max_epochs", "0"], ["--trainer.max_epochs 0 trains nothing"]),
    (CLS, ["--trainer.max_steps", "0"], ["--trainer.max_steps 0 trains nothing"]),
    (CLS, ["--trainer.limit_train_batches", "0"], ["--trainer.limit_train_batches 0 leaves nothing"]),
    (CLS, ["--trainer.accumulate_grad_batches", "0"], ["accumulate_grad_batches must be at least 1, not 0"]),
    (CLS, ["--early_stopping.monitor", "val/acc"], ["'val/acc'", "--early_stopping.monitor one of val/loss, val/acc"]),
    (CLS, ["--checkpoint.mode", "min"], ["worst val/accuracy", "--checkpoint.mode max"]),
    (CLS, ["--checkpoint.monitor", "val/loss"], ["worst val/loss", "--checkpoint.mode min"]),
    (CLS, ["--trainer.accelerator", "abacus"], ["abacus", "cpu"]),
    (CLS, ["--trainer.precision", "33"], ["--trainer.precision cannot be '33'"]),
    (CLS, ["--trainer.strategy", "magic"], ["magic"]),
    (CLS, ["--trainer.strategy", "fsdp"], ["--trainer.strategy fsdp", "ddp"]),
    (CLS, ["--trainer.strategy", "lightning.pytorch.strategies.ModelParallelStrategy"], ["not supported", "ddp"]),
    (CLS, ["--trainer.num_nodes", "2"], ["--trainer.num_nodes is 2", "torchrun"]),
    (CLS, ["--trainer.devices", "0"], ["--trainer"]),
    (CLS, ["--trainer.gradient_clip_algorithm", "magic"], ["magic", "norm"]),
    (CLS, ["--trainer.val_check_interval", "1000"], ["val_check_interval", "1000", "(7)"]),
    (CLS, ["--trainer.val_check_interval", "1.5"], ["val_check_interval", "1.5"]),
    (CLS, ["--trainer.limit_train_batches", "1.5"], ["limit_train_batches", "1.5"]),
    (CLS, ["--checkpoint.mode", "up"], ["up"]),
    (CLS, ["--model.n_layer", "2"], ["'model.n_layer'", "Did you mean 'n_layers'"]),
    (CLS, ["--trainer.max_epoch", "2"], ["max_epoch", "Did you mean 'max_epochs'"]),
    (CLS, ["--runsdir", "2"], ["runsdir", "Did you mean 'runs_dir'"]),
    (CLS, ["--model", "SequenceClasifier"], ["SequenceClasifier"]),
    (CLS, ["--data", "TextDataModul"], ["TextDataModul"]),
    (CLS, ["--ckpt_path", "last"], ["No run under", "last"]),
    (CLS, ["--ckpt_path", "nowhere.ckpt"], ["nowhere.ckpt", "no such file"]),
    (CLS, ["--seed_everything", "x"], ["--seed_everything cannot be 'x'"]),
    (MLM, ["--model", "SequenceClassifier", "--probes", "null"], ["not for SequenceClassifier", "--data or --model"]),
    (MLM, ["--model.lr", "-1"], ["--model.lr", "greater than 0, not -1"]),
    (MLM, ["--data.path", ""], ["--data.path"]),
    (MLM, ["--data.max_length", "64"], ["max_length is 64", "32 positions", "--data.max_length"]),
    (MLM, ["--model.label_smoothing", "0.1"], ["label_smoothing", "another class"]),
]


@pytest.mark.parametrize(
    ("task", "arguments", "words"), SETTINGS, ids=["_".join(arguments).strip("-") for _, arguments, _ in SETTINGS]
)
def test_senseless_settings(task, arguments, words, request, work):
    fails(["fit", *request.getfixturevalue(f"tiny_{task}"), *arguments], *words)
