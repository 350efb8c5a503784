import os
from pathlib import Path

import pytest
import torch

from lightning_nlp.errors import UserError
from lightning_nlp.privacy import check_secrets, home_as_tilde, paths_expanded, paths_with_tilde, public_command
from tests.bad_input.check import fails
from tests.conftest import checkpoint_of, invoke, train, without, write_reviews

HUB_TOKEN, WANDB_KEY = "hf_" + "Zq" * 17, "5ecade5e" * 5
USER = "mallory"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The home folder of a user with a name that is easily found, who works in it."""
    folder = tmp_path / "homes" / USER
    (folder / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setenv("HF_TOKEN", HUB_TOKEN)
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.chdir(folder / "work")
    write_reviews(folder / "reviews.csv")
    return folder


def found(folder: Path, *planted: str) -> dict[str, list[str]]:
    """The files below a folder that hold any of these, links to elsewhere included."""
    files = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.is_symlink():
            content += os.readlink(path).encode()
        if held := [word for word in planted if word.encode() in content]:
            files[str(path.relative_to(folder))] = held
    return files


def test_no_file_of_a_run_names_the_user_or_a_key(tiny_cls, home):
    arguments = [*without(tiny_cls, "--trainer.logger"), "--trainer.max_epochs", "1", "--runs_dir", "runs"]
    arguments += ["--data.path", str(home / "reviews.csv"), "--data.cache_dir", str(home / "cache")]
    # without WANDB_SERVICE, by which another test's W&B of this process would take what the child logs
    child = train("fit", *arguments, cwd=home / "work", hide=("WANDB_SERVICE",))
    assert child.returncode == 0, child.stderr
    run = Path(child.stdout.splitlines()[-1])
    assert list((run / "wandb").rglob("*.wandb"))
    config = (run / "config.yaml").read_text(encoding="utf-8")
    assert "path: ~/reviews.csv" in config
    assert "cache_dir: ~/cache" in config
    assert found(run, HUB_TOKEN, WANDB_KEY, str(home), USER) == {}
    assert USER not in config.partition("\n")[2]
    # and all of it is still found
    assert "test/accuracy" in invoke("test", "--run", run).out
    resumed = invoke("fit", *arguments, "--trainer.max_epochs", "2", "--ckpt_path", "last")
    assert resumed.run == run
    state = checkpoint_of(run)["callbacks"]
    (best,) = [value for key, value in state.items() if key.startswith("BestCheckpoint")]
    assert best["dirpath"] == "~/work/runs/quickstart/0/checkpoints"


SECRETS = [
    ["--data.path", f"https://user:{WANDB_KEY}@example.org/epo.tar.gz"],
    ["--data.path", f"https://example.org/epo.tar.gz?token={WANDB_KEY}"],
    ["--data.path", f"https://example.org/epo.tar.gz?X-Amz-Signature={WANDB_KEY}"],
    ["--data.path", f"{HUB_TOKEN}/reviews.csv"],
    ["--model.pretrained", f"organisation/{WANDB_KEY}"],
    ["--data.text_column", "hf_" + "Ab" * 17],
]


@pytest.mark.parametrize("arguments", SECRETS, ids=lambda arguments: arguments[0] + arguments[1][:20])
def test_a_configuration_with_a_secret_is_refused(arguments, tiny_mlm, home):
    said = fails(["fit", *tiny_mlm, *arguments], arguments[0], "contains a password, token or key")
    assert WANDB_KEY not in said
    assert HUB_TOKEN not in said
    assert not (home / "work" / "runs").exists()


@pytest.mark.parametrize(
    "config",
    [
        {"data": {"path": "https://downloads.example.org/a.tar.gz?download=1", "tokenizer": "org/tokenizer"}},
        {"model": {"mask_token_prob": "0.8", "pretrained": "org/name", "pad_token": "[PAD]"}},
        {"trainer": {"logger": [{"init_args": {"settings": None, "api_key": None}}]}},
    ],
)
def test_ordinary_settings_pass(config):
    check_secrets(config)


def test_a_key_in_a_loggers_arguments_is_refused():
    with pytest.raises(UserError, match=r"--trainer\.logger\.init_args\.settings\.api_key contains"):
        check_secrets({"trainer": {"logger": [{"init_args": {"settings": {"api_key": "abc"}}}]}})


def test_paths_below_home_and_no_others(monkeypatch):
    monkeypatch.setenv("HOME", "/home/mallory")
    for text, short in {
        "/home/mallory/a b.csv": "~/a b.csv",
        "/home/mallory": "~",
        "--data.path=/home/mallory/x /home/mallory2/x": "--data.path=~/x /home/mallory2/x",
        "/mnt/home/mallory/x": "/mnt/home/mallory/x",
        "https://example.org/home/mallory/x": "https://example.org/home/mallory/x",
    }.items():
        assert home_as_tilde(text) == short
    state = {"dirpath": "/home/mallory/r", "k": {"/home/mallory/r/best.ckpt": torch.ones(1)}, "n": 3, "mode": "min"}
    assert paths_with_tilde(state)["k"].keys() == {"~/r/best.ckpt"}
    assert paths_expanded(paths_with_tilde(state)) == state


def test_a_machine_without_home_changes_nothing(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert home_as_tilde("/data/x /") == "/data/x /"


def test_a_published_command_names_files_and_no_folders():
    command = (
        "python train.py fit --config configs/cls.yaml --data.path=/scratch/mallory/r.csv --data.tokenizer "
        "'~/my models/t' --runs_dir /runs/mallory/x --model.pretrained org/name --a https://example.org/a/b.tar.gz"
    )
    assert public_command(command) == (
        "python train.py fit --config configs/cls.yaml --data.path=r.csv --data.tokenizer "
        "'my models/t' --runs_dir x --model.pretrained org/name --a https://example.org/a/b.tar.gz"
    )
