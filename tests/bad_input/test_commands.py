"""Commands that ask for nothing, or for what is not there."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.bad_input.check import fails
from tests.conftest import write_reviews

COMMANDS = [
    ([], ["fit", "validate", "test", "predict"]),
    (["train"], ["'train'", "fit"]),
    (["fit"], ["--config"]),
    (["test"], ["--run"]),
    (["validate", "--config", "quickstart.yaml"], ["--run"]),
    (["fit", "--config", "clz.yaml"], ["clz.yaml", "cls.yaml"]),
    (["test", "--run", "runs/cls/0"], ["runs/cls/0", "no such directory"]),
    (["validate", "--run", "."], ["not a run"]),
    (["predict"], ["--run"]),
    (["predict", "--runs", "x"], ["'runs'", "'run'"]),
]


@pytest.mark.parametrize(("arguments", "words"), COMMANDS, ids=[" ".join(a) or "nothing" for a, _ in COMMANDS])
def test_senseless_commands(arguments, words, work):
    fails(arguments, *words)


def test_a_yaml_file_that_is_none(work, tmp_path):
    (tmp_path / "broken.yaml").write_text("model: [1, 2\n", encoding="utf-8")
    fails(["fit", "--config", tmp_path / "broken.yaml"], "broken.yaml")


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("warmup_ratio", "warmup_ration", ["'model.warmup_ration'", "'warmup_ratio'"]),
        ("max_epochs", "max_epoks", ["'trainer.max_epoks'", "'max_epochs'"]),
        ("TextClassificationDataModule", "TextDataModul", ["--data", "no attribute 'TextDataModul'", "--help"]),
    ],
)
def test_an_unknown_name_in_a_yaml_file(name, typed, words, work, tmp_path):
    text = (Path(__file__).parent.parent.parent / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(text.replace(name, typed), encoding="utf-8")
    fails(["fit", "--config", tmp_path / "own.yaml"], *words)


def test_a_run_without_a_checkpoint(tmp_path, work):
    (tmp_path / "config.yaml").touch()
    fails(["test", "--run", tmp_path], "no best checkpoint", "--ckpt_path")


@pytest.mark.parametrize(
    ("case", "command"),
    [("truncated", "fit"), ("foreign", "test"), ("other_task", "fit"), ("other_labels", "test"), ("narrower", "fit")],
)
def test_bad_checkpoints(case, command, tiny_cls, cls_run, mlm_run, tmp_path, work):
    path, words, more = tmp_path / "bad.ckpt", ["bad.ckpt", "--ckpt_path"], []
    shutil.copy((mlm_run if case == "other_task" else cls_run) / "checkpoints" / "best.ckpt", path)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:-9999])
    elif case == "foreign":
        torch.save({"state_dict": {}, "global_step": 3}, path)
    elif case == "other_task":
        words = ["bad.ckpt", "'mlm'", "'classification'", "--model.pretrained"]
    elif case == "narrower":
        words, more = ["size mismatch for network.", "--model settings of its training"], ["--model.dim", "32"]
    else:
        data = write_reviews(tmp_path / "reviews.csv")
        data.write_text(data.read_text(encoding="utf-8").replace(",pos", ",fine"), encoding="utf-8")
        words = ["trained on", "labels were 'neg', 'pos' and are 'fine'", "--model.pretrained"]
        more = ["--data.tokenizer", cls_run / "export", "--data.path", data, "--data.cache_dir", tmp_path / "cache"]
    fails([command, *tiny_cls, "--ckpt_path", path, *more], *words)
