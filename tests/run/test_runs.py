from pathlib import Path

import pytest
import torch
import yaml

from lightning_nlp.errors import UserError
from lightning_nlp.run import runs
from tests.bad_input.check import check
from tests.conftest import checkpoint_of, ctrl_c, files_below, invoke, read_losses, read_metrics


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


def content_of(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in files_below(run) if (run / name).is_file()}


@pytest.fixture(scope="module")
def whole(tiny_cls, tmp_path_factory):
    """The run that `interrupted` would be."""
    return invoke("fit", *tiny_cls, "--model.dropout", "0.2", "--runs_dir", tmp_path_factory.mktemp("whole")).run


@pytest.fixture
def interrupted(tiny_cls, tmp_path):
    """The command of a training that was interrupted after 11 of its 14 steps, and its directory."""
    command = ["fit", *tiny_cls, "--model.dropout", "0.2", "--runs_dir", tmp_path]
    with ctrl_c("on_train_batch_end", [10]):
        assert invoke(*command).code == 130
    return command, tmp_path / "quickstart" / "0"


def test_a_training_goes_on_after_its_end(tiny_cls, tmp_path):
    command = ["fit", *tiny_cls, "--model.schedule", "constant", "--model.warmup_ratio", "0", "--runs_dir"]
    stopped = invoke(*command, tmp_path / "cut", "--trainer.max_steps", "10").run
    assert checkpoint_of(stopped)["global_step"] == 10
    resumed = invoke(*command, tmp_path / "cut", "--ckpt_path", "last").run
    same_training(invoke(*command, tmp_path / "whole").run, resumed)
    assert yaml.safe_load((resumed / "config.yaml").read_text(encoding="utf-8"))["trainer"]["max_steps"] == -1


def test_other_checkpoints_start_a_run_of_their_own(interrupted, tmp_path):
    command, first = interrupted
    before, copy = content_of(first), tmp_path / "copy.ckpt"
    copy.write_bytes((first / "checkpoints" / "last.ckpt").read_bytes())
    for number, (given, step) in enumerate((("best", 7), (copy, 11)), start=1):
        outcome = invoke(*command, "--ckpt_path", given)
        assert outcome.run == first.parent / str(number), outcome.err
        assert [int(row["step"]) for row in read_metrics(outcome.run)] == list(range(step, 15))
    assert content_of(first) == before
    # a foreign best_model_path in the checkpoint must not be taken for this run's
    stopped = invoke(*command, "--ckpt_path", copy, "--trainer.max_steps", "12")
    assert (stopped.run / "checkpoints" / "best.ckpt").is_file()


def test_a_resume_that_fails_leaves_the_run_as_it_was(interrupted):
    command, run = interrupted
    before = content_of(run)
    for mistake in (["--data.path", "nowhere.csv"], ["--data.vocab_size", "100"], ["--model.lr", "0"]):
        check(invoke(*command, "--ckpt_path", "last", *mistake))
        assert content_of(run) == before
    held, before = runs.lock(run), content_of(run)
    check(invoke(*command, "--resume", "auto"), "is being trained by another process")
    assert content_of(run) == before
    runs.unlock(held)
    assert invoke(*command, "--resume", "auto").run == run


def test_resume_auto_goes_on_with_a_run_of_the_same_settings_or_starts_another(interrupted, whole):
    command, run = [*interrupted[0], "--resume", "auto"], interrupted[1]
    assert invoke(*command, "--model.lr", "0.02").run.name == "1", "another configuration"
    resumed = invoke(*command, "--save_minutes", "5", "--trainer.max_time", "01:00:00:00")
    assert resumed.run == run
    same_training(whole, run)
    assert invoke(*command).run.name == "2", "the one before is complete"
    check(invoke(*command, "--ckpt_path", "last"), "leave out --ckpt_path last")


def test_a_damaged_last_checkpoint_gives_way_to_the_best_one(interrupted, whole):
    command, run = [*interrupted[0], "--ckpt_path", "last"], interrupted[1]
    last = run / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    resumed = invoke(*command)
    assert "last.ckpt is damaged" in resumed.err
    assert "continuing from best.ckpt after step 7, which repeats 4 steps" in resumed.err
    same_training(whole, run)
    for path in last.parent.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    check(invoke(*command[:-1], last), "there is no other to resume from")
    assert (run / "export").is_dir(), "nothing is changed"
