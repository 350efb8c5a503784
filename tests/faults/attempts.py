"""Attempts at one command, killed and repeated until one comes to its end."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import HOUSE, checkpoint_of

ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
MOST_SECONDS = 120


@dataclass
class Attempt:
    code: int  # minus the signal's number if one killed it
    seconds: float  # until it had done all that it did, without those that a process needs to end
    phases: list[str] = field(default_factory=list)  # all that it came to, in order
    out: str = ""
    err: str = ""

    @property
    def steps(self) -> int:
        return self.phases.count("step")


class Server:
    """Starts commands in forks of one process that has imported everything."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", "tests.faults.server"]
        self._process = subprocess.Popen(command, cwd=HOUSE, env={**os.environ, **ENVIRONMENT}, **pipes)

    def close(self) -> None:
        self._process.communicate(timeout=MOST_SECONDS)

    def run(self, arguments: Sequence[str], cwd: Path, point: str | None = None, after: float | None = None) -> Attempt:
        return self.run_together(1, arguments, cwd, point=point, after=after)[0]

    def run_together(
        self,
        processes: int,
        arguments: Sequence[str],
        cwd: Path,
        *,
        point: str | None = None,
        rank: int = 0,
        after: float | None = None,
    ) -> list[Attempt]:
        """Run a command in several children, as torchrun does.

        The one of this rank stops itself at `point`, or is killed from outside `after` so many seconds.
        """
        files = {name: str(self.scratch / name) for name in ("out", "err", "trace")}
        for number in range(processes):
            Path(f"{files['trace']}{number}").write_text("")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
        environment |= {"GROUP_RANK": "0", "GLOO_SOCKET_IFNAME": "lo"}
        request = {"arguments": list(arguments), "cwd": str(cwd), "point": point, "processes": processes, "rank": rank}
        assert self._process.stdin is not None
        print(json.dumps({**request, **files, "environment": environment}), file=self._process.stdin, flush=True)
        children = self._answer(MOST_SECONDS)["pids"]
        result = self._answer(MOST_SECONDS if after is None else after, or_none=after is not None)
        if result is None:
            os.kill(children[rank], signal.SIGKILL)
            result = self._answer(MOST_SECONDS)
        return [_attempt(result, number, files) for number in range(processes)]

    def _answer(self, seconds: float, or_none: bool = False) -> Any:
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], seconds)[0]:
            if or_none:
                return None
            self._process.kill()
            raise AssertionError(f"the child did not end within {seconds} s")
        line = stdout.readline()
        assert line, "the server has died"
        return json.loads(line)


def _attempt(result: dict[str, Any], number: int, files: dict[str, str]) -> Attempt:
    texts = {name: Path(f"{path}{number}").read_text(encoding="utf-8") for name, path in files.items()}
    marks = [line.split(" ", 1) for line in texts["trace"].splitlines()]
    times = {phase: float(when) for when, phase in marks}
    return Attempt(
        code=result["codes"][number],
        seconds=max(times.values(), default=result["ended"]) - result["started"],
        phases=[phase for _, phase in marks],
        out=texts["out"],
        err=texts["err"],
    )


@dataclass
class Stop:
    planned: str
    phase: str  # what it had come to last
    call: int  # and for which time in this attempt
    step: int  # the training's optimizer steps by then
    lost: int  # those of them that the next attempt has to repeat
    caught: int | None  # the signal that it was to catch; None for SIGKILL

    def __str__(self) -> str:
        return f"{self.planned:28} stopped in {self.phase} {self.call}, step {self.step}, {self.lost} steps lost"


def last_step(root: Path) -> int:
    """The step of the newest last.ckpt below `root`, 0 without one."""
    found = sorted(root.glob("runs/*/*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    return checkpoint_of(found[-1].parents[1])["global_step"] if found else 0


def is_over(attempt: Attempt, root: Path) -> bool:
    """Whether a process that was killed had done all: it had named its run and given the lock back."""
    return attempt.out.rpartition("\n")[0].rpartition("\n")[2].startswith("runs/") and not any(
        root.glob("runs/*/*/.lock")
    )


def survive(
    server: Server, root: Path, arguments: Sequence[str], plan: Sequence[str], *, usual_seconds: float = 0.0
) -> list[Stop]:
    """Repeat one command, stopped at each point of the plan in turn, and then let it come to its end.

    The plan has points (see `points.py`), or `at 0.37`: a SIGKILL after that share of `usual_seconds`. An attempt that
    ends before its point is the last.
    """
    stops: list[Stop] = []
    for point in plan:
        before = last_step(root)
        if point.startswith("at "):
            attempt = server.run(arguments, root, after=float(point[3:]) * usual_seconds)
        else:
            attempt = server.run(arguments, root, point=point)
        if attempt.code == 0 or is_over(attempt, root):
            return stops
        caught = signal.Signals[point.rpartition(":")[2]] if ":SIG" in point else None
        expected = -signal.SIGKILL if caught is None else 128 + caught
        assert attempt.code == expected, f"{point}: exit code {attempt.code}, not {expected}\n{attempt.err}"
        phase = attempt.phases[-1] if attempt.phases else "start"
        step = before + attempt.steps
        stops.append(Stop(point, phase, attempt.phases.count(phase), step, step - last_step(root), caught))
    attempt = server.run(arguments, root)
    assert attempt.code == 0, f"the last attempt failed\n{attempt.err}"
    return stops
