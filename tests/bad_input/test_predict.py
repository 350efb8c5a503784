"""Predictions that cannot be made or written, and runs and pretrained folders that are damaged."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.errors import UserError
from lightning_nlp.models.load_pretrained import from_pretrained
from tests.bad_input.check import fails
from tests.conftest import files_below

PREDICT = [  # option, value, words of the message
    ("output", "../in.txt", "exists already", "--overwrite"),
    ("output", "..", "not a file", "stdout"),
    ("output", "", "names no file", "stdout"),
    ("output", "nowhere/x.jsonl", "nowhere/x.jsonl", "No such file", "give another file"),
    ("output", "/dev/null", "not a file", "stdout"),
    ("input", "nowhere.txt", "nowhere.txt", "no such file"),
    ("input", "a\0b", "no such file"),
    ("input", "..", "is a folder", "one text per line"),
    ("input", "../in.xlsx", "a format that is not supported", ".csv"),
    ("text_column", "../twice", "no column '../twice'", "--text_column"),
    ("top_k", "0", "at least 1"),
    ("tokens_per_batch", "-1", "at least 1"),
    ("precision", "8", "bf16-mixed"),
]


@pytest.mark.parametrize(
    ("option", "value", "words"), [(o, v, w) for o, v, *w in PREDICT], ids=[f"{o} {v!r:.20}" for o, v, *_ in PREDICT]
)
def test_predict(option, value, words, cls_run, tmp_path):
    (tmp_path / "in.txt").write_text("a good film\n", encoding="utf-8")
    (tmp_path / "in.xlsx").write_text("a good film\n", encoding="utf-8")
    (tmp_path / "twice.csv").write_text("text,text\na,b\n", encoding="utf-8")
    given = {"run": str(cls_run), "input": "../twice.csv" if option == "text_column" else "../in.txt"}
    given |= {"output": "out.jsonl", option: value}
    before = files_below(tmp_path)
    fails(["predict", *(f"--{name}={text}" for name, text in given.items())], f"--{option}", *words)
    assert files_below(tmp_path) == before
    assert (tmp_path / "in.txt").read_text(encoding="utf-8") == "a good film\n"


@pytest.mark.parametrize("output", ["../in.txt", "../link.txt"])
def test_predictions_never_replace_their_own_input(output, cls_run, tmp_path):
    (tmp_path / "in.txt").write_text("a good film\n", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "in.txt")
    arguments = ["predict", "--run", cls_run, "--input", "../in.txt", "--output", output, "--overwrite", "true"]
    fails(arguments, output, "is the --input", "give another file")
    assert (tmp_path / "in.txt").read_text(encoding="utf-8") == "a good film\n"


def cut(name: str):
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
    )


def holds(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def without(name: str):
    return lambda folder: (folder / name).unlink()


def edited(name: str, **values: object):
    def edit(folder: Path) -> None:
        old = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**old, **values}), encoding="utf-8")

    return edit


MODEL, TOKENIZER = "--model.pretrained", "--data.tokenizer"
FOLDERS = {  # what is done to a good export, the option that names it, words of the message
    "weights cut": (cut("model.safetensors"), MODEL, "model.safetensors"),
    "weights empty": (holds("model.safetensors", b""), MODEL, "model.safetensors"),
    "weights gone": (without("model.safetensors"), MODEL, "model.safetensors"),
    "config cut": (cut("config.json"), MODEL, "config.json"),
    "config not UTF-8": (holds("config.json", b"\xe9{"), MODEL, "config.json"),
    "config gone": (without("config.json"), MODEL, "config.json"),
    "model unknown": (edited("config.json", model_type="abacus"), MODEL, "abacus"),
    "another width": (edited("config.json", dim=18), MODEL, "pretrained"),
    "config a list": (holds("config.json", b"[]"), MODEL, "config.json"),
    "no heads": (edited("config.json", n_heads=0), MODEL, "pretrained"),
    "few words": (edited("config.json", vocab_size=10), MODEL, "pretrained"),
    "tokenizer cut": (cut("tokenizer.json"), TOKENIZER, "tokenizer"),
    "tokenizer gone": (without("tokenizer.json"), TOKENIZER, "tokenizer"),
    "its settings cut": (cut("tokenizer_config.json"), TOKENIZER, "tokenizer"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_damaged_folders(case, cls_run, tmp_path):
    damage, option, *words = FOLDERS[case]
    folder = tmp_path / "folder"
    shutil.copytree(cls_run / "export", folder)
    damage(folder)
    data = MaskedLanguageModelingDataModule(None, tokenizer=str(folder))
    with pytest.raises(UserError) as caught:
        from_pretrained(AutoModelForSequenceClassification, str(folder)) if option == MODEL else data.given_tokenizer()
    for word in (option, str(folder), *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("command", "option", "value", "words"),
    [
        ("test", "trainer.devices", "x", ["should be an int"]),
        ("test", "trainer.accelerator", "tpu", ["--trainer"]),
        ("test", "trainer.limit_test_batches", "0", ["nothing to test on"]),
        ("validate", "trainer.limit_val_batches", "0", ["nothing to validate on"]),
        ("validate", "seed_everything", "-1", ["from 0 to"]),
    ],
)
def test_measuring_a_run(command, option, value, words, cls_run):
    fails([command, "--run", cls_run, f"--{option}={value}"], option.rsplit(".", 1)[-1], value, *words)
