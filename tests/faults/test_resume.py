"""A training killed at any moment and resumed ends as one that was never interrupted, to the bit.

The long form: `pytest -m slow -n 0 -s tests/faults`.
"""

import random
import shutil
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import checkpoint_of, train
from tests.faults import cases
from tests.faults.attempts import Attempt, Server, Stop, survive
from tests.faults.compare import differences


class Whole:
    def __init__(self, server: Server, arguments: list[str], root: Path) -> None:
        self.arguments, self.root = arguments, root
        root.mkdir(parents=True)
        self.attempt: Attempt = server.run(arguments, root)
        assert self.attempt.code == 0, self.attempt.err


# Short: each kind of moment once, in four trainings.
SHORT = {
    "cls": {"workers": 0, "packing": True, "accumulate": 4, "tokens": False, "interval": True},
    "mlm": {"workers": 2, "packing": False, "accumulate": 1, "tokens": True, "interval": False},
    "tags": {"workers": 0, "packing": True, "accumulate": 1, "tokens": False, "interval": True},
}


@pytest.fixture(scope="module")
def wholes(server: Server, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    root = tmp_path_factory.mktemp("wholes")
    commands = {task: cases.command(task, data, **choice) for task, choice in SHORT.items()}
    commands["early"] = [*commands["cls"], *cases.STOPS_EARLY]
    commands["averaged"] = [*commands["cls"], *cases.AVERAGED, "--checkpoint.monitor", "null"]  # keeps each
    return {name: Whole(server, arguments, root / name) for name, arguments in commands.items()}


def check(server: Server, whole: Whole, plan: list[str], root: Path) -> list[Stop]:
    """Stop a training as planned, and compare what it comes to."""
    root.mkdir(exist_ok=True)
    stops = survive(server, root, whole.arguments, plan, usual_seconds=whole.attempt.seconds)
    assert [stop.planned for stop in stops] == plan
    assert differences(whole.root, root) == []
    return stops


@pytest.mark.acceptance
def test_the_server_does_what_the_program_does(wholes, tmp_path):
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
def test_killed_and_resumed_is_never_killed(name, plan, server, wholes, tmp_path):
    check(server, wholes[name], plan, tmp_path / "killed")


@pytest.mark.parametrize(
    ("name", "point"),
    # the last two save in mid-validation, as none does in the first, which comes between a step's batches
    [("cls", "batch:22:SIGTERM"), ("cls", "validation:17:SIGHUP"), ("averaged", "validation:17:SIGTERM")],
)
def test_a_signal_saves_and_ends_soon(name, point, server, wholes, tmp_path):
    (stop,) = check(server, wholes[name], [point], tmp_path / "stopped")
    assert stop.step < wholes[name].attempt.steps
    assert stop.lost == 0


def test_training_that_stopped_early_does_so_in_these_tests(wholes):
    steps = wholes["early"].attempt.steps
    assert 0 < steps < 9 * wholes["cls"].attempt.steps / 3


def test_differences_are_found(wholes, tmp_path):
    whole = wholes["cls"].root
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    # its checkpoints name the other directory, as nothing else does
    assert all("best_model_path" in line or "dirpath" in line or "best_k" in line for line in differences(whole, copy))
    usual = len(differences(whole, copy))
    (run,) = (copy / "runs").glob("*/0")
    weights = checkpoint_of(run)
    next(iter(weights["state_dict"].values())).view(-1)[0] += 1e-6
    weights["lr_schedulers"][0]["last_epoch"] += 1
    torch.save(weights, run / "checkpoints" / "last.ckpt")
    lines = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()
    (run / "metrics.csv").write_text("\n".join([*lines[:3], *lines[4:]]), encoding="utf-8")
    (run / "checkpoints" / "best.ckpt.unfinished").touch()
    (run / "export" / "model.safetensors").unlink()
    assert len(differences(whole, copy)) == usual + 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills(server, data, tmp_path, capsys):
    started, rng = time.monotonic(), random.Random(4)
    stops: list[Stop] = []
    wrong: list[str] = []
    for turn, (name, arguments) in enumerate({**cases.matrix(data), **cases.special(data)}.items()):
        whole = Whole(server, arguments, tmp_path / name / "whole")
        plans = cases.PLANS.get(name) or cases.draw_plans(whole.attempt.phases, turn, rng)
        with capsys.disabled():
            print(f"\n{name}: {whole.attempt.steps} steps, {whole.attempt.seconds:.1f} s")
        for number, plan in enumerate(plans):
            root = tmp_path / name / str(number)
            root.mkdir()
            try:
                met = survive(server, root, arguments, plan, usual_seconds=whole.attempt.seconds)
                found = differences(whole.root, root)
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
