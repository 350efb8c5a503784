"""Attempts at one command, killed and repeated until one comes to its end."""

import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.conftest import checkpoint_of
from tests.faults.points import run_child

ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
MOST_SECONDS = 120
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.preload"])


@dataclass
class Attempt:
    code: int  # minus the signal's number if one killed it
    seconds: float
    phases: list[str]  # all that it came to, in order
    out: str
    err: str

    @property
    def steps(self) -> int:
        return self.phases.count("step")


def run(
    arguments: Sequence[str],
    cwd: Path,
    *,
    processes: int = 1,
    rank: int = 0,
    point: str | None = None,
    after: float | None = None,
) -> list[Attempt]:
    """Run a command in forked processes, several of them as torchrun would start them.

    The process of this rank stops itself at `point`, or is killed from outside `after` seconds.
    """
    cwd.mkdir(exist_ok=True)
    environment = dict(ENVIRONMENT)
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment |= {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
        environment |= {"GROUP_RANK": "0", "GLOO_SOCKET_IFNAME": "lo"}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, ENVIRONMENT):
        children = []
        for number in range(processes):
            own = {"RANK": str(number), "LOCAL_RANK": str(number)} if processes > 1 else {}
            stop = point if number == rank else None
            given = (Path(folder), number, [*arguments], cwd, stop, environment | own)
            children.append(FORKS.Process(target=run_child, args=given))
        started = time.monotonic()
        for child in children:
            child.start()
        if after is not None:
            children[rank].join(after)
            children[rank].kill()
        for child in children:
            child.join(max(0.0, started + MOST_SECONDS - time.monotonic()))
        seconds, late = time.monotonic() - started, [child for child in children if child.is_alive()]
        for child in late:
            child.kill()
        assert not late, f"no end within {MOST_SECONDS} s"
        texts = [[(Path(folder) / f"{name}{i}") for name in ("trace", "out", "err")] for i in range(processes)]
        read = [[path.read_text(encoding="utf-8") if path.exists() else "" for path in paths] for paths in texts]
    return [
        Attempt(child.exitcode, seconds, trace.splitlines(), out, err)
        for child, (trace, out, err) in zip(children, read, strict=True)
    ]


@dataclass
class Stop:
    planned: str
    phase: str  # the last that it came to
    step: int  # the training's optimizer steps by then
    lost: int  # those of them that the next attempt has to repeat
    caught: int | None  # the signal that it was to catch; None for SIGKILL

    def __str__(self) -> str:
        return f"{self.planned:28} stopped in {self.phase}, step {self.step}, {self.lost} steps lost"


def last_step(root: Path) -> int:
    """The step of the newest last.ckpt below `root`, 0 without one."""
    found = sorted(root.glob("runs/*/*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    return checkpoint_of(found[-1].parents[1])["global_step"] if found else 0


def is_over(attempt: Attempt, root: Path) -> bool:
    """Whether a killed process had nothing left to do: it had printed its run and released the lock."""
    printed = attempt.out.rpartition("\n")[0].rpartition("\n")[2]
    return printed.startswith("runs/") and not any(root.glob("runs/*/*/.lock"))


def survive(root: Path, arguments: Sequence[str], plan: Sequence[str], *, usual_seconds: float = 0.0) -> list[Stop]:
    """Repeat one command, stopped at each point of the plan in turn, and then let it come to its end.

    The plan has points (see `points.py`), or `at 0.37`: a SIGKILL after that share of `usual_seconds`. An attempt that
    ends before its point is the last.
    """
    stops: list[Stop] = []
    for point in plan:
        before = last_step(root)
        moment = {"after": float(point[3:]) * usual_seconds} if point.startswith("at ") else {"point": point}
        (attempt,) = run(arguments, root, **moment)
        if attempt.code == 0 or is_over(attempt, root):
            return stops
        caught = signal.Signals[point.rpartition(":")[2]] if ":SIG" in point else None
        expected = -signal.SIGKILL if caught is None else 128 + caught
        assert attempt.code == expected, f"{point}: exit code {attempt.code}, not {expected}\n{attempt.err}"
        step = before + attempt.steps
        stops.append(Stop(point, (attempt.phases or ["start"])[-1], step, step - last_step(root), caught))
    (attempt,) = run(arguments, root)
    assert attempt.code == 0, f"the last attempt failed\n{attempt.err}"
    return stops
