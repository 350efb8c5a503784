"""The end of `--help`; what is said of arguments that the parser rejects is in tests/bad_input."""

import re

import pytest

from lightning_nlp.cli.options import CALLBACKS, LOGGERS, TRAINER
from tests.conftest import invoke


@pytest.fixture(scope="module")
def fit_help() -> str:
    return " ".join(invoke("fit", "--help").out.split())


def test_help_ends_with_the_table_and_its_cures_are_options(fit_help):
    known = fit_help + invoke("predict", "--help").out
    for rows in (TRAINER, CALLBACKS, LOGGERS):
        for name, why in rows.items():
            assert name in fit_help
            if why is not None:
                assert f"{name}: {why}." in fit_help
                cures = set(re.findall(r"--[\w.]+\w", why))
                assert [cure for cure in cures if not re.search(rf"{cure}[ ,]", known)] == []


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        ("fit", ["model.lr", "Peak learning rate", "data.mlm_probability", "The share of tokens to predict"]),
        ("fit", ["--trainer.max_epochs", "Where runs keep their directories", "early_stopping.patience"]),
        ("test", ["--run", "A run's directory"]),
        ("predict", ["--input", "--output", "The JSONL file, written"]),
    ],
)
def test_help(command, texts):
    outcome = invoke(command, "--help")
    assert outcome.code == 0
    folded = " ".join(outcome.out.split())
    for text in texts:
        assert text in folded
