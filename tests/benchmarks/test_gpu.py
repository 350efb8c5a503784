"""The script for a GPU, without one: each part at tiny sizes on the CPU, and what it does where a part fails."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import agreement
import gpu
import pytest
import torch
from gpu_steps import idle_share
from gpu_trainings import difference
from isolated import attempt

from lightning_nlp.models.packing import PROVEN
from tests.conftest import BAD, GOOD, HOUSE

PARTS = """
import os, signal, subprocess, time
from isolated import LeftOut, row


def raises(options):
    yield row("before", "1")
    raise ValueError("a | b\\nbroken")


def hangs(options):
    sleeper = subprocess.Popen(["sleep", "600"])
    yield row("child", str(sleeper.pid))
    time.sleep(600)


def is_ended(options):
    yield row("before", "3")
    time.sleep(0.5)  # by now it is waited for
    os.kill(options.parent, signal.SIGTERM)
    time.sleep(600)


def dies(options):
    yield row("before", "2")
    os.kill(os.getpid(), signal.SIGSEGV)


def cannot(options):
    raise LeftOut("no data")
    yield


def works(options):
    yield row("size", options.size, number=3)
"""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """`gpu.measure` of functions above; returns its results and what it wrote."""
    (tmp_path / "some_parts.py").write_text(PARTS)
    (tmp_path / "gpu.log").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    def measure(*names, minutes=9.0):
        limits = {name: 4.0 if name == "hangs" else 30.0 for name in names}
        parts = [gpu.Part(name[0], f"it {name}", limit, f"some_parts:{name}") for name, limit in limits.items()]
        options = Namespace(device="cpu", tiny=True, minutes=minutes, output=tmp_path, work=tmp_path)
        vars(options).update(arguments=[], commit="c", size="7", parent=os.getpid())
        results = gpu.measure(parts, options)
        assert json.loads((tmp_path / "gpu.json").read_text())["parts"] == results
        return results, (tmp_path / "gpu.md").read_text(), (tmp_path / "gpu.log").read_text()

    return measure


def test_a_part_that_fails_says_why_and_the_next_runs(measured):
    results, table, log = measured("raises", "dies", "cannot", "works")
    assert [result["state"] for result in results] == ["failed", "failed", "left out", "done"]
    assert results[-1]["rows"] == [{"what": "size", "result": "7", "number": 3}]
    measured_before = ("| r | before | 1 |", "| d | before | 2 |", "| w | size | 7 |")
    for words in ("ValueError: a \\| b broken", f"exit code {-signal.SIGSEGV}", "no data", *measured_before):
        assert words in table
    assert "Traceback" in log


def test_a_part_that_is_late_is_killed_with_its_children_and_the_next_runs(measured):
    # 4 of the 34 seconds are left for the first, since the second may want 30
    results, table, _ = measured("hangs", "works", minutes=34 / 60)
    assert [result["state"] for result in results] == ["out of time", "done"]
    assert "**out of time**: 4 s were not enough" in table
    pid = int(results[0]["rows"][0]["result"])
    for _ in range(600):
        state = Path(f"/proc/{pid}/stat")
        if not state.is_file() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("its child lives on")


def test_what_does_not_fit_is_left_out(measured):
    results, table, _ = measured("works", "raises", minutes=0.0)
    assert [result["state"] for result in results] == ["left out"] * 2
    assert table.count("the 0 minutes were over") == 2


def test_what_is_measured_is_kept_when_a_signal_ends_it(measured, tmp_path):
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with pytest.raises(SystemExit):
            measured("is_ended", "works")
    finally:
        signal.signal(signal.SIGTERM, before)
    table = (tmp_path / "gpu.md").read_text()
    assert "**interrupted**: by a signal" in table
    assert "| i | before | 3 |" in table
    assert "it works" not in table


def test_the_limits_are_nine_minutes_together():
    assert sum(part.seconds for part in gpu.PARTS) <= 540


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--imdb", "nowhere"], "there is no nowhere: give --imdb"),
        (["--parts", "az"], "there is no part z: give --parts"),
    ],
)
def test_mistakes_of_the_user(arguments, words, capsys):
    with pytest.raises(SystemExit):
        gpu.parse(["--output", "x", *arguments])
    assert words in capsys.readouterr().err


def test_without_a_card_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"sees no CUDA device.*--device cpu"):
        gpu.check_device("cuda")


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_attention_that_reaches_into_the_next_sequence_is_beyond_the_bound(name, monkeypatch):
    found = agreement.single_batch("bert", "mlm", "cpu", name)["packed"]
    assert max(found.values()) <= agreement.BOUND[name]

    def leaking(*args, **kwargs):
        batch = make_batch(*args, **kwargs)
        if "cu_seqlens" in batch:
            bounds = batch["cu_seqlens"]
            batch |= {"cu_seqlens": torch.cat([bounds[:1], bounds[2:]]), "max_seqlen": int(bounds[2])}
        return batch

    make_batch = agreement.make_batch
    monkeypatch.setattr(agreement, "make_batch", leaking)
    found = agreement.single_batch("bert", "mlm", "cpu", name)["packed"]
    assert max(found.values()) > 3 * agreement.BOUND[name]


def test_the_share_of_time_in_which_nothing_runs():
    assert idle_share([(4.0, 5.0), (0.0, 2.0), (1.0, 3.0), (9.0, 10.0)]) == 0.5
    assert idle_share([(0.0, 2.0), (0.5, 1.0), (2.0, 3.0)]) == 0


def test_runs_that_differ_are_said_to_differ_and_by_how_much(tmp_path):
    for name, gap in (("one", 0.0), ("same", 0.0), ("other", 0.25)):
        run = tmp_path / name
        (run / "checkpoints").mkdir(parents=True)
        state = {"state_dict": {"w": torch.ones(3) + gap}, "optimizer_states": [{"state": {0: {"m": torch.ones(1)}}}]}
        torch.save(state, run / "checkpoints" / "last.ckpt")
        (run / "metrics.csv").write_text(f"step,train/loss\n1,2.5\n2,{2.0 + gap}\n3,\n")
    assert difference(tmp_path / "one", tmp_path / "same") == "the same bits"
    found = difference(tmp_path / "one", tmp_path / "other")
    assert found.startswith("**not** the same bits")
    assert "up to 2.5e-01 apart" in found
    assert "from number 2 on" in found


def test_a_row_that_fails_says_why():
    def fails():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    found = attempt("64k tokens", fails)
    assert found["failed"]
    assert found["result"] == "**failed**: OutOfMemoryError: CUDA out of memory. Tried to allocate"


def imdb(folder):
    for split, number in (("train", 40), ("test", 20)):
        for label, words in (("pos", GOOD), ("neg", BAD)):
            (folder / split / label).mkdir(parents=True)
            for i in range(number):
                text = f"the {split} film {i} was {words[i % len(words)]}"
                (folder / split / label / f"{i}_7.txt").write_text(text)
    return folder


@pytest.mark.acceptance
def test_every_part_runs_on_a_cpu_without_wandb(tmp_path):
    shadow = tmp_path / "site" / "wandb"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError('No module named wandb', name='wandb')\n")
    command = [sys.executable, str(HOUSE / "benchmarks" / "gpu.py"), "--tiny", "--device", "cpu"]
    command += ["--output", str(tmp_path / "out"), "--imdb", str(imdb(tmp_path / "aclImdb"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(shadow.parent), os.environ["PYTHONPATH"]])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)
    log = (tmp_path / "out" / "gpu.log").read_text(encoding="utf-8")
    assert result.returncode == 0, result.stderr + log
    found = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    parts = found["parts"]
    states = {"d": "left out"} if importlib.util.find_spec("accelerate") is None else {}
    assert [(part["part"], part["state"]) for part in parts] == [(n, states.get(n, "done")) for n in "achdbeff"], log
    rows = {name: [row for part in parts if part["part"] == name for row in part["rows"]] for name in "achdbef"}
    assert not [row for part in rows.values() for row in part if row.get("failed")], log
    assert len(rows["b"]) == len(PROVEN) * 2 * 2
    assert all(row["within"] for row in rows["b"])
    assert len(rows["c"]) == 2 * 3
    assert all("tokens/s" in row["result"] for row in rows["c"])
    assert [row["result"] for row in rows["f"]] == ["the same bits"] * 4
    assert len(rows["h"]) == 1 + 10
    table = (tmp_path / "out" / "gpu.md").read_text(encoding="utf-8")
    assert table.count("\n| ") == 2 + len(parts) + sum(map(len, rows.values()))
    assert "Tiny sizes" in table
    assert found["commit"] in table
