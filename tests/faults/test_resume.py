"""A training killed at any moment and resumed ends as one that was never interrupted, to the bit.

The long form: `pytest -m slow -n 0 -s tests/faults`.
"""

import random
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tests.conftest import checkpoint_of, train
from tests.faults import cases
from tests.faults.attempts import Attempt, Stop, run, survive
from tests.faults.compare import differences


class Whole(NamedTuple):
    """A training that nothing interrupts."""

    arguments: list[str]
    root: Path
    attempt: Attempt


def whole(arguments: list[str], root: Path) -> Whole:
    (attempt,) = run(arguments, root)
    assert attempt.code == 0, attempt.err
    return Whole(arguments, root, attempt)


# Each kind of moment once, in few trainings.
SHORT = {
    "cls": {"workers": 0, "packing": True, "accumulate": 4, "tokens": False, "interval": True},
    "mlm": {"workers": 2, "packing": False, "accumulate": 1, "tokens": True, "interval": False},
    "tags": {"workers": 0, "packing": True, "accumulate": 1, "tokens": False, "interval": True},
}


@pytest.fixture(scope="module")
def wholes(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    root = tmp_path_factory.mktemp("wholes")
    commands = {task: cases.command(task, data, **choice) for task, choice in SHORT.items()}
    commands["early"] = [*commands["cls"], *cases.STOPS_EARLY]
    commands["averaged"] = [*commands["cls"], *cases.AVERAGED, "--checkpoint.monitor", "null"]  # keeps each
    return {name: whole(arguments, root / name) for name, arguments in commands.items()}


def check(whole: Whole, plan: list[str], root: Path) -> list[Stop]:
    """Stop a training as planned, and compare its end."""
    stops = survive(root, whole.arguments, plan)
    assert [stop.planned for stop in stops] == plan
    assert differences(whole.root, root) == []
    return stops


@pytest.mark.acceptance
def test_a_fork_does_what_the_program_does(wholes, tmp_path):
    child = train(*wholes["mlm"].arguments, cwd=tmp_path)
    assert child.returncode == 0, child.stderr
    assert differences(wholes["mlm"].root, tmp_path) == []


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("cls", ["tokens:2", "batch:6"]),  # twice before there is a checkpoint, then between the batches of a step
        ("cls", ["batch:23", "half a checkpoint:1"]),
        pytest.param("mlm", ["step:20", "half a row:9", "validation:2"], marks=pytest.mark.acceptance),
        ("mlm", ["new best.ckpt:2", "half an export:1"]),
        ("tags", ["batch:15", "validation:2", "half an export:1"]),
        ("early", ["test:2", "export:1"]),
        ("averaged", ["batch:21", "validation:2"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_killed_and_resumed_is_never_killed(name, plan, wholes, tmp_path):
    check(wholes[name], plan, tmp_path / "killed")


@pytest.mark.parametrize(
    ("name", "point"),
    # the last two save in mid-validation, the first between a step's batches, so that it does not save at once
    [("cls", "batch:22:SIGTERM"), ("cls", "validation:17:SIGHUP"), ("averaged", "validation:17:SIGTERM")],
)
def test_a_signal_saves_and_ends_soon(name, point, wholes, tmp_path):
    (stop,) = check(wholes[name], [point], tmp_path / "stopped")
    assert stop.step < wholes[name].attempt.steps
    assert stop.lost == 0


def test_training_that_stopped_early_does_so_in_these_tests(wholes):
    assert 0 < wholes["early"].attempt.steps < 9 * wholes["cls"].attempt.steps / 3


def test_differences_are_found(wholes, tmp_path):
    original, copy = wholes["cls"].root, tmp_path / "copy"
    shutil.copytree(original, copy)
    # its checkpoints name the other directory, as nothing else does
    usual = differences(original, copy)
    assert all("best_model_path" in line or "dirpath" in line or "best_k" in line for line in usual)
    (folder,) = (copy / "runs").glob("*/0")
    weights = checkpoint_of(folder)
    next(iter(weights["state_dict"].values())).view(-1)[0] += 1e-6
    weights["lr_schedulers"][0]["last_epoch"] += 1
    torch.save(weights, folder / "checkpoints" / "last.ckpt")
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    (folder / "metrics.csv").write_text("\n".join([*lines[:3], *lines[4:]]), encoding="utf-8")
    (folder / "checkpoints" / "best.ckpt.unfinished").touch()
    (folder / "export" / "model.safetensors").unlink()
    assert len(differences(original, copy)) == len(usual) + 6  # the row is missing, and so is its step


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills(data, tmp_path, capsys):
    started, rng = time.monotonic(), random.Random(4)
    stops: list[Stop] = []
    wrong: list[str] = []
    for turn, (name, (arguments, plans)) in enumerate({**cases.matrix(data), **cases.special(data)}.items()):
        (tmp_path / name).mkdir()
        uncut = whole(arguments, tmp_path / name / "whole")
        plans = plans or cases.draw_plans(uncut.attempt.phases, turn, rng)
        with capsys.disabled():
            print(f"\n{name}: {uncut.attempt.steps} steps, {uncut.attempt.seconds:.1f} s")
        for number, plan in enumerate(plans):
            root = tmp_path / name / str(number)
            try:
                met = survive(root, arguments, plan, usual_seconds=uncut.attempt.seconds)
                found = differences(uncut.root, root)
            except AssertionError as error:
                met, found = [], [str(error)]
            stops += met
            wrong += [f"{name} {plan}: {line}" for line in found]
            with capsys.disabled():
                print(*(f"  {stop}" for stop in met), f"  {'equal' if not found else found[:3]}", sep="\n")
    kills = sum(stop.caught is None for stop in stops)
    with capsys.disabled():
        print(f"{kills} kills, {len(stops) - kills} other stops, {time.monotonic() - started:.0f} s")
        print(f"most steps lost: {max(stop.lost for stop in stops)}")
    assert wrong == []
    assert kills >= 100
