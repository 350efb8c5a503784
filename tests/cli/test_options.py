"""Each option of Lightning's works, or is refused in one sentence before anything is trained."""

import inspect
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from jsonargparse import Namespace
from lightning import Trainer
from lightning.pytorch import callbacks, loggers

from lightning_nlp.cli.options import CALLBACKS, LOGGERS, TRAINER, place_in_run
from tests.bad_input.check import fails
from tests.conftest import HOUSE, checkpoint_of, files_below, invoke, read_metrics

TESTS = HOUSE / "tests" / "cli"
GIVEN = {  # nothing to the others, some of which the parser then takes for incomplete
    "GradientAccumulationScheduler": {"scheduling": {0: 4, 2: 1}},
    "StochasticWeightAveraging": {"swa_lrs": 0.01, "swa_epoch_start": 2},
}


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_nothing_that_lightning_exports_is_without_a_row():
    assert {*TRAINER, *NEUTRAL, *ELSEWHERE} == set(inspect.signature(Trainer).parameters)
    assert set(CALLBACKS) == set(callbacks.__all__)
    assert set(LOGGERS) == set(loggers.__all__)


def test_a_class_made_from_a_refused_one_is_refused(tiny_cls, work, my_module):
    my_module("class Slow(callbacks.LearningRateFinder): pass")
    fails(["fit", *tiny_cls, "--trainer.callbacks", "my_module.Slow"], "Slow is refused", "--model.lr")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(
            (
                ["--trainer.callbacks", json.dumps([{"class_path": name, "init_args": GIVEN.get(name, {})}])],
                [f"--trainer.callbacks {name} is", why],
            )
            for name, why in CALLBACKS.items()
            if why is not None
        ),
        (["--trainer.logger", "CometLogger"], ["--trainer.logger CometLogger is refused", "WandbLogger"]),
        (["--trainer.logger", "LitLogger"], ["--trainer.logger LitLogger is refused", "CSVLogger"]),
        (["--checkpoint.save_top_k", "3"], ["Unknown configuration key 'checkpoint.save_top_k'"]),
        (["--trainer.barebones", "true"], ["--trainer.barebones True is refused"]),
        (["--trainer.default_root_dir", "x"], ["--trainer.default_root_dir x", "--runs_dir"]),
        (["--trainer.enable_checkpointing", "false"], ["leave it out"]),
        (["--trainer.limit_predict_batches", "3"], ["--input"]),
        (["--trainer.model_registry", "a/b"], ["--upload_export"]),
        (["--trainer.strategy", "ddp_spawn"], ["--trainer.strategy ddp"]),
        (["--trainer.strategy", "ddp_notebook"], ["--trainer.strategy ddp"]),
        (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val_loss"], ["'val_loss'", "val/loss"]),
        (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val/f1"], ["worst val/f1", "mode max"]),
        (["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor", "acc"], ["'acc'", "val/accuracy"]),
        (["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_top_k", "3"], ["ModelCheckpoint cannot"]),
        (["--trainer.callbacks+=ModelCheckpoint"] * 2, ["more than one", "ModelCheckpoint"]),
        (["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath", "/dev/null/x"], ["/dev/null/x"]),
        (
            ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath", "runs/quickstart/0/checkpoints"],
            ["best.ckpt lies"],
        ),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_options_that_are_refused(arguments, words, tiny_cls, work):
    fails(["fit", *tiny_cls, *arguments], *words)


def numbers(run: Path) -> tuple[object, ...]:
    """What a run learned, measured and exported."""
    names = ("step", "train", "val", "test")
    rows = [{key: value for key, value in row.items() if key.split("/")[0] in names} for row in read_metrics(run)]
    return rows, (run / "export" / "model.safetensors").read_bytes(), checkpoint_of(run, "best")["global_step"]


# Each is given as what it is anyway, or as what must change no number.
NEUTRAL = """
accelerator cpu strategy auto devices 1 num_nodes 1 precision 32-true logger false
plugins LightningEnvironment max_epochs 2 min_epochs 1 max_steps 14 min_steps 2 max_time 00:01:00:00
limit_train_batches 1.0 limit_val_batches 1.0 limit_test_batches 1.0 val_check_interval 1.0
check_val_every_n_epoch 1 num_sanity_val_steps 1 log_every_n_steps 1 enable_progress_bar false
enable_model_summary true enable_autolog_hparams false profiler simple accumulate_grad_batches 1
gradient_clip_val 1.0 gradient_clip_algorithm norm deterministic true benchmark false inference_mode false
use_distributed_sampler false detect_anomaly true sync_batchnorm true reload_dataloaders_every_n_epochs 1
""".split()
NEUTRAL = dict(zip(NEUTRAL[::2], NEUTRAL[1::2], strict=True))
ELSEWHERE = {
    "callbacks": "test_options.py",
    "fast_dev_run": "test_fit.py",
    "overfit_batches": "../test_finishing.py",
}


def test_trainer_arguments_that_work(tiny_cls, cls_run, tmp_path):
    given = [word for name, value in NEUTRAL.items() for word in (f"--trainer.{name}", value)]
    assert numbers(invoke("fit", *tiny_cls, *given, "--runs_dir", tmp_path).run) == numbers(cls_run)
    for name, file in ELSEWHERE.items():
        assert f"--trainer.{name}" in (TESTS / file).read_text(encoding="utf-8")


@pytest.fixture
def my_module(tmp_path, monkeypatch):
    """Writes a module of the user's own, `my_module`."""

    def write(text: str) -> None:
        heading = "from lightning.pytorch import callbacks, loggers\n"
        (tmp_path / "my_module.py").write_text(heading + text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "my_module", raising=False)

    return write


MINE = """
class Mine(callbacks.Callback):
    def __init__(self, file: str = "mine.txt"):
        self.file = file
    def on_test_end(self, trainer, pl_module):
        with open(self.file, "a") as file:
            file.write("tested\\n")
class Kept(callbacks.Checkpoint):
    def on_validation_end(self, trainer, pl_module):
        pass
"""
BESIDE = [
    {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 99}},
    {"class_path": "LearningRateMonitor", "init_args": {"logging_interval": "step"}},
    {"class_path": "ModelSummary"},
    {"class_path": "RichModelSummary"},
    # what would take the place of best.ckpt and last.ckpt if it lay beside them
    {
        "class_path": "ModelCheckpoint",
        "init_args": {"filename": "best", "save_last": True, "save_top_k": -1, "enable_version_counter": False},
    },
    {
        "class_path": "ModelCheckpoint",
        "init_args": {"monitor": "train/loss", "every_n_train_steps": 2, "save_top_k": -1},
    },
]
STILL = ["--model.lr", "1e-9"]  # no validation is better than the first


def test_callbacks_that_work_change_no_number_and_no_file_of_ours(tiny_cls, tmp_path, my_module):
    my_module(MINE)
    mine = [{"class_path": "my_module.Mine", "init_args": {"file": str(tmp_path / "mine.txt")}}]
    every = tmp_path / "every" / "step"
    BESIDE[-1]["init_args"]["dirpath"] = str(every)
    given = [*BESIDE, *mine, {"class_path": "my_module.Kept"}]
    works = {name for name, why in CALLBACKS.items() if why is None}
    assert {entry["class_path"] for entry in BESIDE} == works - {"Callback", "Checkpoint"}

    plain = invoke("fit", *tiny_cls, *STILL, "--runs_dir", tmp_path / "plain").run
    run = invoke("fit", *tiny_cls, *STILL, "--trainer.callbacks", json.dumps(given), "--runs_dir", tmp_path / "r").run
    assert numbers(run) == numbers(plain)
    assert checkpoint_of(run, "best")["global_step"] == 7
    new = {path for path in files_below(run) - files_below(plain) if path.endswith(".ckpt")}
    assert files_below(every) == {f"epoch={step // 8}-step={step}.ckpt" for step in range(2, 15, 2)}
    assert new == {"kept/best.ckpt", "kept/last.ckpt"}
    (rates,) = [key for key in read_metrics(run)[0] if key.startswith("lr-") and key.endswith("/decay")]
    assert float(read_metrics(run)[3][rates]) > 0

    again = invoke("test", "--config", run / "config.yaml", "--ckpt_path", run / "checkpoints" / "best.ckpt")
    assert again.code == 0, again.err
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "tested\n" * 2
    resumed = invoke("fit", *tiny_cls, *STILL, "--trainer.callbacks", json.dumps(given), "--trainer.max_epochs", "3",
                     "--runs_dir", tmp_path / "r", "--ckpt_path", "last")  # fmt: skip
    assert resumed.run == run, resumed.err
    other = invoke("fit", "--config", run / "config.yaml", "--ckpt_path", every / "epoch=0-step=4.ckpt")
    assert other.run == run.parent / "1", other.err


def test_a_class_whose_defaults_no_yaml_can_hold_is_one_sentence(tiny_cls, work, my_module):
    my_module("import enum\nclass K(str, enum.Enum):\n    a = 'a'\n"
              "class Odd(callbacks.Callback):\n    def __init__(self, kind: str = K.a): pass\n")  # fmt: skip
    fails(["fit", *tiny_cls, "--trainer.callbacks", "my_module.Odd"], "config.yaml", "K.a")


def test_csv_files_lie_in_the_runs_directory(tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--trainer.logger", "CSVLogger", "--runs_dir", tmp_path).run
    found = read_metrics(run / "lightning_logs" / "version_0")
    assert {row["val/accuracy"] for row in found} == {row["val/accuracy"] for row in read_metrics(run)}
    other = invoke("fit", "--config", run / "config.yaml", "--runs_dir", tmp_path / "other").run  # not in the first's
    assert (other / "lightning_logs" / "version_0" / "metrics.csv").is_file()
    assert not (run / "lightning_logs" / "version_1").exists()


def test_a_logger_of_ones_own_gets_the_metrics(tiny_cls, tmp_path, my_module):
    my_module("""
class Told(loggers.Logger):
    name = version = ""
    def __init__(self, save_dir: str | None = None):
        super().__init__()
        self.folder = save_dir
    def log_hyperparams(self, params): pass
    def log_metrics(self, metrics, step=None):
        with open(f"{self.folder}/told.txt", "a") as file:
            file.write(" ".join(metrics))
""")
    run = invoke("fit", *tiny_cls, "--trainer.logger", "my_module.Told", "--runs_dir", tmp_path).run
    assert "val/accuracy" in (run / "told.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "package"), [("MLFlowLogger", "mlflow"), ("TensorBoardLogger", "tensorboard")])
def test_a_logger_whose_package_is_missing_is_one_sentence(name, package, tiny_cls, work):
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    fails(["fit", *tiny_cls, "--trainer.logger", name], f"{name} cannot be created", package, "install")


def test_mlflow_writes_to_the_runs_directory(tmp_path):
    entry = Namespace(class_path="MLFlowLogger", init_args=Namespace(save_dir="./mlruns"))
    place_in_run(Namespace(trainer=Namespace(logger=entry, callbacks=None)), tmp_path)
    assert entry.init_args.save_dir == str(tmp_path / "mlruns")
