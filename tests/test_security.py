"""Nothing that a stranger hands over runs code, or writes or reads outside its folder; payloads make a marker file."""

import gzip
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_nlp.data.texts import lines
from tests.bad_input.check import fails
from tests.conftest import checkpoint_of, invoke, train

MODULE = """
from pathlib import Path
from lightning.pytorch.callbacks import Callback
Path({marker!r}).touch()
class Innocent(Callback): pass
def function(*args, **kwargs): pass
"""


class Payload:
    """Creates the marker when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """Where the payloads write; a module of the name `strangers` on the path does when it is imported."""
    path = tmp_path / "marker"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "strangers.py").write_text(MODULE.format(marker=str(path)))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield path
    sys.modules.pop("strangers", None)


def test_the_payloads_would_work(marker):
    torch.save(Payload(marker), marker.parent / "a.pt")
    torch.load(marker.parent / "a.pt", weights_only=False)
    assert marker.exists()
    marker.unlink()
    import strangers  # noqa: F401

    assert marker.exists()


def pickle_only(folder, marker):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Payload(marker)}, folder / "pytorch_model.bin")
    return "--model.pretrained", "pickled weights (.bin), which can run code, are not loaded"


def change_json(folder, name, **changes):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | changes))


def remote_config(folder, marker):
    (folder / "code.py").write_text(f"open({str(marker)!r}, 'w')\nclass A: pass\n")
    change_json(folder, "config.json", model_type="stranger", auto_map={"AutoConfig": "code.A"})
    return "--model.pretrained", "contains custom code"


def remote_tokenizer(folder, marker):
    remote_config(folder, marker)
    auto = {"AutoTokenizer": ["code.A", None]}
    change_json(folder, "tokenizer_config.json", tokenizer_class="Stranger", auto_map=auto)
    return "--data.tokenizer", "no readable tokenizer"


def shard_elsewhere(folder, marker):
    shutil.move(folder / "model.safetensors", folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {"weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return "--model.pretrained", "outside its folder"


@pytest.fixture
def theirs(cls_run, marker, tmp_path):
    """A run that a stranger hands over."""
    return Path(shutil.copytree(cls_run, tmp_path / "theirs"))


@pytest.mark.parametrize("plant", [pickle_only, remote_config, remote_tokenizer, shard_elsewhere])
def test_a_model_or_tokenizer_from_a_stranger(plant, tiny_cls, pretrained, marker, tmp_path):
    folder = Path(shutil.copytree(pretrained, tmp_path / "theirs"))
    argument, words = plant(folder, marker)
    fails(["fit", *tiny_cls, "--data.cache_dir", tmp_path / "cache", argument, folder], words, argument)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_for_a_known_architecture_is_not_used(name, pretrained, marker, tmp_path):
    """transformers has its own class for it; theirs is neither asked about nor run."""
    from transformers import AutoModelForMaskedLM

    from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer
    from lightning_nlp.models.load_pretrained import from_pretrained

    folder = Path(shutil.copytree(pretrained, tmp_path / "theirs"))
    (folder / "code.py").write_text(f"open({str(marker)!r}, 'w')\nclass A: pass\n")
    auto = ("AutoConfig", "AutoModelForMaskedLM", "AutoTokenizer")
    change_json(folder, name, auto_map=dict.fromkeys(auto, "code.A"))
    assert type(from_pretrained(AutoModelForMaskedLM, str(folder))).__name__ == "DistilBertForMaskedLM"
    load_tokenizer(str(folder))
    assert not marker.exists()


@pytest.mark.parametrize(("command", "inside"), [("fit", "callbacks"), ("test", "state_dict"), ("fit", "everything")])
def test_a_pickled_checkpoint(command, inside, tiny_cls, cls_run, marker, tmp_path):
    checkpoint = checkpoint_of(cls_run, "best")
    payload = Payload(marker)
    torch.save(payload if inside == "everything" else {**checkpoint, inside: {"x": payload}}, tmp_path / "a.ckpt")
    fails([command, *tiny_cls, "--ckpt_path", tmp_path / "a.ckpt"], "a.ckpt", "--ckpt_path")
    assert not marker.exists()


@pytest.mark.parametrize("plant", [pickle_only, remote_config])
def test_predictions_with_the_run_of_a_stranger(plant, theirs, marker, tmp_path):
    plant(theirs / "export", marker)
    (tmp_path / "in.txt").write_text("a good film\n")
    fails(["predict", "--run", theirs, "--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl"], "export")
    assert not marker.exists()
    assert not (tmp_path / "out.jsonl").exists()


POPEN = "{class_path: subprocess.Popen, init_args: {args: [touch, marker]}}"
LAMBDA = "[{class_path: LambdaCallback, init_args: {setup: %s}}]"
STRANGE = "{class_path: strangers.Innocent}"
THEIRS = {  # what a run's config.yaml says in the place of what it had
    "callback": ("trainer.callbacks", f"[{STRANGE}]"),
    "callback_by_name": ("trainer.callbacks", "[strangers.Innocent]"),
    "function_of_a_callback": ("trainer.callbacks", LAMBDA % "strangers.function"),
    "logger": ("trainer.logger", "subprocess.Popen"),
    "logger_with_arguments": ("trainer.logger", POPEN),
    "plugin": ("trainer.plugins", STRANGE),
    "nested": ("trainer.logger", f"[{{class_path: WandbLogger, init_args: {{experiment: {STRANGE}}}}}]"),
    "model": ("model", "strangers.Innocent"),
    "model_class": ("model.class_path", "os.system"),
    "model_in_another_file": ("model", "/elsewhere/other.yaml"),
    "data": ("data.class_path", "strangers.function"),
}


@pytest.mark.parametrize(("key", "value"), THEIRS.values(), ids=THEIRS)
def test_the_configuration_of_a_strangers_run(key, value, theirs, marker):
    config = yaml.safe_load((theirs / "config.yaml").read_text())
    section, _, name = key.rpartition(".")
    (config[section] if section else config)[name] = yaml.safe_load(value)
    (theirs / "config.yaml").write_text(yaml.safe_dump(config))
    fails(["test", "--run", theirs], "config.yaml", "code from outside this program", "--config")
    assert not marker.exists()


@pytest.mark.parametrize(
    "command", ["fit --config FILE", "test --run RUN", "predict --run RUN --input FILE --output -"]
)
def test_a_yaml_that_makes_objects(command, theirs, marker):
    (theirs / "config.yaml").write_text(f"name: !!python/object/apply:os.system ['touch {marker}']\n")
    replaced = {"RUN": theirs, "FILE": theirs / "config.yaml"}
    outcome = invoke(*(replaced.get(word, word) for word in command.split()))
    assert outcome.code == 2, outcome.err
    assert "python/object/apply" in outcome.err
    assert not marker.exists()


REFUSED = [  # of the user's own configuration: what is named must be what the key takes, and is not called before
    ["--model", "os.system"],
    ["--model.class_path", "os.system"],
    ["--data.class_path", "subprocess.Popen"],
    ["--trainer.logger", "subprocess.Popen"],
    ["--trainer.logger", POPEN],
    ["--trainer.callbacks", f"[{POPEN}]"],
    ["--trainer.plugins", POPEN],
    ["--trainer.profiler", POPEN],
    ["--trainer.callbacks", LAMBDA % "os.getpid"],
]


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda arguments: " ".join(arguments)[:50])
def test_a_class_that_the_key_does_not_take(arguments, tiny_cls, marker):
    fails(["fit", *tiny_cls, *arguments], "--" + arguments[0].strip("-").split(".")[0])
    assert not marker.exists()


def test_a_gzip_bomb_is_not_read(tiny_cls, marker, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "RATIO_COUNTS_FROM", 1 << 20)
    bomb = tmp_path / "data.csv.gz"
    bomb.write_bytes(gzip.compress(b"text,label\n" + b"good,1\nbad,0\n" * 100_000))
    said = fails(["fit", *tiny_cls, "--data.path", bomb, "--data.cache_dir", tmp_path / "cache"], "data.csv.gz")
    assert "unpacks to more than 100 times its size" in said


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_line_without_end_is_not_read(suffix, tiny_mlm, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_TEXT_BYTES", 1 << 20)
    content = b"unu du tri\n" + b"a" * ((1 << 20) + 1)
    path = tmp_path / f"data.txt{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    fails(["fit", *tiny_mlm, "--data.path", path, "--data.cache_dir", tmp_path / "cache"], "line 2 is longer than")


@pytest.mark.parametrize("what", ["file", "folder", "device", "pipe"])
def test_a_tree_of_reviews_with_a_link_out_of_it(what, tiny_cls, tmp_path):
    secret = tmp_path / "home" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("the user's own letters")
    tree = tmp_path / "aclImdb"
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            (tree / split / label).mkdir(parents=True)
            for i in range(4):
                (tree / split / label / f"{i}_5.txt").write_text(f"a film {i}")
    place = tree / "train" / "pos"
    if what == "folder":
        shutil.rmtree(place)
        place.symlink_to(secret.parent)
    elif what == "pipe":
        os.mkfifo(place / "9_9.txt")
    else:
        (place / "9_9.txt").symlink_to(secret if what == "file" else "/dev/zero")
    arguments = ["fit", *tiny_cls, "--data.path", tree, "--data.cache_dir", tmp_path / "cache"]
    fails(arguments, "is a link or a device", str(place), "--data.path")


@pytest.mark.acceptance
def test_a_script_is_not_run_for_a_file_of_its_name(tmp_path):
    """`python train.py` looks for modules beside train.py, not in the folder that it is called in."""
    (tmp_path / "strangers.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    arguments = ["fit", "--config", "quickstart.yaml", "--trainer.callbacks", "[strangers.A]"]
    child = train(*arguments, cwd=tmp_path, PYTHONPATH="")
    assert child.returncode == 2, child.stderr
    assert not (tmp_path / "marker").exists()
