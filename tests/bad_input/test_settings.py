"""Values that no setting can be, and settings that make no sense together: each message names option and value."""

import pytest

from tests.bad_input.check import fails

LONG = "x" * 300
NUMBERS = [  # option, value, other words of the message
    ("model.lr", "1e400", "not inf"),
    ("model.dim", "1000000000000", "this machine has", "GiB"),
    ("data.batch_size", "null", "null"),
    ("data.max_length", "99999999999999999999", "at most"),
    ("seed_everything", "false", "from 0 to 4294967295"),
    ("save_minutes", "0", "above 0"),
    ("skip_nonfinite", "-1", "at least 0"),
    ("trainer.max_steps", "-5", "-1 (infinite steps)"),
    ("trainer.accelerator", "tpu", "torch_xla"),
    ("trainer.devices", "100000", "cores"),
    ("trainer.gradient_clip_val", "-1", "at least 0"),
    ("trainer.check_val_every_n_epoch", "0", "at least 1"),
    ("trainer.val_check_interval", "0", "a fraction of an epoch"),
    ("trainer.val_check_interval", "nan", "DD:HH:MM:SS"),
    ("trainer.profiler", "magic", "simple"),
    ("name", "..", "--runs_dir"),
    ("name", "a/b", "without /"),
    ("name", "", "cannot name a folder"),
    ("name", "\x1b[31mred", "cannot name a folder"),
    ("name", "half a pair \ud800", "cannot name a folder"),
    ("name", LONG, "200 bytes"),
    ("runs_dir", "a\0b", "names no folder"),
    ("runs_dir", LONG, "too long"),
    ("data.cache_dir", "", "names no folder"),
    ("model.pretrained", LONG, "neither a folder"),
    ("ckpt_path", LONG, "no such file"),
]
CLS, MLM = "cls", "mlm"
SETTINGS = [  # task, arguments, words of the message
    (CLS, ["--model.lr", "0"], ["--model.lr", "greater than 0"]),
    (CLS, ["--model.class_weights", "even"], ["--model.class_weights cannot be 'even'", "balanced"]),
    (CLS, ["--model.freeze", "foo"], ["--model.freeze cannot be 'foo'. Expected: int, embeddings, encoder."]),
    (CLS, ["--data.missing_labels", "1"], ["--data.missing_labels cannot be '1'. Expected: a list, e.g. '[A, B]'."]),
    (CLS, ["--data.path", "missing.csv"], ["--data.path"]),
    (CLS, ["--trainer.max_epochs", "-1"], ["--trainer.max_epochs", "'linear'"]),
    (CLS, ["--trainer.max_epochs", "0"], ["--trainer.max_epochs 0 trains nothing"]),
    (CLS, ["--trainer.max_time", "5"], ["duration='5'", "DD:HH:MM:SS"]),
    (CLS, ["--trainer.max_steps", "0"], ["--trainer.max_steps 0 trains nothing"]),
    (CLS, ["--trainer.limit_train_batches", "0"], ["--trainer.limit_train_batches 0 leaves nothing"]),
    (CLS, ["--trainer.accumulate_grad_batches", "0"], ["accumulate_grad_batches must be at least 1, not 0"]),
    (CLS, ["--early_stopping.monitor", "val/acc"], ["'val/acc'", "--early_stopping.monitor one of val/loss, val/acc"]),
    (CLS, ["--checkpoint.mode", "min"], ["worst val/accuracy", "--checkpoint.mode max"]),
    (CLS, ["--checkpoint.monitor", "val/loss"], ["worst val/loss", "--checkpoint.mode min"]),
    (CLS, ["--trainer.devices", "0"], ["--trainer"]),
    (CLS, ["--trainer.precision", "33"], ["--trainer.precision cannot be '33'"]),
    (CLS, ["--checkpoint.mode", "up"], ["up"]),
    (CLS, ["--early_stopping.patience", "-1"], ["patience", "at least 0"]),
    (CLS, ["--trainer.strategy", "magic"], ["magic"]),
    (CLS, ["--trainer.strategy", "fsdp"], ["--trainer.strategy fsdp", "ddp"]),
    (CLS, ["--trainer.strategy", "lightning.pytorch.strategies.ModelParallelStrategy"], ["not supported", "ddp"]),
    (CLS, ["--trainer.num_nodes", "2"], ["--trainer.num_nodes is 2", "torchrun"]),
    (CLS, ["--trainer.gradient_clip_algorithm", "magic"], ["magic", "norm"]),
    (CLS, ["--trainer.val_check_interval", "1000"], ["val_check_interval", "1000", "(7)"]),
    (CLS, ["--trainer.limit_test_batches", "0.01"], ["--trainer.limit_test_batches 0.01 of 1 is no batch", "give 1"]),
    (CLS, ["--trainer.limit_train_batches", "1.5"], ["limit_train_batches", "1.5"]),
    (CLS, ["--model.n_layer", "2"], ["'model.n_layer'", "Did you mean 'n_layers'"]),
    (CLS, ["--runsdir", "2"], ["runsdir", "Did you mean 'runs_dir'"]),
    (CLS, ["--model", "SequenceClasifier"], ["SequenceClasifier"]),
    (CLS, ["--ckpt_path", "last"], ["No run under", "last"]),
    (MLM, ["--model", "SequenceClassifier", "--probes", "null"], ["not for SequenceClassifier", "--data or --model"]),
    (MLM, ["--data.max_length", "64"], ["max_length is 64", "32 positions", "--data.max_length"]),
    (MLM, ["--model.label_smoothing", "0.1"], ["label_smoothing", "another class"]),
]


def shown(value: str) -> str:
    """A value as messages show it: escaped, on one line, and cut where it is long."""
    return repr(value)[1:-1][:60]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [(option, value, words) for option, value, *words in NUMBERS],
    ids=[f"{option} {shown(value)[:30]}" for option, value, *_ in NUMBERS],
)
def test_values_that_no_setting_can_be(option, value, words, tiny_cls):
    line = fails(["fit", *tiny_cls, f"--{option}={value}"], *words)
    assert option.rsplit(".", 1)[-1] in line
    given = "inf" if value == "1e400" else value
    assert shown(given) in line or given in line, "the value found"


@pytest.mark.parametrize(
    ("task", "arguments", "words"), SETTINGS, ids=["_".join(arguments).strip("-") for _, arguments, _ in SETTINGS]
)
def test_senseless_settings(task, arguments, words, request):
    fails(["fit", *request.getfixturevalue(f"tiny_{task}"), *arguments], *words)
