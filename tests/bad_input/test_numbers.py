"""Numbers, folders and names that no setting can be: each message names the option and what was given."""

import pytest

from tests.bad_input.check import fails

pytestmark = pytest.mark.timeout(30, func_only=True)

CLS, MLM = "cls", "mlm"
LONG = "x" * 300
NUMBERS = [  # task, option, value, other words of the message
    (CLS, "model.lr", "nan", "float"),
    (CLS, "model.lr", "-1", "greater than 0"),
    (CLS, "model.lr", "1e400", "lr is inf"),
    (CLS, "model.lr", "null", "null"),
    (CLS, "model.dropout", "nan", "float"),
    (CLS, "model.attention_dropout", "2", "less than 1"),
    (CLS, "model.label_smoothing", "1.5", "less than 1"),
    (CLS, "model.warmup_ratio", "-0.1", "at least 0"),
    (CLS, "model.class_weights", "[0.0, 0.0]", "all 0"),
    (CLS, "model.n_layers", "99999999999999999999", "this machine has", "dim"),
    (CLS, "model.n_layers", "1.5", "int"),
    (CLS, "model.n_heads", "0", "at least 1"),
    (CLS, "model.dim", "1000000000000", "this machine has", "GiB"),
    (CLS, "model.dim", "-16", "at least 1"),
    (CLS, "data.batch_size", "nan", "int"),
    (CLS, "data.batch_size", "99999999999999999999999", "at most"),
    (CLS, "data.batch_size", "null", "null"),
    (CLS, "data.eval_batch_size", "0", "at least 1"),
    (CLS, "data.max_length", "-5", "at least 3"),
    (CLS, "data.max_length", "99999999999999999999", "at most"),
    (CLS, "data.tokens_per_batch", "5", "32 tokens", "--data.max_length"),
    (CLS, "data.num_workers", "-1", "at least 0"),
    (CLS, "data.num_workers", "100000", "at most"),
    (CLS, "data.val_fraction", "nan", "float"),
    (CLS, "data.test_fraction", "-0.1", "between 0 and 1"),
    (CLS, "data.vocab_size", "-1", "at least 1"),
    (CLS, "data.vocab_size", "99999999999999999999", "at most"),
    (CLS, "data.min_frequency", "-1", "at least 0"),
    (CLS, "data.min_frequency", "99999999999999999999", "at most"),
    (MLM, "data.limit_alphabet", "0", "at least 1"),
    (MLM, "data.mask_token_prob", "nan", "float"),
    (CLS, "data.split_seed", "-1", "at least 0"),
    (CLS, "data.seed", "18446744073709551616", "at most"),
    (CLS, "seed_everything", "-1", "from 0 to 4294967295"),
    (CLS, "seed_everything", "false", "from 0 to 4294967295"),
    (CLS, "save_minutes", "0", "restriction v>0"),
    (CLS, "skip_nonfinite", "-1", "below 0"),
    (CLS, "trainer.max_epochs", "0", "give 1 or more"),
    (CLS, "trainer.max_steps", "-5", "-1 (infinite steps)"),
    (CLS, "trainer.accelerator", "tpu", "torch_xla"),
    (CLS, "trainer.devices", "100000", "cores"),
    (CLS, "trainer.devices", "x", "should be an int"),
    (CLS, "trainer.gradient_clip_val", "-1", "at least 0"),
    (CLS, "trainer.log_every_n_steps", "-1", "at least 0"),
    (CLS, "trainer.check_val_every_n_epoch", "0", "at least 1"),
    (CLS, "trainer.val_check_interval", "0", "a share of an epoch"),
    (CLS, "trainer.val_check_interval", "nan", "DD:HH:MM:SS"),
    (CLS, "trainer.limit_test_batches", "0", "nothing to test on"),
    (CLS, "trainer.accumulate_grad_batches", "1e400", "int"),
    (CLS, "trainer.profiler", "magic", "simple"),
    (CLS, "early_stopping.patience", "-1", "at least 0"),
    (CLS, "checkpoint.save_top_k", "-2", ">= -1"),
    (CLS, "checkpoint.save_top_k", "0", "give 1"),
    (CLS, "checkpoint.filename", "../../escape", "best.ckpt"),
    (CLS, "resume", "now", "auto"),
    (CLS, "debug", "maybe", "bool"),
    (CLS, "name", "..", "--runs_dir"),
    (CLS, "name", "a/b", "no /"),
    (CLS, "name", "", "cannot name a folder"),
    (CLS, "name", "a\0b", "cannot name a folder"),
    (CLS, "name", "\x1b[31mred", "cannot name a folder"),
    (CLS, "name", "half a pair \ud800", "cannot name a folder"),
    (CLS, "name", LONG, "200 bytes"),
    (CLS, "runs_dir", "", "names no folder"),
    (CLS, "runs_dir", "a\0b", "names no folder"),
    (CLS, "runs_dir", LONG, "too long"),
    (CLS, "data.cache_dir", "", "names no folder"),
    (CLS, "data.cache_dir", "a\0b", "names no folder"),
    (CLS, "data.path", "a\0b.csv", "neither a file"),
    (CLS, "data.path", LONG, "too long"),
    (MLM, "data.path", "y/" * 3000, "too long"),
    (CLS, "data.text_column", "", "only text, label"),
    (CLS, "data.text_column", "label", "both"),
    (CLS, "data.label_column", "a\0b", "only text, label"),
    (CLS, "data.tokenizer", "a\0b", "neither a folder"),
    (CLS, "data.tokenizer", LONG, "neither a folder"),
    (CLS, "model.pretrained", LONG, "neither a folder"),
    (CLS, "ckpt_path", LONG, "no such file"),
    (CLS, "ckpt_path", ".", "no such file"),
    (CLS, "config", LONG, "no such file"),
    (CLS, "config", "", "quickstart.yaml"),
]


def shown(value: str) -> str:
    """A value as messages show it: escaped, on one line, and cut where it is long."""
    return repr(value)[1:-1][:60]


@pytest.mark.parametrize(
    ("task", "option", "value", "words"),
    [(task, option, value, words) for task, option, value, *words in NUMBERS],
    ids=[f"{option} {shown(value)[:30]}" for _, option, value, *_ in NUMBERS],
)
def test_values_that_no_setting_can_be(task, option, value, words, request):
    line = fails(["fit", *request.getfixturevalue(f"tiny_{task}"), f"--{option}={value}"], *words)
    assert option.rsplit(".", 1)[-1] in line
    given = "inf" if value == "1e400" else value
    assert shown(given) in line or given in line, "the value found"
