"""The end of `--help`; what is said of arguments that the parser rejects is in tests/bad_input."""

import re

from lightning_nlp.cli.options import CALLBACKS, LOGGERS, TRAINER
from tests.conftest import invoke


def test_help_explains_options_and_ends_with_a_table_whose_cures_are_options():
    fit_help, of_test, of_predict = (
        " ".join(invoke(name, "--help").out.split()) for name in ("fit", "test", "predict")
    )
    known = fit_help + of_predict
    for said, text in (("Peak learning rate", fit_help), ("A run's directory", of_test), ("The JSONL file, ", known)):
        assert said in text
    for rows in (TRAINER, CALLBACKS, LOGGERS):
        for name, why in rows.items():
            assert name in fit_help
            if why is not None:
                assert f"{name}: {why}." in fit_help
                cures = set(re.findall(r"--[\w.]+\w", why))
                assert [cure for cure in cures if not re.search(rf"{cure}[ ,]", known)] == []
