from pathlib import Path

import pytest

from lightning_nlp.cli.arguments import find_configs, split_run_arguments
from lightning_nlp.errors import UserError
from tests.conftest import HOUSE, train


def test_find_configs_looks_here_then_in_configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = Path(__file__).parents[2] / "configs" / "cls.yaml"
    assert find_configs(["fit", "--config", "cls.yaml"]) == ["fit", "--config", str(shipped)]
    assert find_configs(["fit", "--config=cls.yaml", "-c", "mlm.yaml"])[1] == f"--config={shipped}"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "cls.yaml").write_text("name: x", encoding="utf-8")
    assert find_configs(["fit", "--config", "cls.yaml"]) == ["fit", "--config", "configs/cls.yaml"]
    (tmp_path / "cls.yaml").write_text("name: x", encoding="utf-8")
    assert find_configs(["fit", "--config", "cls.yaml"]) == ["fit", "--config", "cls.yaml"]
    assert find_configs(["fit", "--config"]) == ["fit", "--config"]  # the parser says what is missing


def test_our_classes_have_short_names():
    full = ["fit", "--data", "lightning_nlp.TokenClassificationDataModule", "--model=lightning_nlp.TokenClassifier"]
    assert find_configs([part.replace("lightning_nlp.", "") for part in full]) == full
    assert find_configs(["--data", "my.Data", "--name", "fit"]) == ["--data", "my.Data", "--name", "fit"]


def test_in_a_file_too_whether_or_not_the_class_is_imported(tmp_path):
    (tmp_path / "tags.yaml").write_text("model: TokenClassifier\ndata: TokenClassificationDataModule\n")
    child = train("fit", "--config", tmp_path / "tags.yaml", "--print_config", cwd=HOUSE)
    assert "class_path: lightning_nlp.TokenClassifier" in child.stdout, child.stderr


def test_find_configs_lists_what_there_is():
    with pytest.raises(UserError, match=r"clz\.yaml.*cls\.yaml, labels\.yaml, mlm\.yaml"):
        find_configs(["fit", "--config", "clz.yaml"])


def make_run(folder: Path, *checkpoints: str) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    for name in checkpoints:
        (folder / "checkpoints" / name).touch()
    return folder


@pytest.mark.parametrize("spelling", [["--run", "{}"], ["--run={}"]])
def test_a_run_becomes_its_configuration_and_best_checkpoint(spelling, tmp_path):
    run = make_run(tmp_path / "0", "best.ckpt", "last.ckpt")
    arguments = ["test", "--trainer.devices", "1", *(part.format(run) for part in spelling)]
    best = str(run / "checkpoints" / "best.ckpt")
    expected = ["test", "--config", str(run / "config.yaml"), "--ckpt_path", best, "--trainer.devices", "1"]
    assert split_run_arguments(arguments) == expected


@pytest.mark.parametrize("spelling", [["--ckpt_path", "last"], ["--ckpt_path=last"]])
def test_last_is_that_of_the_run(spelling, tmp_path):
    run = make_run(tmp_path / "0", "last.ckpt")
    found = split_run_arguments(["validate", "--run", str(run), *spelling])
    assert "=".join(found[3:]) == f"--ckpt_path={run}/checkpoints/last.ckpt"


def test_fit_takes_no_run(tmp_path):
    assert split_run_arguments(["fit", "--run", "x"]) == ["fit", "--run", "x"]
