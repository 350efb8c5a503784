import pytest

from lightning_nlp.report.summary import print_metrics, print_summary
from tests.conftest import FACTS

FACTS = FACTS | {"validation": {"val/accuracy": 0.91239}, "parts": {"test": "30 of 120 texts"}}


@pytest.fixture
def table(capsys, monkeypatch):
    """The rows printed, as (name, value), and the line above them."""
    monkeypatch.setenv("COLUMNS", "200")

    def read():
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        cells = [[cell.strip() for cell in line.strip("│┃|").split("│")] for line in lines]
        return lines[0], {row[0]: row[1] for row in cells if len(row) == 2}

    return read


def test_summary(table, tmp_path):
    print_summary(tmp_path / "cls" / "3", FACTS)
    title, rows = table()
    assert title == "cls"
    assert rows == {
        "test/loss": "0.3750",
        "test/accuracy": "0.9125",
        "best val/accuracy": "0.9124",
        "test read": "30 of 120 texts",
        "training": "2 epochs, 1,234 steps",
        "time": "1 min 01 s",
        "tokens/s": "12,346",
        "model FLOPs utilisation": "50.0%",
        "peak memory": "1.50 GiB",
        "hardware": "CPU, 2 threads, 32-true",
        "checkpoint of step 1234": str(tmp_path / "cls" / "3" / "checkpoints" / "best.ckpt"),
        "export": str(tmp_path / "cls" / "3" / "export"),
        "report": str(tmp_path / "cls" / "3" / "report.html"),
    }
    unknown = {"validation": {}, "tokens_per_s": None, "mfu": None, "since_step": 1000}
    print_summary(tmp_path / "cls" / "0", FACTS | unknown)
    other = table()[1]
    assert (other["tokens/s"], other["model FLOPs utilisation"]) == ("too short to measure", "unknown")
    assert other["time"] == "1 min 01 s since step 1000"
    assert rows.keys() - other.keys() == {"best val/accuracy"}


def test_brackets_in_a_name_are_no_markup(table, tmp_path):
    print_summary(tmp_path / "sweep[" / "b]x[red]:smile:" / "0", FACTS)  # rich would raise on [/b]
    title, rows = table()
    assert title == "b]x[red]:smile:"
    assert rows["export"] == str(tmp_path / "sweep[" / "b]x[red]:smile:" / "0" / "export")
    print_metrics("test: [/b]", {"test/loss": float("nan"), "test/accuracy": 1})
    assert table() == ("test: [/b]", {"test/loss": "nan", "test/accuracy": "1.0000"})


def test_nothing_is_lost_where_there_is_no_room(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "60")
    print_summary(tmp_path / ("long" * 30) / "0", FACTS)
    printed = "".join(character for character in capsys.readouterr().out if character not in "│ \n")
    assert ("long" * 30) in printed
    assert "best.ckpt" in printed
