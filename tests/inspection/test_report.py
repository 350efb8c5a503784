import io
import json

import pytest

from lightning_nlp.inspection.report import _duration, print_report, sections
from tests.conftest import invoke


@pytest.fixture(scope="module")
def report(tiny_cls, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "facts.json"
    outcome = invoke("inspect", *tiny_cls, "--steps", "0", "--json", path)
    assert outcome.code == 0, outcome.err
    return json.loads(path.read_text(encoding="utf-8"))


def test_plain_lines_where_there_is_no_terminal(report, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    report["duplicates"]["examples"] = [
        {"first": "a, line 1", "again": "a, line 2", "labels": "", "text": "[bold] long " + "word " * 50}
    ]
    print_report(report)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]" in out, "square brackets are no markup"
    lines = out.splitlines()
    assert lines[0] == "Data: reviews.csv"
    assert lines[1].startswith("  train: 60 rows, ")
    for section in sections(report):
        for name, value in section.rows:
            assert f"  {name}: {value}" in lines
    assert lines[-1].startswith("Nothing severe; looked for")


def test_tables_and_colours_on_a_terminal(report, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    report["findings"] = [{"severity": "severe", "text": "Bad."}]
    print_report(report)
    out = terminal.getvalue()
    assert "\x1b[1;31msevere\x1b[0m: Bad." in out
    assert "1 severe finding;" in out


STEP = {
    "steps": 4,
    "step_seconds": 0.5,
    "fastest": 0.4,
    "slowest": 0.6,
    "tokens_per_step": 1000,
    "tokens_per_s": 2000,
    "batches_per_epoch": 100,
    "epoch_seconds": 50.0,
    "epochs": 3,
    "tolerance": 0.25,
    "memory_gib": 1.5,
    "cpu_share": 0.9,
    "parameters": 12345,
}


def test_the_step_says_its_error(report):
    rows = dict(sections(report | {"step": STEP})[-1].rows)
    assert rows["a step"] == "0.500 s (of 4: 0.400 to 0.600), 1,000 tokens"
    assert rows["an epoch"] == "50 s ± 25% or so, 100 batches; validation comes on top"
    assert rows["3 epochs"] == "2 min ± 25% or so, at most"
    assert "the machine is busy" not in rows
    rows = dict(sections(report | {"step": STEP | {"cpu_share": 0.3}})[-1].rows)
    assert rows["the machine is busy"].endswith("30% of its threads' time; alone, an epoch may take 15 s")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5300, "88 min"), (36_030, "10 h 00 min")]
)
def test_durations(seconds, text):
    assert _duration(seconds) == text
