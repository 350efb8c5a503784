"""metrics.csv, and W&B without a login."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightning_nlp.errors import UserError
from lightning_nlp.loggers import configure_wandb, is_wandb
from tests.conftest import files_below, invoke, read_metrics

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("class_path", "expected"),
    [("lightning.pytorch.loggers.WandbLogger", True), ("WandbLogger", True), ("CSVLogger", False)],
)
def test_is_wandb(class_path, expected):
    assert is_wandb(class_path) is expected


def test_arguments_that_are_none_are_left_out(tmp_path):
    arguments = configure_wandb({"project": "p", "resume": None, "anonymous": None, "id": None}, tmp_path / "cls" / "4")
    assert arguments.pop("id")
    assert arguments == {
        "project": "p",
        "name": "cls-4",
        "resume": "allow",
        "save_dir": str(tmp_path / "cls" / "4"),
        "mode": "offline",
    }


@pytest.mark.parametrize("logged_in", [True, False])
def test_a_login_decides_the_mode(logged_in, tmp_path, monkeypatch):
    import wandb

    online = type("Setup", (), {"settings": type("Settings", (), {"mode": "online", "base_url": "http://w"})})
    monkeypatch.setattr(wandb, "setup", lambda: online)
    monkeypatch.setattr(wandb, "login", lambda **kwargs: logged_in)
    mode = configure_wandb({}, tmp_path / "cls" / "0")["mode"]
    assert mode == ("online" if logged_in else "offline")


def test_a_refused_login_is_one_error(tmp_path, monkeypatch):
    import wandb

    def refuse(**kwargs):
        assert kwargs["prompt"] is False
        raise wandb.errors.AuthenticationError("Failed to authenticate with http://w: returned error 401: bad key")

    online = type("Setup", (), {"settings": type("Settings", (), {"mode": "online", "base_url": "http://w"})})
    monkeypatch.setattr(wandb, "setup", lambda: online)
    monkeypatch.setattr(wandb, "login", refuse)
    with pytest.raises(UserError, match=r"bad key.*--offline"):
        configure_wandb({}, tmp_path / "cls" / "0")


def without_false_logger(arguments: list[str]) -> list[str]:
    """The configuration's own WandbLogger instead of none."""
    at = arguments.index("--trainer.logger")
    return arguments[:at] + arguments[at + 2 :]


def test_without_a_login_the_run_is_offline_and_says_so(tiny_cls, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "NETRC"))}
    environment |= {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), "fit", *without_false_logger(tiny_cls)]
    command += ["--runs_dir", str(tmp_path / "runs"), "--trainer.max_epochs", "1"]
    child = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )
    assert child.returncode == 0, child.stderr
    said = [line for line in child.stderr.splitlines() if "W&B" in line or "wandb" in line]
    assert len(said) == 1, said
    assert "no login, so this run is kept offline" in said[0]
    run = tmp_path / "runs" / "quickstart" / "0"
    assert child.stdout.splitlines()[-1] == str(run)
    assert list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert {path.name for path in tmp_path.iterdir()} == {"home", "runs"}


def test_a_resumed_training_continues_the_same_wandb_run(tiny_cls, tmp_path):
    arguments = [*without_false_logger(tiny_cls), "--runs_dir", str(tmp_path)]

    def wandb_id(run: Path) -> str:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        (logger,) = config["trainer"]["logger"]
        return logger["init_args"]["id"]

    def fit(*more: str) -> Path:
        return invoke("fit", *arguments, *more).run

    first = fit("--trainer.max_epochs", "1")
    identity = wandb_id(first)
    resumed = fit("--ckpt_path", "last")
    assert resumed == first
    assert wandb_id(resumed) == identity
    assert {path.name.rsplit("-", 1)[-1] for path in (first / "wandb").glob("offline-run-*")} == {identity}
    other = fit("--trainer.max_epochs", "1")
    assert wandb_id(other) != identity
    assert len(read_metrics(first)) == 15


def test_a_mistake_leaves_no_wandb_files(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [*without_false_logger(tiny_cls), "--data.label_column", "stars"]
    outcome = invoke("fit", *arguments)
    assert outcome.code == 2, outcome.err
    assert files_below(tmp_path) == set()
