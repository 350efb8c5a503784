from pathlib import Path

import pytest
import torch
import yaml

from lightning_nlp.errors import UserError
from lightning_nlp.run import runs
from tests.bad_input.check import check
from tests.conftest import checkpoint_of, ctrl_c, files_below, invoke, read_losses, read_metrics, write_reviews

NO_DROPOUT = ["--model.dropout", "0", "--model.schedule", "linear"]


def test_new_runs_count_up_and_never_share(tmp_path, monkeypatch):
    made = [runs.new_run(tmp_path, "cls")[0] for _ in range(3)]
    assert made == [tmp_path / "cls" / str(n) for n in range(3)]
    (tmp_path / "cls" / "7").mkdir()
    (tmp_path / "cls" / "notes").mkdir()
    assert runs.new_run(tmp_path, "cls")[0] == tmp_path / "cls" / "8"
    killed = tmp_path / "cls" / "8"
    for name in (runs.LOCK, "config.unfinished"):
        (killed / name).touch()
    assert runs.unfinished_run(tmp_path, "cls", "trainer: {}") == killed, "it had no configuration yet"
    monkeypatch.setattr(runs, "numbers", lambda parent: [])  # both looked before either made its own
    assert [runs.new_run(tmp_path, "other")[0].name for _ in range(3)] == ["0", "1", "2"]


def test_runs_are_found_again_and_removed(tmp_path):
    (run, _), (other, _) = runs.new_run(tmp_path / "runs", "cls"), runs.new_run(tmp_path / "runs", "cls")
    with pytest.raises(UserError, match=r"did you mean .*cls/1\?"):
        runs.existing_run(str(run.parent))
    with pytest.raises(UserError, match="no such directory"):
        runs.existing_run(str(run / "4"))
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    assert runs.latest_run(tmp_path / "runs", "cls", runs.LAST) == run, "the newest that has one"
    with pytest.raises(UserError, match=r"No run under .*cls has a best checkpoint"):
        runs.latest_run(tmp_path / "runs", "cls", runs.BEST)
    runs.discard(other)
    assert run.is_dir()
    assert not other.exists()
    runs.discard(run)
    assert not (tmp_path / "runs").exists()


def same_training(one: Path, other: Path) -> None:
    """Both runs logged the same metrics in the same steps and have the same weights, to the bit."""
    assert read_losses(other) == read_losses(one)
    ours, theirs = (checkpoint_of(run)["state_dict"] for run in (one, other))
    assert len(ours) > 10
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    best = [checkpoint_of(run, "best") for run in (one, other)]
    assert best[0]["global_step"] == best[1]["global_step"]


@pytest.fixture(scope="module")
def constant(tiny_cls, tmp_path_factory):
    """A training whose learning rate does not depend on its length: its arguments, and its run."""
    arguments = [*tiny_cls, *NO_DROPOUT, "--model.schedule", "constant", "--model.warmup_ratio", "0"]
    return arguments, invoke("fit", *arguments, "--runs_dir", tmp_path_factory.mktemp("whole")).run


@pytest.mark.parametrize(("limit", "steps"), [(["--trainer.max_steps", "10"], 10), (["--trainer.max_epochs", "1"], 7)])
def test_a_training_goes_on_after_its_end(limit, steps, constant, tmp_path):
    arguments, whole = constant
    stopped = invoke("fit", *arguments, "--runs_dir", tmp_path, *limit).run
    assert checkpoint_of(stopped)["global_step"] == steps
    same_training(whole, invoke("fit", *arguments, "--runs_dir", tmp_path, "--ckpt_path", "last").run)


def test_the_command_line_beats_the_checkpoint(tiny_cls, tmp_path):
    arguments = [*tiny_cls, "--model.schedule", "constant", "--model.warmup_ratio", "0", "--runs_dir", tmp_path]
    assert invoke("fit", *arguments, "--model.lr", "0.01", "--trainer.max_steps", "5").code == 0
    run = invoke("fit", *arguments, "--model.lr", "0.002", "--ckpt_path", "last").run
    rates = [float(row["train/lr"]) for row in read_metrics(run) if row["train/lr"]]
    assert rates == pytest.approx([0.01] * 5 + [0.002] * 9)
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["init_args"]["lr"] == 0.002


def test_other_checkpoints_start_a_run_of_their_own(tiny_cls, tmp_path):
    arguments = [*tiny_cls, "--runs_dir", tmp_path]
    first = invoke("fit", *arguments, "--trainer.max_epochs", "1").run
    before = {name: (first / name).stat().st_mtime_ns for name in files_below(first)}
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes((first / "checkpoints" / "last.ckpt").read_bytes())
    for number, given in enumerate(("best", copy), start=1):
        outcome = invoke("fit", *arguments, "--ckpt_path", given)
        assert outcome.run == first.parent / str(number), outcome.err
        steps = [int(row["step"]) for row in read_metrics(outcome.run)]
        assert steps == list(range(7, 15))
    assert {name: (first / name).stat().st_mtime_ns for name in files_below(first)} == before
    # a foreign best_model_path in the checkpoint must not be taken for this run's
    stopped = invoke("fit", *arguments, "--ckpt_path", copy, "--trainer.max_steps", "8")
    assert (stopped.run / "checkpoints" / "best.ckpt").is_file()


def test_a_resume_that_fails_leaves_the_run_as_it_was(tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--runs_dir", tmp_path, "--trainer.max_epochs", "1").run
    before = {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()}
    for mistake in (["--data.path", "nowhere.csv"], ["--data.vocab_size", "100"], ["--model.lr", "0"]):
        outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path, "--ckpt_path", "last", *mistake)
        assert outcome.code == 2, outcome.err
        assert {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()} == before


def test_resume_auto_starts_a_run_goes_on_with_it_and_starts_another(tiny_cls, tmp_path):
    arguments = [*tiny_cls, "--model.dropout", "0.2", "--runs_dir", tmp_path, "--resume", "auto"]
    whole = invoke("fit", *tiny_cls, "--model.dropout", "0.2", "--runs_dir", tmp_path / "whole").run
    with ctrl_c("on_train_batch_end", [4]):
        assert invoke("fit", *arguments).code == 130
    other = invoke("fit", *arguments, "--model.lr", "0.02")
    assert other.run.name == "1", "another configuration"
    resumed = invoke("fit", *arguments, "--save_minutes", "5", "--trainer.max_time", "01:00:00:00")
    assert resumed.run.name == "0"
    same_training(whole, resumed.run)
    assert invoke("fit", *arguments).run.name == "2", "the one before is complete"
    check(invoke("fit", *arguments, "--ckpt_path", "last"), "leave out --ckpt_path last")


def test_a_run_whose_file_changes_ends_as_if_it_had_not(tiny_cls, tmp_path):
    data = write_reviews(tmp_path / "reviews.csv")
    arguments = [*tiny_cls, *NO_DROPOUT, "--data.path", data, "--data.cache_dir", tmp_path / "cache"]
    whole = invoke("fit", *arguments, "--runs_dir", tmp_path / "whole").run
    with ctrl_c("on_train_batch_end", [4]):
        assert invoke("fit", *arguments, "--runs_dir", tmp_path, "--resume", "auto").code == 130
    lines = data.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join(lines[:20]) + "\n", encoding="utf-8")  # fewer texts than steps would need
    told = ["--trainer.enable_progress_bar", "true"]
    resumed = invoke("fit", *arguments, "--runs_dir", tmp_path, "--resume", "auto", *told)
    assert resumed.run == tmp_path / "quickstart" / "0", resumed.err
    assert "reviews.csv has changed since this run began: the run's own texts are used" in resumed.err
    assert "49 examples" in resumed.err
    assert "at most 14 steps in 2 epochs, 5 of them done" in resumed.err
    same_training(whole, resumed.run)


def test_a_run_that_another_process_trains_is_left_alone(tiny_cls, tmp_path):
    with ctrl_c("on_train_batch_end", [4]):
        invoke("fit", *tiny_cls, "--runs_dir", tmp_path)
    run = tmp_path / "quickstart" / "0"
    held = runs.lock(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path, "--resume", "auto")
    check(outcome, "is being trained by another process")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    runs.unlock(held)
    assert invoke("fit", *tiny_cls, "--runs_dir", tmp_path, "--resume", "auto").code == 0


def test_a_damaged_last_checkpoint_gives_way_to_the_best_one(tiny_cls, tmp_path):
    arguments = [*tiny_cls, "--model.dropout", "0.2", "--runs_dir", tmp_path]
    whole = invoke("fit", *tiny_cls, "--model.dropout", "0.2", "--runs_dir", tmp_path / "whole").run
    with ctrl_c("on_train_batch_end", [10]):  # the validation of step 7 was the best so far
        assert invoke("fit", *arguments).code == 130
    last = tmp_path / "quickstart" / "0" / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    resumed = invoke("fit", *arguments, "--ckpt_path", "last")
    assert "last.ckpt is damaged" in resumed.err
    assert "continuing from best.ckpt after step 7, which repeats 4 steps" in resumed.err
    same_training(whole, resumed.run)
    for name in ("last.ckpt", "best.ckpt"):
        last.with_name(name).write_bytes(last.with_name(name).read_bytes()[:-100])
    check(invoke("fit", *arguments, "--ckpt_path", "last"), "there is no other to resume from")
    assert (resumed.run / "export").is_dir(), "nothing is changed"
