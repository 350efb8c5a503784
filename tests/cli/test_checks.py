import pytest
import yaml

from lightning_nlp.tasks import TASKS
from tests.bad_input.check import check
from tests.conftest import invoke, read_metrics


@pytest.mark.parametrize(("task", "name"), [("cls", "classification"), ("mlm", "mlm")])
def test_the_known_metrics_are_those_that_are_logged(task, name, request):
    columns = read_metrics(request.getfixturevalue(f"{task}_run"))[0]
    logged = {key for key in columns if key.startswith("val/")}
    assert logged == set(TASKS[name].monitors)


def test_a_seed_that_is_drawn_is_another_one_each_time_and_written_down(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--seed_everything", "true", "--trainer.max_steps", "1", "--runs_dir", tmp_path]
    seeds = []
    for _ in range(2):
        outcome = invoke(*arguments)
        seeds.append(yaml.safe_load((outcome.run / "config.yaml").read_text(encoding="utf-8"))["seed_everything"])
        assert f"--seed_everything {seeds[-1]}." in outcome.err
    assert seeds[0] != seeds[1]
    check(invoke(*arguments, "--resume", "auto"), "--resume finds no run: give a number.")


def test_several_tasks_of_slurm_are_one_sentence(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    check(invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "r"), "SLURM_NTASKS is 4")
    assert not (tmp_path / "r").exists()
    monkeypatch.delenv("SLURM_NTASKS")
    assert invoke("fit", *tiny_cls, "--trainer.max_steps", "1", "--runs_dir", tmp_path / "r").code == 0
