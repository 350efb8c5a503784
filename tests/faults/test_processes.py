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
from tests.faults.attempts import ENVIRONMENT
from tests.faults.compare import differences

PLAIN = {"workers": 0, "accumulate": 1, "tokens": False, "interval": False}
NO_DROPOUT = "--model.dropout 0 --model.attention_dropout 0 --model.lr 0.001 --trainer.log_every_n_steps 1".split()


def run_of(folder):
    (run,) = folder.glob("runs/*/*")
    return run


def train(server, processes, arguments, folder, **point):
    folder.mkdir(exist_ok=True)
    return server.run_together(processes, [*arguments, "--trainer.devices", str(processes)], folder, **point)


def succeed(server, processes, arguments, folder):
    attempts = train(server, processes, arguments, folder)
    assert [attempt.code for attempt in attempts] == [0] * processes, attempts[-1].err
    return attempts


@pytest.mark.parametrize(
    ("task", "packing", "accumulate", "most"),
    [
        ("mlm", True, 2, 2),
        ("cls", False, 1, 2),
        ("tags", True, 1, 2),
        pytest.param("mlm", False, 1, 4, marks=pytest.mark.acceptance),
        pytest.param("cls", True, 2, 4, marks=pytest.mark.acceptance),
    ],
)
def test_several_processes_train_and_measure_as_one(task, packing, accumulate, most, server, data, tmp_path):
    base = [*cases.command(task, data, packing=packing, **PLAIN | {"accumulate": accumulate}), *NO_DROPOUT]
    rows, predictions = [], []
    for processes in (1, most):
        sizes = ["--data.batch_size", str(16 // processes), "--data.eval_batch_size", str(16 // processes)]
        first, *others = succeed(server, processes, [*base, *sizes], tmp_path / str(processes))
        assert first.out.count(str(run_of(tmp_path / str(processes)).relative_to(tmp_path / str(processes)))) > 0
        assert all(other.out == other.err == "" for other in others), "one process speaks for all"
        rows.append(read_metrics(run_of(tmp_path / str(processes))))
        if task == "cls":
            predictions.append(load_file(run_of(tmp_path / str(processes)) / "evaluation" / "test.safetensors"))
    alone, *together = rows
    assert sum(row["train/loss"] != "" for row in alone) >= 18 // accumulate
    for others in together:
        assert [row["step"] for row in others] == [row["step"] for row in alone]
        for row, other in zip(alone, others, strict=True):
            for name in (name for name in row if not name.startswith("perf/") and row[name]):
                assert float(other[name]) == pytest.approx(float(row[name]), rel=1e-5, abs=1e-5), (name, row["step"])
    for others in predictions[1:]:
        for name, values in predictions[0].items():
            if name.startswith("proof/"):  # of the texts that the first process had
                continue
            np.testing.assert_allclose(others[name], values, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def whole(server, data, tmp_path_factory):
    arguments = cases.command("mlm", data, packing=True, **PLAIN | {"tokens": True, "interval": True})
    folder = tmp_path_factory.mktemp("together") / "whole"
    succeed(server, 2, arguments, folder)
    return arguments, folder


@pytest.mark.parametrize("killed", [pytest.param(0, marks=pytest.mark.acceptance), 1])
def test_a_lost_process_ends_all_and_the_training_goes_on_exactly(killed, whole, server, tmp_path):
    arguments, folder = whole
    attempts = train(server, 2, arguments, tmp_path, point="step:9", rank=killed)
    assert attempts[killed].code == -signal.SIGKILL
    survivor = attempts[1 - killed]
    assert survivor.code == 1
    assert "Traceback" not in survivor.err
    who = "" if killed else "process 1: "
    (line,) = [line for line in survivor.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {who}Another process of this training has ended (")
    assert line.endswith("go on with the same command and --resume auto.")
    succeed(server, 2, arguments, tmp_path)
    assert differences(folder, tmp_path) == []


def test_a_signal_to_one_process_saves_the_training_of_all(whole, server, tmp_path):
    arguments, folder = whole
    first, second = train(server, 2, arguments, tmp_path, point="step:9:SIGTERM", rank=1)
    assert (first.code, second.code) == (143, 143)
    assert "Interrupted after step" in first.err
    assert second.err == ""
    succeed(server, 2, arguments, tmp_path)
    assert differences(folder, tmp_path) == []


@pytest.mark.acceptance
def test_other_numbers_of_processes_go_on_where_one_stopped(server, data, tmp_path):
    arguments = cases.command("mlm", data, packing=True, **PLAIN | {"tokens": True})
    assert train(server, 2, arguments, tmp_path, point="step:9:SIGTERM")[0].code == 143
    (attempt,) = train(server, 1, arguments, tmp_path, point="step:2:SIGTERM")
    assert attempt.code == 143
    assert re.search(
        r"have changed: 2 of the old ones were done in epoch \d, and \d+ of the new ones are left", attempt.err
    )
    first, *_ = succeed(server, 3, arguments, tmp_path)
    assert "The batches have changed: " in first.err
    steps = [int(row["step"]) for row in read_metrics(run_of(tmp_path))]
    assert steps == sorted(set(steps)), "no step twice"
    assert len(list(tmp_path.glob("runs/*/*"))) == 1


@pytest.fixture(scope="module")
def stream(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    lines = (data / "sentences.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    for shard in range(3):
        (folder / f"part-{shard}.txt").write_text("".join(lines[shard::3]), encoding="utf-8")
    arguments = cases.command("mlm", data, packing=True, **PLAIN | {"tokens": True, "interval": True})
    arguments += ["--data", "lightning_nlp.StreamingDataModule", "--data.path", f"{folder}/*.txt"]
    arguments += ["--trainer.max_steps", "30"]
    return [*arguments, *"--data.max_val_samples 20 --data.max_test_samples 20 --data.shuffle_rows 40".split()]


@pytest.mark.acceptance
def test_a_stream_that_loses_a_process_goes_on_exactly(stream, server, tmp_path):
    succeed(server, 2, stream, tmp_path / "whole")
    attempts = train(server, 2, stream, tmp_path / "part", point="step:9", rank=1)
    assert attempts[1].code == -signal.SIGKILL
    succeed(server, 2, stream, tmp_path / "part")
    assert differences(tmp_path / "whole", tmp_path / "part") == []


@pytest.mark.acceptance
def test_a_stream_goes_on_with_another_number_of_processes(stream, server, tmp_path):
    assert train(server, 2, stream, tmp_path, point="step:9:SIGTERM")[0].code == 143
    (attempt,) = succeed(server, 1, stream, tmp_path)
    assert len(re.findall(r"at its next block of texts: \d+ examples left of \d+ begun block", attempt.err)) == 1
    steps = [int(row["step"]) for row in read_metrics(run_of(tmp_path))]
    assert steps == sorted(set(steps)), "no step twice"
    assert steps[-1] == 30


@pytest.mark.acceptance
def test_as_many_examples_a_step_go_on_exactly_on_more_processes(server, data, tmp_path):
    base = [*cases.command("cls", data, packing=True, **PLAIN), *NO_DROPOUT]
    sizes = {n: ["--data.batch_size", str(8 // n), "--data.eval_batch_size", str(8 // n)] for n in (1, 2)}
    succeed(server, 1, [*base, *sizes[1]], tmp_path / "whole")
    stopped = [*base, *sizes[1]]
    assert train(server, 1, stopped, tmp_path / "grown", point="step:9:SIGTERM")[0].code == 143
    resumed = [option for option in base if option not in ("--resume", "auto")]
    succeed(server, 2, [*resumed, *sizes[2], "--ckpt_path", "last"], tmp_path / "grown")
    rows, wanted = (read_metrics(run_of(tmp_path / name)) for name in ("grown", "whole"))
    assert [row["step"] for row in rows] == [row["step"] for row in wanted]
    for row, other in zip(wanted, rows, strict=True):
        for name in ("train/loss", "val/loss", "test/loss", "train/grad_norm"):
            assert row[name] == other[name] == "" or float(row[name]) == pytest.approx(float(other[name]), rel=1e-5)


def test_data_that_cannot_be_prepared_end_all_with_one_error(server, data, tmp_path):
    (tmp_path / "broken.csv").write_text("text,stars\ngood,1\n")
    arguments = [*cases.command("cls", data, packing=True, **PLAIN), "--data.path", str(tmp_path / "broken.csv")]
    first, second = train(server, 2, arguments, tmp_path)
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
        process = subprocess.Popen([*command, "--trainer.devices", "2"], cwd=tmp_path, env=environment, **pipes)
        started.append(process)
        return process

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


@pytest.mark.acceptance
def test_restarts_that_would_mix_their_attempts_up_are_refused(torchrun, data, tmp_path):
    arguments = cases.command("cls", data, packing=True, **PLAIN)
    _, err = torchrun(*arguments, restarts=1, own_store=False).communicate(timeout=120)
    assert err.count("set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1") >= 2  # in each attempt; by both if one is 5 s late
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.acceptance
def test_torchrun_starts_anew_what_has_lost_a_process(torchrun, data, tmp_path):
    arguments = [*cases.command("cls", data, packing=True, **PLAIN), "--trainer.max_epochs", "60"]
    process = torchrun(*arguments, "--save_minutes", "0.01", restarts=1)
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(workers(process)[-1], signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert len(list(tmp_path.glob("runs/*/*"))) == 1
    steps = [int(row["step"]) for row in read_metrics(run_of(tmp_path))]
    assert steps == sorted(set(steps))
    assert out.splitlines()[-1].endswith("quickstart/0")


@pytest.mark.acceptance
def test_lightning_starts_the_others_itself(data, tmp_path):
    arguments = cases.command("cls", data, packing=True, **PLAIN)
    together = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    done = run_alone(*arguments, *together, cwd=tmp_path, GLOO_SOCKET_IFNAME="lo")
    assert done.returncode == 0, done.stderr
    assert "2 processes of CPU" in done.stderr
    assert run_of(tmp_path) == tmp_path / done.stdout.splitlines()[-1]
    assert (run_of(tmp_path) / "export" / "model.safetensors").is_file()
