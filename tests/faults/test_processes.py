"""Trainings of several processes: as one process trains, and what is left when one of them goes."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import HOUSE, read_metrics
from tests.conftest import train as run_alone
from tests.faults import cases
from tests.faults.attempts import ENVIRONMENT, run
from tests.faults.compare import differences

PLAIN = {"workers": 0, "accumulate": 1, "tokens": False, "interval": False, "packing": True}
NO_DROPOUT = "--model.dropout 0 --model.attention_dropout 0 --model.lr 0.001 --trainer.log_every_n_steps 1".split()
ACCEPTANCE = pytest.mark.acceptance


def run_of(folder):
    (found,) = folder.glob("runs/*/*")
    return found


def train(processes, arguments, folder, **point):
    return run([*arguments, "--trainer.devices", str(processes)], folder, processes=processes, **point)


def succeed(processes, arguments, folder):
    attempts = train(processes, arguments, folder)
    assert [attempt.code for attempt in attempts] == [0] * processes, attempts[-1].err
    return attempts


def batches_of(size, processes):
    """The same number of texts a step, whatever the number of processes."""
    return [f"--data.{name}={size // processes}" for name in ("batch_size", "eval_batch_size")]


def assert_close(folder, other):
    """The rows of two runs' metrics are equal but for rounding, and speeds."""
    rows, others = (read_metrics(run_of(root)) for root in (folder, other))
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    for row, its in zip(rows, others, strict=True):
        for name in (name for name in row if not name.startswith("perf/") and row[name]):
            assert float(its[name]) == pytest.approx(float(row[name]), rel=1e-5, abs=1e-5), (name, row["step"])


def steps_of_one_run(folder):
    """The steps with a row in metrics.csv, none of them twice."""
    steps = [int(row["step"]) for row in read_metrics(run_of(folder))]
    assert steps == sorted(set(steps))
    return steps


@pytest.mark.parametrize(
    ("task", "packing", "accumulate", "most"),
    [
        ("mlm", True, 2, 2),
        ("cls", False, 1, 2),
        ("tags", True, 1, 2),
        pytest.param("mlm", False, 1, 4, marks=ACCEPTANCE),
        pytest.param("cls", True, 2, 4, marks=ACCEPTANCE),
    ],
)
def test_several_processes_train_and_measure_as_one(task, packing, accumulate, most, data, tmp_path):
    base = [*cases.command(task, data, **PLAIN | {"packing": packing, "accumulate": accumulate}), *NO_DROPOUT]
    alone, together = tmp_path / "alone", tmp_path / "together"
    succeed(1, [*base, *batches_of(16, 1)], alone)
    first, *others = succeed(most, [*base, *batches_of(16, most)], together)
    assert first.out.splitlines()[-1] == str(run_of(together).relative_to(together))
    assert all(other.out == other.err == "" for other in others), "one process speaks for all"
    assert len(steps_of_one_run(alone)) >= 18 // accumulate
    assert_close(alone, together)
    if task == "cls":
        measured, its = (load_file(run_of(root) / "evaluation" / "test.safetensors") for root in (alone, together))
        for name in measured:
            if not name.startswith("proof/"):  # of the texts that the first process had
                np.testing.assert_allclose(its[name], measured[name], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def commands(data, tmp_path_factory):
    """A training from the token cache, and one from a stream of three shards."""
    folder = tmp_path_factory.mktemp("shards")
    lines = (data / "sentences.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    for shard in range(3):
        (folder / f"part-{shard}.txt").write_text("".join(lines[shard::3]), encoding="utf-8")
    cached = cases.command("mlm", data, **PLAIN | {"tokens": True, "interval": True})
    stream = [*cached, "--data", "lightning_nlp.StreamingDataModule", "--data.path", f"{folder}/*.txt"]
    stream += "--trainer.max_steps 30 --data.max_val_samples 20 --data.max_test_samples 20".split()
    return {"cached": cached, "stream": [*stream, "--data.shuffle_rows", "40"]}


@pytest.fixture(scope="module", params=["cached"])
def whole(request, commands, tmp_path_factory):
    """The arguments of a training of two processes that nothing interrupts, and its folder."""
    folder = tmp_path_factory.mktemp("together") / "whole"
    succeed(2, commands[request.param], folder)
    return commands[request.param], folder


@pytest.mark.parametrize(
    ("whole", "killed"),
    [("cached", 1), pytest.param("cached", 0, marks=ACCEPTANCE), pytest.param("stream", 1, marks=ACCEPTANCE)],
    indirect=["whole"],
)
def test_a_lost_process_ends_all_and_the_training_goes_on_exactly(killed, whole, tmp_path):
    arguments, folder = whole
    attempts = train(2, arguments, tmp_path, point="step:9", rank=killed)
    assert attempts[killed].code == -signal.SIGKILL
    survivor = attempts[1 - killed]
    assert survivor.code == 1
    assert "Traceback" not in survivor.err
    who = "" if killed else "process 1: "
    (line,) = [line for line in survivor.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {who}Another process of this training has ended (")
    assert line.endswith("go on with the same command and --resume auto.")
    succeed(2, arguments, tmp_path)
    assert differences(folder, tmp_path) == []


def test_a_signal_to_one_process_saves_the_training_of_all(whole, tmp_path):
    arguments, folder = whole
    first, second = train(2, arguments, tmp_path, point="step:9:SIGTERM", rank=1)
    assert (first.code, second.code) == (143, 143)
    assert "Interrupted after step" in first.err
    assert second.err == ""
    succeed(2, arguments, tmp_path)
    assert differences(folder, tmp_path) == []


@ACCEPTANCE
def test_other_numbers_of_processes_go_on_where_one_stopped(data, tmp_path):
    arguments = cases.command("mlm", data, **PLAIN | {"tokens": True})
    assert train(2, arguments, tmp_path, point="step:9:SIGTERM")[0].code == 143
    (attempt,) = train(1, arguments, tmp_path, point="step:2:SIGTERM")
    assert attempt.code == 143
    changed = r"have changed: 2 of the old ones were done in epoch \d, and \d+ of the new ones are left"
    assert re.search(changed, attempt.err)
    first, *_ = succeed(3, arguments, tmp_path)
    assert "The batches have changed: " in first.err
    steps_of_one_run(tmp_path)


@ACCEPTANCE
def test_a_stream_goes_on_with_another_number_of_processes(commands, tmp_path):
    assert train(2, commands["stream"], tmp_path, point="step:9:SIGTERM")[0].code == 143
    (attempt,) = succeed(1, commands["stream"], tmp_path)
    assert len(re.findall(r"at its next block of texts: \d+ examples left in \d+ begun block", attempt.err)) == 1
    assert steps_of_one_run(tmp_path)[-1] == 30


@ACCEPTANCE
def test_as_many_examples_a_step_go_on_exactly_on_more_processes(data, tmp_path):
    base = [*cases.command("cls", data, **PLAIN), *NO_DROPOUT]
    succeed(1, [*base, *batches_of(8, 1)], tmp_path / "whole")
    (attempt,) = train(1, [*base, *batches_of(8, 1)], tmp_path / "grown", point="step:9:SIGTERM")
    assert attempt.code == 143
    resumed = [option for option in base if option not in ("--resume", "auto")]
    succeed(2, [*resumed, *batches_of(8, 2), "--ckpt_path", "last"], tmp_path / "grown")
    assert_close(tmp_path / "whole", tmp_path / "grown")


def test_data_that_cannot_be_prepared_end_all_with_one_error(data, tmp_path):
    (tmp_path / "broken.csv").write_text("text,stars\ngood,1\n")
    arguments = [*cases.command("cls", data, **PLAIN), "--data.path", str(tmp_path / "broken.csv")]
    first, second = train(2, arguments, tmp_path)
    assert (first.code, second.code, second.err) == (2, 2, "")
    (line,) = [line for line in first.err.splitlines() if line.startswith("error: ")]
    assert "label" in line
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.fixture
def torchrun(tmp_path):
    """Starts a training of two processes in `tmp_path`; nothing of it outlives the test."""
    started = []

    def start(*arguments, restarts=0, own_store=True):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        command += ["--max-restarts", str(restarts), "--monitor_interval", "0.1", HOUSE / "train.py", *arguments]
        environment = {**os.environ, **ENVIRONMENT, "GLOO_SOCKET_IFNAME": "lo"}
        environment |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"} if own_store else {}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([*command, "--trainer.devices", "2"], cwd=tmp_path, env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            for worker in workers(process):
                os.kill(worker, signal.SIGKILL)
            process.kill()
            process.communicate()


def workers(process):
    """The process ids of a torchrun's processes."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


@ACCEPTANCE
def test_restarts_that_would_mix_their_attempts_up_are_refused(torchrun, data, tmp_path):
    _, err = torchrun(*cases.command("cls", data, **PLAIN), restarts=1, own_store=False).communicate(timeout=120)
    assert err.count("set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1") >= 2  # in each attempt; by both if one is 5 s late
    assert not list(tmp_path.glob("runs/*/*"))


@ACCEPTANCE
def test_torchrun_restarts_a_training_that_has_lost_a_process(torchrun, data, tmp_path):
    arguments = [*cases.command("cls", data, **PLAIN), "--trainer.max_epochs", "60", "--save_minutes", "0.01"]
    process = torchrun(*arguments, restarts=1)
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(workers(process)[-1], signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    steps_of_one_run(tmp_path)
    assert out.splitlines()[-1].endswith("quickstart/0")


@ACCEPTANCE
def test_lightning_starts_the_others_itself(data, tmp_path):
    arguments = [*cases.command("cls", data, **PLAIN), "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    done = run_alone(*arguments, cwd=tmp_path, GLOO_SOCKET_IFNAME="lo")
    assert done.returncode == 0, done.stderr
    assert "2 processes of CPU" in done.stderr
    assert run_of(tmp_path) == tmp_path / done.stdout.splitlines()[-1]
    assert (run_of(tmp_path) / "export" / "model.safetensors").is_file()
