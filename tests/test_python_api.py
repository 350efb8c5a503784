"""`lightning_nlp.fit`, `open_run` and what they return."""

import importlib.util
import json
import shutil
import signal
import threading
import warnings

import numpy as np
import pytest
import torch
import yaml
from lightning import Callback

import lightning_nlp
from tests.conftest import ctrl_c, read_losses


def as_settings(arguments):
    """The arguments of a command as those of `fit`."""
    settings = {name.removeprefix("--"): value for name, value in zip(arguments[::2], arguments[1::2], strict=True)}
    return settings.pop("config"), {name: yaml.safe_load(value) for name, value in settings.items()}


@pytest.fixture(scope="module")
def cls(tiny_cls):
    return as_settings(tiny_cls)


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_fit_does_what_the_command_does_and_leaves_python_as_it_was(cls, cls_run, tmp_path, capsys):
    config, settings = cls
    before = [*handlers(), list(warnings.filters), torch.get_float32_matmul_precision()]
    shown = settings | {"trainer.enable_progress_bar": True, "runs_dir": tmp_path}
    run = lightning_nlp.fit(config, **shown)
    assert [*handlers(), list(warnings.filters), torch.get_float32_matmul_precision()] == before
    said = capsys.readouterr()
    for line in ("49 examples and", "step 7/14"):
        assert said.err.count(line) == 1, said.err
    assert said.out.count("test/accuracy") == 1
    assert str(tmp_path) not in said.out.splitlines()[-1], "the directory is the command's last line, not ours"
    assert run.dir == tmp_path / "quickstart" / "0"
    assert read_losses(run.dir) == read_losses(cls_run)
    command = (run.dir / "config.yaml").read_text(encoding="utf-8").partition("\n")[0]
    assert command.startswith("# python train.py fit --config=quickstart.yaml")
    deterministic = torch.are_deterministic_algorithms_enabled()
    again = lightning_nlp.fit(config, **settings | {"trainer.deterministic": True}, runs_dir=tmp_path)
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert again.dir == tmp_path / "quickstart" / "1"
    assert again.metrics == run.metrics


def test_a_run_has_its_figures_predictions_and_report(cls_run, tmp_path, monkeypatch):
    run = lightning_nlp.open_run(cls_run)
    facts = json.loads((cls_run / "facts.json").read_text(encoding="utf-8"))
    assert run.state == "finished"
    assert run.metrics == facts["test"] | facts["validation"]
    assert {"test/accuracy", "val/accuracy"} <= set(run.metrics)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        rows = run.history
    assert [row["step"] for row in rows] == [*range(1, 15), 14], "optimizer steps done; the last row is the test's"
    assert all(type(row["step"]) is int and "train/loss" in row for row in rows[:-1])
    if importlib.util.find_spec("pandas"):
        assert run.history["train/loss"].notna().sum() == 14
    found = run.predict(["a good film"])
    monkeypatch.setattr("lightning_nlp.python_api.load_predictor", None)
    assert run.predict(["a good film"]) == found, "the network is loaded once"
    report = run.report()
    assert report.path == cls_run / "report.html"
    assert report._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "<script" not in report._repr_html_()
    with pytest.raises(lightning_nlp.UserError, match="leave out name, runs_dir; to start another run, call `fit`"):
        run.resume(runs_dir=tmp_path, name="other")
    with pytest.raises(lightning_nlp.UserError, match=r"fills nothing in 'a \[MASK\]'"):
        run.fill("a [MASK]")


def test_a_run_may_be_opened_by_a_relative_path_and_be_gone_later(cls_run, tmp_path, monkeypatch):
    copy = shutil.copytree(cls_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    run, same = lightning_nlp.open_run("copy"), lightning_nlp.open_run("~/copy")
    monkeypatch.chdir("/")
    assert run.metrics == same.metrics
    assert run.predict(["a good film"]) == same.predict(["a good film"])
    run = lightning_nlp.open_run(copy)
    shutil.rmtree(copy)
    for gone in (lambda: run.state, lambda: run.history, lambda: run.predict(["a"]), run.report, run.resume):
        with pytest.raises(lightning_nlp.UserError, match="there is no such directory"):
            gone()


def test_masks_are_filled(mlm_run):
    first, second = lightning_nlp.open_run(mlm_run).fill("la [MASK] vidas [MASK].")
    assert len(first) == len(second) == 5
    assert first[0]["probability"] >= first[1]["probability"] > 0


class Counts(Callback):
    """Counts the trainings that it watches."""

    seen = 0

    def __init__(self, step: int = 1):
        self.step = step

    def on_train_start(self, trainer, pl_module):
        Counts.seen += self.step


class Own(lightning_nlp.SequenceClassifier):
    """A user's own."""


def test_settings_may_be_dicts_lists_null_paths_and_classes(cls, tmp_path, reviews):
    config, settings = cls
    callbacks = [Counts, {"class_path": f"{__name__}.Counts", "init_args": {"step": 10}}]
    more = {"model": Own, "trainer": {"max_epochs": 1}, "data.path": reviews, "model.freeze": None, "offline": True}
    one_epoch = {name: value for name, value in settings.items() if name != "trainer.max_epochs"}
    run = lightning_nlp.fit(config, **one_epoch | more | {"trainer.callbacks": callbacks, "runs_dir": tmp_path})
    assert Counts.seen == 11
    written = yaml.safe_load((run.dir / "config.yaml").read_text(encoding="utf-8"))
    assert written["model"]["class_path"] == f"{__name__}.Own"
    assert written["trainer"]["max_epochs"] == 1
    assert run.resume(**{"trainer.max_epochs": 2}).dir == run.dir, "with the same classes"
    assert Counts.seen == 22
    with pytest.raises(lightning_nlp.UserError, match=r"<.*Counts.*> is an object, .*give its class"):
        lightning_nlp.fit(config, **settings, **{"trainer.callbacks": [Counts()]})
    numbers = {"data.batch_size": np.int64(0), "model.class_weights": [np.float32(1), 2]}
    with pytest.raises(lightning_nlp.UserError, match=r"batch_size must be at least 1 .*, not 0"):
        lightning_nlp.fit(config, **settings | numbers)

    class Local(Own):
        pass

    with pytest.raises(lightning_nlp.UserError, match=r"<locals>\.Local cannot be imported: define the class outside"):
        lightning_nlp.fit(config, **settings, model=Local)


def test_an_error_is_one_line_and_debug_keeps_its_traceback(cls):
    config, settings = cls
    with pytest.raises(lightning_nlp.UserError, match="Did you mean 'lr'") as caught:
        lightning_nlp.fit(config, **settings, **{"model.lrr": 1})
    assert [frame.name for frame in caught.traceback][1:] == ["fit"]
    assert caught.value.__suppress_context__
    assert caught.value._render_traceback_() == [f"UserError: {caught.value}"]
    with pytest.raises(lightning_nlp.UserError) as caught:
        lightning_nlp.fit(config, **settings, **{"model.lrr": 1}, debug=True)
    assert len(caught.traceback) > 2
    assert "in run\n" in "".join(caught.value._render_traceback_()), "in a notebook too"
    with pytest.raises(lightning_nlp.UserError, match="use the command line"):
        lightning_nlp.fit(config, print_config="")
    with pytest.raises(lightning_nlp.UserError, match="trains on one device, and these settings start 2"):
        lightning_nlp.fit(config, **settings, **{"trainer.devices": 2})
    with pytest.raises(lightning_nlp.UserError, match="no such directory"):
        lightning_nlp.open_run("nowhere")


def test_an_interrupt_ends_the_step_and_says_in_python_how_to_go_on(cls, cls_run, tmp_path):
    config, settings = cls
    before = handlers()
    with ctrl_c("on_train_batch_end", [9]), pytest.raises(lightning_nlp.Interrupted) as caught:
        lightning_nlp.fit(config, **settings, runs_dir=tmp_path)
    assert handlers() == before
    assert str(caught.value).startswith("Interrupted after step 10; saved ")
    run = lightning_nlp.open_run(tmp_path / "quickstart" / "0")
    assert f"Go on with lightning_nlp.open_run({str(run.dir)!r}).resume()." in str(caught.value)
    assert run.state == "interrupted"
    with pytest.raises(lightning_nlp.UserError, match=r"is interrupted and was not tested: continue it with `resume"):
        run.metrics  # noqa: B018
    with pytest.raises(lightning_nlp.UserError, match="has no export"):
        run.predict(["a good film"])
    assert len(run.history) == 10
    assert "iframe" in run.report()._repr_html_()
    resumed = eval(str(caught.value).partition("Go on with ")[2].rstrip("."), {"lightning_nlp": lightning_nlp})
    assert resumed.dir == run.dir
    assert resumed.state == "finished"
    assert read_losses(run.dir) == read_losses(cls_run)


def test_an_interrupt_before_the_first_step_is_a_keyboard_interrupt(cls, tmp_path, monkeypatch):
    from lightning_nlp.data.base import TextDataModule

    config, settings = cls
    monkeypatch.setattr(TextDataModule, "prepare_data", lambda self: signal.raise_signal(signal.SIGINT))
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        lightning_nlp.fit(config, **settings, runs_dir=tmp_path / "runs")
    assert handlers() == before
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "config.yaml").write_text("model: {}", encoding="utf-8")
    with pytest.raises(lightning_nlp.UserError, match="has no checkpoint to resume from"):
        lightning_nlp.open_run(tmp_path).resume()


class FitsWithin(Callback):
    """Tries to train while it trains."""

    def on_train_start(self, trainer, pl_module):
        lightning_nlp.fit("quickstart.yaml")


def test_a_thread_can_train_but_not_two_at_once(cls, tmp_path):
    config, settings = cls
    with pytest.raises(lightning_nlp.UserError, match="Another fit is running in this process"):
        lightning_nlp.fit(config, **settings, **{"trainer.callbacks": [FitsWithin], "runs_dir": tmp_path})
    runs = []
    arguments = settings | {"runs_dir": tmp_path, "trainer.max_epochs": 1}
    thread = threading.Thread(target=lambda: runs.append(lightning_nlp.fit(config, **arguments)))
    thread.start()
    thread.join()
    assert runs[0].metrics["test/accuracy"] >= 0
