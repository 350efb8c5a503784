from pathlib import Path

import pytest
import yaml
from jsonargparse import Namespace

from lightning_nlp.tracking.setup import prepare_loggers
from tests.conftest import files_below, invoke, read_metrics, train, without


def test_without_a_login_the_run_is_offline_and_says_so(tiny_cls, tmp_path):
    (tmp_path / "home").mkdir()
    arguments = ["fit", *without(tiny_cls, "--trainer.logger"), "--runs_dir", tmp_path / "runs"]
    child = train(*arguments, cwd=tmp_path, hide=("WANDB_", "NETRC"), HOME=str(tmp_path / "home"))
    assert child.returncode == 0, child.stderr
    (line,) = [line for line in child.stderr.splitlines() if "W&B" in line or "wandb" in line]
    assert "no login, so this run is kept offline" in line
    run = tmp_path / "runs" / "quickstart" / "0"
    assert child.stdout.splitlines()[-1] == str(run)
    assert list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert {path.name for path in tmp_path.iterdir()} == {"home", "runs"}


def test_a_resumed_training_continues_the_same_wandb_run(tiny_cls, tmp_path):
    arguments = [*without(tiny_cls, "--trainer.logger"), "--runs_dir", str(tmp_path)]

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
    folders = [path.name for path in (first / "wandb").glob("offline-run-*")]
    assert len(folders) == 2
    assert all(identity in name for name in folders)  # of two in one second, W&B numbers the second
    other = fit("--trainer.max_epochs", "1")
    assert wandb_id(other) != identity
    copied = invoke("fit", "--config", first / "config.yaml", "--trainer.max_epochs", "1").run
    assert wandb_id(copied) != identity, "another run, though made from a config.yaml that names the first one's"
    again = invoke("fit", "--config", copied / "config.yaml", "--ckpt_path", "last").run
    assert (again, wandb_id(again)) == (copied, wandb_id(copied))
    assert len(read_metrics(first)) == 15


def test_a_mistake_leaves_no_wandb_files(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [*without(tiny_cls, "--trainer.logger"), "--data.label_column", "stars"]
    outcome = invoke("fit", *arguments)
    assert outcome.code == 2, outcome.err
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize(("installed", "name"), [("tensorboardX", "TensorBoardLogger"), (None, "CSVLogger")])
def test_true_is_tensorboard_where_it_is_installed(installed, name, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.tracking.setup.find_spec", lambda package: package == installed or None)
    config = Namespace(trainer=Namespace(logger=True))
    prepare_loggers(config, tmp_path, resumed=False)
    (logger,) = config.trainer.logger
    assert (logger.class_path.rpartition(".")[2], logger.init_args.save_dir) == (name, None)
