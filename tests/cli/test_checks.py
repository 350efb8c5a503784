import pytest
import yaml
from jsonargparse import Namespace

from lightning_nlp.cli.checks import check_settings
from lightning_nlp.errors import UserError
from lightning_nlp.tasks import TASKS
from tests.bad_input.check import check
from tests.conftest import invoke, read_metrics


def settings(model: str = "SequenceClassifier", **changes: object) -> Namespace:
    values: dict[str, object] = {"monitor": "val/accuracy", "mode": "max"}
    values |= {"accumulate_grad_batches": 1, "limit_train_batches": None, **changes}
    choice = Namespace(monitor=values["monitor"], mode=values["mode"])
    return Namespace(
        model=Namespace(class_path=f"somewhere.{model}"),
        early_stopping=choice,
        checkpoint=choice,
        trainer=Namespace({name: values[name] for name in values if name not in ("monitor", "mode")}),
    )


def test_good_settings_pass():
    check_settings(settings())
    check_settings(settings(monitor=None))
    check_settings(settings("MaskedLanguageModel", monitor="val/loss", mode="min"))
    check_settings(settings("OneOfMyOwn", monitor="val/rouge"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitor": "val/acc"}, "give --early_stopping.monitor one of val/loss, val/accuracy"),
        ({"mode": "min"}, "would choose the worst val/accuracy: give --early_stopping.mode max"),
        ({"monitor": "val/loss"}, "would choose the worst val/loss: give --early_stopping.mode min"),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be at least 1, not 0"),
        ({"limit_train_batches": 0}, "--trainer.limit_train_batches 0 leaves nothing"),
    ],
)
def test_senseless_settings(changes, message):
    with pytest.raises(UserError) as error:
        check_settings(settings(**changes))
    assert message in str(error.value)


@pytest.mark.parametrize(("task", "name"), [("cls", "classification"), ("mlm", "mlm")])
def test_the_known_metrics_are_those_that_are_logged(task, name, request):
    columns = read_metrics(request.getfixturevalue(f"{task}_run"))[0]
    logged = {key for key in columns if key.startswith("val/")}
    assert logged == set(TASKS[name].monitors)


@pytest.mark.parametrize("name", ["max_epochs", "max_steps"])
def test_a_training_without_a_step_is_no_result(name):
    with pytest.raises(UserError, match=f"--trainer.{name} 0 trains nothing"):
        check_settings(settings(**{name: 0}))
    check_settings(settings(**{name: -1}))  # without end


def test_a_seed_that_is_drawn_is_another_one_each_time_and_written_down(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--seed_everything", "true", "--trainer.max_steps", "1", "--runs_dir", tmp_path]
    seeds = []
    for _ in range(2):
        outcome = invoke(*arguments)
        seeds.append(yaml.safe_load((outcome.run / "config.yaml").read_text(encoding="utf-8"))["seed_everything"])
        assert f"--seed_everything {seeds[-1]}." in outcome.err
    assert seeds[0] != seeds[1]
    check(invoke(*arguments, "--resume", "auto"), "--resume finds no run: give one.")


def test_several_tasks_of_slurm_are_one_sentence(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    check(invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "r"), "SLURM_NTASKS is 4")
    assert not (tmp_path / "r").exists()
    monkeypatch.delenv("SLURM_NTASKS")
    assert invoke("fit", *tiny_cls, "--trainer.max_steps", "1", "--runs_dir", tmp_path / "r").code == 0
