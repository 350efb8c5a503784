"""The wheel, installed into another environment, is the whole program."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import lightning_nlp
from tests.conftest import HOUSE, SIZES

SHIPPED = sorted(path.name for path in (HOUSE / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs a command of an environment where only the wheel is new; its dependencies are this one's."""
    folder = tmp_path_factory.mktemp("installed")
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command, cwd=folder):
        program = [folder / "venv" / "bin" / command[0], *map(str, command[1:])]
        return subprocess.run(program, cwd=cwd, env=outside | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)

    for name in ("lightning_nlp", "configs"):
        shutil.copytree(HOUSE / name, folder / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "train.py"):
        shutil.copy(HOUSE / name, folder / "clone")
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv").glob("lib/*/site-packages")
    ours = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(ours), encoding="utf-8")
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check")
    built = run("python", "-m", "pip", "wheel", *offline, "--no-build-isolation", "--wheel-dir", "dist", "./clone")
    assert built.returncode == 0, built.stderr
    (wheel,) = (folder / "dist").iterdir()
    assert wheel.name == f"lightning_nlp-{lightning_nlp.__version__}-py3-none-any.whl"
    result = run("python", "-m", "pip", "install", *offline, "--ignore-installed", wheel)
    assert result.returncode == 0, result.stderr
    return run


@pytest.mark.acceptance
def test_the_wheel_has_all_files_of_the_package_and_the_configs_but_nothing_else(run, tmp_path):
    shown = run("python", "-c", "import lightning_nlp; print(lightning_nlp.__file__)").stdout
    installed = Path(shown.strip()).parent
    assert installed.parts[-2:] == ("site-packages", "lightning_nlp")
    assert not installed.is_relative_to(sys.prefix)
    (wheel,) = installed.parents[4].glob("dist/*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = (path for path in (HOUSE / "lightning_nlp").rglob("*") if path.is_file() and path.suffix != ".pyc")
    ours = {path.relative_to(HOUSE).as_posix() for path in package}
    assert names == ours | {f"lightning_nlp/configs/{name}" for name in SHIPPED}


@pytest.mark.acceptance
def test_configs_writes_the_yaml_files_and_fit_trains_with_one(run, tmp_path):
    written = run("lightning-nlp", "configs", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert written.stdout.endswith("then run: lightning-nlp fit --config quickstart.yaml\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == SHIPPED
    text = (HOUSE / "configs" / "cls.yaml").read_text(encoding="utf-8")
    of_the_wheel = text.replace("python train.py fit --config configs/cls.yaml", "lightning-nlp fit --config cls.yaml")
    assert (tmp_path / "cls.yaml").read_text(encoding="utf-8") == of_the_wheel != text

    (tmp_path / "empty").mkdir()  # a shipped file is found by its name too
    more = [*SIZES, "--data.vocab_size", "300", "--data.cache_dir", tmp_path / "cache", "--trainer.logger", "false"]
    arguments = ["--config", "quickstart.yaml", *more, "--trainer.max_steps", "8"]
    fitted = run("lightning-nlp", "fit", *arguments, cwd=tmp_path / "empty")
    assert fitted.returncode == 0, fitted.stderr
    folder = tmp_path / "empty" / fitted.stdout.splitlines()[-1]
    assert (folder / "report.html").is_file()
    assert (folder / "export" / "model.safetensors").is_file()
    head = (folder / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert head.startswith("# lightning-nlp fit --config quickstart.yaml")
    assert "`lightning-nlp --help`" in run("lightning-nlp", "train").stderr
