"""A user's mistakes: one message, exit code 2, nothing left behind."""

import gzip
import shutil
import socket
from pathlib import Path

import pytest
import torch

from tests.conftest import files_below, invoke, write_reviews

REVIEWS = "text,label\n" + "".join(f"a {'good' if i % 2 else 'bad'} film number {i},{i % 2}\n" for i in range(40))


def fails(arguments: list[str | Path], *words: str, left: set[str] | None = None, below: Path | None = None) -> str:
    """The command exits with 2 and one message that holds these words; nothing new lies below the folder."""
    outcome = invoke(*arguments)
    assert outcome.code == 2, outcome.err
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, outcome.err
    assert outcome.err.rstrip().splitlines()[-1] == lines[0], "the message is the last line, and is one line"
    assert "Traceback" not in outcome.err + outcome.out
    for word in words:
        assert word in lines[0]
    if below is not None:
        assert files_below(below) == (left or set())
    return lines[0]


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def with_data(tiny: list[str], path: str | Path, tmp_path: Path) -> list[str | Path]:
    return ["fit", *tiny, "--data.path", path, "--data.cache_dir", tmp_path / "cache"]


FILES = {  # what the file holds -> what the message must name
    "empty": (b"", ["data.csv", "no rows"]),
    "header_only": (b"text,label\n", ["data.csv", "no rows"]),
    "wrong_text_column": (REVIEWS.replace("text,", "review,", 1).encode(), ["review, label", "--data.text_column"]),
    "wrong_label_column": (REVIEWS.replace(",label", ",stars", 1).encode(), ["text, stars", "--data.label_column"]),
    "one_class": (b"text,label\n" + b"".join(b"good film %d,1\n" % i for i in range(40)), ["one label", "'1'"]),
    "no_label": (REVIEWS.replace("number 5,1", "number 5,").encode(), ["line 7", "--data.drop_incomplete"]),
    "not_utf8": (REVIEWS.replace("number 5,", "num\xe9ro 5,").encode("latin1"), ["UTF-8", "line 7", "iconv"]),
    "ragged": (REVIEWS.replace("number 5,1", "number 5,1,2").encode(), ["3 fields", "line 7"]),
    "unclosed_quote": (REVIEWS.replace("a bad film number 4,", '"a bad film number 4,').encode(), ["line 6"]),
    "two_rows": (b"text,label\ngood,1\nbad,0\n", ["--data.path"]),
}


@pytest.mark.parametrize("case", FILES)
def test_broken_data(case, tiny_cls, tmp_path, work):
    content, words = FILES[case]
    (tmp_path / "data.csv").write_bytes(content)
    fails(with_data(tiny_cls, tmp_path / "data.csv", tmp_path), *words, below=work)
    assert not [path for path in (tmp_path / "cache").glob("*") if path.suffix != ".lock"]


@pytest.mark.parametrize("task", ["cls", "mlm"])
@pytest.mark.parametrize("name", ["missing.csv", "missing/folder/", "/no/such/file.txt", ""])
def test_missing_data(task, name, request, tmp_path, work):
    fails(with_data(request.getfixturevalue(f"tiny_{task}"), name, tmp_path), "--data.path", below=work)


def test_a_cut_gzip_file(tiny_mlm, tmp_path, work):
    path = tmp_path / "sentences.txt.gz"
    path.write_bytes(gzip.compress(b"unu du tri\n" * 500)[:-20])
    fails(with_data(tiny_mlm, path, tmp_path), "sentences.txt.gz", "--data.path", below=work)


def test_a_folder_without_data(tiny_cls, tmp_path, work):
    (tmp_path / "folder").mkdir()
    fails(with_data(tiny_cls, tmp_path / "folder", tmp_path), "holds no data files", below=work)


def test_a_label_in_test_that_train_lacks(tiny_cls, tmp_path, work):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text(REVIEWS, encoding="utf-8")
    (folder / "test.csv").write_text("text,label\nso so,0\nodd,7\n", encoding="utf-8")
    fails(with_data(tiny_cls, folder, tmp_path), "'7'", "test", "line 3", "not in train", below=work)


CLS, MLM = "cls", "mlm"
SETTINGS = [  # task, arguments, words of the message
    (CLS, ["--model.lr", "0"], ["lr is 0", "--model.lr"]),
    (CLS, ["--model.lr", "fast"], ["--model.lr cannot be 'fast'", "float"]),
    (CLS, ["--model.dim", "15"], ["dim is 15", "--model.n_heads"]),
    (CLS, ["--model.n_layers", "0"], ["n_layers is 0"]),
    (CLS, ["--model.dropout", "1.5"], ["dropout is 1.5", "--model.dropout"]),
    (CLS, ["--model.schedule", "sine"], ["--model.schedule cannot be 'sine'", "cosine"]),
    (CLS, ["--model.warmup_ratio", "2"], ["warmup_ratio is 2"]),
    (CLS, ["--model.weight_decay", "-1"], ["weight_decay is -1"]),
    (CLS, ["--model.class_weights", "[1.0, 2.0, 3.0]"], ["3 weights for 2 classes", "--model.class_weights"]),
    (CLS, ["--model.class_weights", "even"], ["--model.class_weights cannot be 'even'", "balanced"]),
    (CLS, ["--model.pretrained", "no/such/../folder"], ["--model.pretrained"]),
    (CLS, ["--data.batch_size", "0"], ["--data.batch_size must be at least 1, not 0"]),
    (CLS, ["--data.batch_size", "many"], ["--data.batch_size cannot be 'many'", "int"]),
    (CLS, ["--data.max_length", "2"], ["--data.max_length"]),
    (CLS, ["--data.val_fraction", "0"], ["--data.val_fraction"]),
    (CLS, ["--data.val_fraction", "1.5"], ["--data.val_fraction", "1.5"]),
    (CLS, ["--data.max_train_samples", "0"], ["--data.max_train_samples"]),
    (CLS, ["--data.vocab_size", "4"], ["vocabulary of 4", "--data.vocab_size"]),
    (CLS, ["--data.tokenizer", "."], ["no tokenizer", "--data.tokenizer"]),
    (CLS, ["--data.truncation", "tail"], ["--data.truncation cannot be 'tail'", "head_tail"]),
    (CLS, ["--trainer.max_epochs", "-1"], ["--trainer.max_epochs", "'linear'"]),
    (CLS, ["--trainer.accelerator", "abacus"], ["abacus", "cpu"]),
    (CLS, ["--trainer.precision", "33"], ["--trainer.precision cannot be '33'"]),
    (CLS, ["--trainer.strategy", "magic"], ["magic"]),
    (CLS, ["--trainer.devices", "0"], ["--trainer"]),
    (CLS, ["--trainer.accumulate_grad_batches", "0"], ["--trainer.accumulate_grad_batches"]),
    (CLS, ["--trainer.gradient_clip_algorithm", "magic"], ["magic", "norm"]),
    (CLS, ["--trainer.val_check_interval", "1000"], ["val_check_interval", "1000", "(7)"]),
    (CLS, ["--trainer.val_check_interval", "1.5"], ["val_check_interval", "1.5"]),
    (CLS, ["--trainer.limit_train_batches", "1.5"], ["limit_train_batches", "1.5"]),
    (CLS, ["--trainer.limit_train_batches", "0"], ["limit_train_batches"]),
    (CLS, ["--checkpoint.mode", "up"], ["up"]),
    (CLS, ["--checkpoint.monitor", "val/acc"], ["'val/acc'", "val/accuracy"]),
    (CLS, ["--early_stopping.monitor", "val/loss"], ["--early_stopping.mode min"]),
    (CLS, ["--early_stopping.patience", "x"], ["--early_stopping.patience cannot be 'x'"]),
    (CLS, ["--model.n_layer", "2"], ["'model.n_layer'", "Did you mean 'n_layers'"]),
    (CLS, ["--data.batchsize", "2"], ["batchsize", "Did you mean 'batch_size'"]),
    (CLS, ["--trainer.max_epoch", "2"], ["max_epoch", "Did you mean 'max_epochs'"]),
    (CLS, ["--runsdir", "2"], ["runsdir", "Did you mean 'runs_dir'"]),
    (CLS, ["--model", "SequenceClasifier"], ["SequenceClasifier"]),
    (CLS, ["--data", "TextDataModul"], ["TextDataModul"]),
    (CLS, ["--ckpt_path", "last"], ["No run under", "last"]),
    (CLS, ["--ckpt_path", "nowhere.ckpt"], ["nowhere.ckpt", "no such file"]),
    (CLS, ["--seed_everything", "x"], ["--seed_everything cannot be 'x'"]),
    (MLM, ["--data.mlm_probability", "1.5"], ["--data.mlm_probability", "1.5"]),
    (MLM, ["--data.mlm_probability", "-0.1"], ["--data.mlm_probability", "-0.1"]),
    (MLM, ["--data.mask_token_prob", "0.95"], ["mask_token_prob + random_token_prob"]),
    (MLM, ["--data.max_length", "64"], ["max_length is 64", "32 positions", "--data.max_length"]),
    (MLM, ["--data.vocab_size", "5"], ["vocabulary of 5", "--data.vocab_size"]),
    (MLM, ["--model.n_heads", "3"], ["16", "3 attention heads"]),
    (MLM, ["--model.label_smoothing", "0.1"], ["label_smoothing", "another class"]),
]


@pytest.mark.parametrize(
    ("task", "arguments", "words"), SETTINGS, ids=["_".join(arguments).strip("-") for _, arguments, _ in SETTINGS]
)
def test_senseless_settings(task, arguments, words, request, work):
    fails(["fit", *request.getfixturevalue(f"tiny_{task}"), *arguments], *words, below=work)


def test_a_pretrained_model_with_too_few_positions(tiny_cls, pretrained, work):
    arguments = ["fit", *tiny_cls, "--model.pretrained", pretrained, "--data.max_length", "64"]
    fails(arguments, "max_length is 64", "32 positions", "--data.max_length 32", below=work)


def test_a_tokenizer_of_another_model(tiny_cls, pretrained, cls_run, tmp_path, work):
    arguments = ["fit", *tiny_cls, "--model.pretrained", pretrained, "--data.tokenizer"]
    fails([*arguments, cls_run / "checkpoints"], "no tokenizer", "--data.tokenizer", below=work)


COMMANDS = [
    ([], ["fit", "validate", "test", "predict"]),
    (["train"], ["'train'", "fit"]),
    (["fit"], ["--config"]),
    (["test"], ["--run"]),
    (["validate", "--config", "quickstart.yaml"], ["--run"]),
    (["fit", "--config", "clz.yaml"], ["clz.yaml", "cls.yaml"]),
    (["fit", "--config"], ["--config"]),
    (["test", "--run"], ["--run"]),
    (["test", "--run", "runs/cls/0"], ["runs/cls/0", "no such directory"]),
    (["validate", "--run", "."], ["not a run"]),
    (["predict"], ["--run"]),
    (["predict", "--run", "nowhere", "--input", "x", "--output", "y"], ["nowhere", "no such directory"]),
    (["predict", "--runs", "x"], ["'runs'", "'run'"]),
]


@pytest.mark.parametrize(("arguments", "words"), COMMANDS, ids=[" ".join(a) or "nothing" for a, _ in COMMANDS])
def test_senseless_commands(arguments, words, work):
    fails(arguments, *words, below=work)


def test_a_yaml_file_that_is_none(work, tmp_path):
    (tmp_path / "broken.yaml").write_text("model: [1, 2\n", encoding="utf-8")
    fails(["fit", "--config", tmp_path / "broken.yaml"], "broken.yaml", below=work)


def test_an_unknown_key_in_a_yaml_file(work, tmp_path, tiny_cls):
    text = (Path(__file__).parent.parent / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(text.replace("warmup_ratio", "warmup_ration"), encoding="utf-8")
    fails(["fit", "--config", tmp_path / "own.yaml"], "warmup_ration", "'warmup_ratio'", below=work)


def test_a_run_without_a_checkpoint(tmp_path, work):
    (tmp_path / "config.yaml").touch()
    fails(["test", "--run", tmp_path], "no best checkpoint", "--ckpt_path", below=work)


CHECKPOINTS = ["truncated", "empty", "text", "pickle", "foreign", "other_task", "other_labels"]


@pytest.mark.parametrize("case", CHECKPOINTS)
@pytest.mark.parametrize("command", ["fit", "test"])
def test_bad_checkpoints(case, command, tiny_cls, cls_run, mlm_run, tmp_path, work):
    path, words, more = tmp_path / "bad.ckpt", ["bad.ckpt", "--ckpt_path"], []
    good = (cls_run / "checkpoints" / "best.ckpt").read_bytes()
    if case == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif case == "empty":
        path.write_bytes(b"")
    elif case == "text":
        path.write_text("no checkpoint at all", encoding="utf-8")
    elif case == "pickle":
        torch.save({"lightning_nlp": Path("an object of a class")}, path)
    elif case == "foreign":
        torch.save({"state_dict": {}, "global_step": 3}, path)
    elif case == "other_task":
        shutil.copy(mlm_run / "checkpoints" / "best.ckpt", path)
        words = ["bad.ckpt", "'mlm'", "'classification'", "--model.pretrained"]
    else:
        path.write_bytes(good)
        data = write_reviews(tmp_path / "reviews.csv")
        data.write_text(data.read_text(encoding="utf-8").replace(",pos", ",fine"), encoding="utf-8")
        words = ["label_names", "fine"]
        more = ["--data.tokenizer", cls_run / "export", "--data.path", data]
        more += ["--data.cache_dir", tmp_path / "cache"]
    fails([command, *tiny_cls, "--ckpt_path", path, *more], *words, below=work)


@pytest.mark.parametrize("given", ["data", "model", "tokenizer"])
def test_the_hub_is_out_of_reach(given, tiny_cls, tmp_path, work):
    arguments = {
        "data": ["--data.path", "nobody/nothing"],
        "model": ["--model.pretrained", "nobody/nothing"],
        "tokenizer": ["--data.tokenizer", "nobody/nothing"],
    }[given]
    option = arguments[0]
    fails(["fit", *tiny_cls, *arguments], "nobody/nothing", option, "local", below=work)


def test_a_closed_port_is_told_soon(tiny_cls, tmp_path, work, monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fails(["fit", *tiny_cls, "--model.pretrained", "nobody/nothing"], url, "--model.pretrained", below=work)


@pytest.mark.parametrize("option", ["--runs_dir", "--data.cache_dir"])
def test_folders_that_cannot_be_written(option, tiny_cls, tmp_path, work):
    (tmp_path / "file").touch()
    fails(["fit", *tiny_cls, option, tmp_path / "file"], str(tmp_path / "file"), option, below=work)


def test_debug_shows_the_traceback(tiny_cls, work):
    from lightning_nlp.errors import UserError

    for spelling in (["--debug"], ["--debug=true"], ["--debug", "true"]):
        with pytest.raises(UserError, match="lr is 0"):
            invoke("fit", *tiny_cls, "--model.lr", "0", *spelling)
    assert files_below(work) == set()


def test_a_bug_of_ours_is_no_mistake_of_the_user(tiny_cls, monkeypatch, work):
    from lightning_nlp.models.classification import SequenceClassifier

    def broken(self: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(SequenceClassifier, "configure_optimizers", broken)
    with pytest.raises(ValueError, match="a bug"):
        invoke("fit", *tiny_cls)
    assert files_below(work) == set()
