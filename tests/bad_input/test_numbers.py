"""Numbers, folders and names that no setting can be: each message names the option and what was given."""

import pytest

from tests.bad_input.check import fails

LONG = "x" * 300
NUMBERS = [  # option, value, other words of the message
    ("model.lr", "nan", "float"),
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
    ("trainer.devices", "x", "should be an int"),
    ("trainer.gradient_clip_val", "-1", "at least 0"),
    ("trainer.check_val_every_n_epoch", "0", "at least 1"),
    ("trainer.val_check_interval", "0", "a fraction of an epoch"),
    ("trainer.val_check_interval", "nan", "DD:HH:MM:SS"),
    ("trainer.profiler", "magic", "simple"),
    ("early_stopping.patience", "-1", "at least 0"),
    ("name", "..", "--runs_dir"),
    ("name", "a/b", "without /"),
    ("name", "", "cannot name a folder"),
    ("name", "\x1b[31mred", "cannot name a folder"),
    ("name", "half a pair \ud800", "cannot name a folder"),
    ("name", LONG, "200 bytes"),
    ("runs_dir", "a\0b", "names no folder"),
    ("runs_dir", LONG, "too long"),
    ("data.cache_dir", "", "names no folder"),
    ("data.text_column", "label", "both"),
    ("data.tokenizer", "a\0b", "neither a folder"),
    ("model.pretrained", LONG, "neither a folder"),
    ("ckpt_path", LONG, "no such file"),
    ("config", LONG, "no such file"),
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
