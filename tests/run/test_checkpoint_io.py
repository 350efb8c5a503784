import errno
import random

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_nlp.errors import UserError
from lightning_nlp.run import checkpoint_io
from lightning_nlp.run.checkpoint_io import WholeFiles, damage
from tests.conftest import checkpoint_of, full_disk, invoke


def checkpoint(value=1.0):
    return {"state_dict": {name: torch.full((16, 16), value) for name in "abcd"}, "global_step": 3}


def test_a_checkpoint_comes_back_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    for value in (1.0, 2.0):
        WholeFiles().save_checkpoint(checkpoint(value), path)
    loaded = WholeFiles().load_checkpoint(path, weights_only=True)
    assert loaded["global_step"] == 3
    assert loaded["state_dict"]["a"].eq(2).all()
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_costs_no_checkpoint(tmp_path, before, monkeypatch):
    monkeypatch.setattr(checkpoint_io, "RETRY_AFTER_S", ())
    path = tmp_path / "last.ckpt"
    if before:
        WholeFiles().save_checkpoint(checkpoint(1.0), path)
    cure = r"free some space\." if before else "free some space, or give another --runs_dir"
    with pytest.raises(UserError, match=rf"cannot be written \(.*\): {cure}"), full_disk():
        WholeFiles().save_checkpoint(checkpoint(2.0), path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"] * before
    assert not before or torch.load(path, weights_only=True)["state_dict"]["a"].eq(1).all()


def test_what_is_no_folder_of_this_machine_is_left_to_lightning(monkeypatch):
    calls = []
    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", lambda self, *args: calls.append(args))
    WholeFiles().save_checkpoint({}, "s3://bucket/last.ckpt")
    assert calls == [({}, "s3://bucket/last.ckpt", None)]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed")])
def test_a_training_waits_for_room(tiny_cls, cls_run, tmp_path, monkeypatch, error):
    usual, waited, tries = torch.save, [], []

    def save(content, file):
        tries.append(file.name)
        if 3 <= len(tries) <= 5:  # the second validation's, thrice
            raise error
        usual(content, file)

    monkeypatch.setattr(torch, "save", save)
    monkeypatch.setattr(checkpoint_io.time, "sleep", waited.append)
    outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path)
    assert waited == [5.0, 15.0, 40.0]
    (said,) = [line for line in outcome.err.splitlines() if "cannot be written" in line]
    assert "): free some space. The training waits and retries for 10 minutes." in said
    for name in ("best", "last"):
        one, other = (checkpoint_of(run, name) for run in (cls_run, outcome.run))
        assert all(weight.equal(other["state_dict"][key]) for key, weight in one["state_dict"].items())


@pytest.mark.parametrize("blocked", [False, True])
def test_what_waiting_cannot_help_is_not_waited_for(blocked, tmp_path, monkeypatch):
    """A run's directory that was deleted stays so."""
    monkeypatch.setattr(checkpoint_io.time, "sleep", lambda seconds: pytest.fail("waited"))
    if blocked:
        (tmp_path / "run").touch()
    with pytest.raises(UserError, match=r"cannot be written \((No such file|File exists|Not a directory)"):
        WholeFiles().save_checkpoint(checkpoint(), tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["run"] * blocked


def test_damage_is_noticed_or_changes_nothing(tmp_path):
    path, generator = tmp_path / "last.ckpt", random.Random(1)
    content = checkpoint() | {"state_dict": {name: torch.randn(16, 16) for name in "abc"}}
    WholeFiles().save_checkpoint(content, path)
    assert damage(path) is None
    data = path.read_bytes()
    for length in [0, 1, len(data) - 1, *generator.sample(range(2, len(data) - 1), 40)]:
        path.write_bytes(data[:length])
        assert damage(path), f"cut to {length} of {len(data)} bytes"
    ends = [*range(200), *range(len(data) - 1500, len(data))]  # the headers: few bytes, and the ones that zipfile skips
    places = generator.sample(range(len(data)), 150) + generator.sample(ends, 150)
    found = 0
    for place, bit in [(29, 5), *((place, generator.randrange(8)) for place in places)]:  # 29: data beyond the end
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        if damage(path) is not None:
            found += 1
            continue
        loaded = torch.load(path, weights_only=True, mmap=True)
        assert loaded["global_step"] == content["global_step"], f"byte {place}"
        assert loaded["state_dict"].keys() == content["state_dict"].keys(), f"byte {place}"
        assert all(loaded["state_dict"][name].equal(t) for name, t in content["state_dict"].items()), f"byte {place}"
    assert found > 100
    (tmp_path / "text.ckpt").write_text("not a checkpoint\n" * 100)
    assert all(damage(other) for other in (tmp_path / "text.ckpt", tmp_path, tmp_path / "missing.ckpt"))
