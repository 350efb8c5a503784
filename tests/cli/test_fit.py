import pytest

from tests.conftest import HOUSE, SIZES, TRAINER, files_below, invoke, read_metrics

CONFIGS = HOUSE / "configs"


RUN_FILES = {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "export/model.safetensors"}


def test_fit_leaves_a_whole_run_and_nothing_else(tiny_cls, tmp_path, monkeypatch):
    arguments = list(tiny_cls)
    arguments[arguments.index("--data.cache_dir") + 1] = str(tmp_path / "cache")
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    outcome = invoke("fit", *arguments)
    assert outcome.out.splitlines()[-1] == "runs/quickstart/0"
    assert {path.name for path in work.iterdir()} == {"runs"}
    assert {path.name for path in (work / "runs" / "quickstart").iterdir()} == {"0"}
    found = files_below(work / "runs" / "quickstart" / "0")
    assert found >= RUN_FILES
    assert {path.split("/")[0] for path in found} == {
        *("config.yaml", "data.json", "metrics.csv", "checkpoints", "evaluation", "export", "facts.json", "report.html")
    }
    assert files_below(home) == set()
    head = (outcome_run := work / outcome.run / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert head == f"# python train.py fit {' '.join(arguments)}"
    again = invoke("fit", "--config", outcome_run, "--trainer.fast_dev_run", "true")  # reloads
    assert again.code == 0, again.err
    another = invoke("fit", *arguments, "--trainer.max_epochs", "1", "--name", "mine")
    assert another.out.splitlines()[-1] == "runs/mine/0"


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_metrics_csv_has_a_row_for_each_step(task, request):
    run = request.getfixturevalue(f"{task}_run")
    rows = read_metrics(run)
    steps = [int(row["step"]) for row in rows]
    assert steps == list(range(15 if task == "cls" else 19))  # two epochs of 7 or 9 steps, and the test
    stages = {"epoch", "step"} | {key for key in rows[0] if key.split("/")[0] in ("train", "val", "test", "perf")}
    assert set(rows[0]) == stages
    assert all(row["train/loss"] and row["train/lr"] for row in rows[:-1])
    assert [row["step"] for row in rows if row["val/loss"]] == [str(steps[-1] // 2 - 1), str(steps[-1] - 1)]
    assert [row["step"] for row in rows if row["test/loss"]] == [str(steps[-1])]
    measured = [row for row in rows if row["perf/tokens_per_s"]]
    assert len(measured) > 5
    assert all(float(row["perf/tokens_per_s"]) > 0 for row in measured)
    assert all(0 < float(row["perf/padding_efficiency"]) <= 1 for row in measured)


LOCAL = {  # each shipped configuration's own data, and whether it needs a pretrained model
    "cls.yaml": ("reviews", True),
    "own_data.yaml": ("reviews", True),
    "quickstart.yaml": ("reviews", False),
    "mlm.yaml": ("sentences", False),
    "quickstart_mlm.yaml": ("sentences", False),
    "tags.yaml": ("tagged", False),
    "labels.yaml": (None, False),
    "pairs.yaml": (None, False),
    "number.yaml": (None, False),
}


@pytest.mark.parametrize("config", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_shipped_configurations_run_to_the_end(config, request, cache_dir, pretrained, tmp_path):
    assert config in LOCAL, f"configs/{config} has no case here: add it to LOCAL"
    assert invoke("fit", "--config", config, "--print_config").code == 0
    data, needs_pretrained = LOCAL[config]
    arguments = ["--data.path", str(request.getfixturevalue(data))] if data else ["--data.max_train_samples", "100"]
    arguments += ["--data.cache_dir", str(cache_dir)] + ([] if data else ["--data.max_test_samples", "50"])
    arguments += ["--data.max_length", "32", "--data.batch_size", "16", "--runs_dir", str(tmp_path)]
    if needs_pretrained:
        arguments += ["--model.pretrained", str(pretrained)]
    else:
        arguments += [*SIZES, "--data.vocab_size", "300"]
    outcome = invoke("fit", "--config", config, *TRAINER, "--trainer.max_epochs", "1", *arguments)
    assert outcome.run == tmp_path / config.removesuffix(".yaml") / "0"
    assert files_below(outcome.run) >= RUN_FILES
    head = (CONFIGS / config).read_text(encoding="utf-8").splitlines()
    assert head[1].startswith(f"#   python train.py fit --config configs/{config}")


def test_fast_dev_run_leaves_nothing(tiny_cls, tmp_path):
    arguments = ["fit", *tiny_cls, "--trainer.fast_dev_run", "true", "--data.eval_batch_size", "2"]
    outcome = invoke(*arguments, "--runs_dir", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    assert " of 5 texts, drawn at random (--trainer.fast_dev_run)" in outcome.err
    assert not (tmp_path / "r").exists()
