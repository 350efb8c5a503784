import logging
import os
import sys
import warnings

import pytest
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.cli.lightning_cli import silence_notices
from lightning_nlp.cli.output import quiet_libraries
from lightning_nlp.errors import warn_user


@pytest.fixture
def quiet(monkeypatch):
    for name in ("TOKENIZERS_PARALLELISM", "WANDB_SILENT"):
        monkeypatch.delenv(name, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_libraries()
        yield caught


def test_warnings_that_nobody_can_act_on_are_silent_and_others_are_not(quiet):
    warnings.warn("The 'train_dataloader' does not have many workers which may be a bottleneck.", stacklevel=1)
    assert quiet == []
    warnings.warn("Your label smoothing is odd.", stacklevel=1)
    assert len(quiet) == 1


def test_what_the_training_does_is_told_and_its_setting_up_is_not(quiet, capsys):
    seed_everything(1)
    trainer = Trainer(
        max_epochs=0, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(BoringModel())
    rank_zero_info("a notice of ours")
    assert capsys.readouterr().err.splitlines() == [
        "`Trainer.fit` stopped: `max_epochs=0` reached.",
        "a notice of ours",
    ]


def test_a_program_with_messages_of_its_own_prints_ours_once(quiet, monkeypatch, capsys):
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(sys.stderr)])  # as logging.basicConfig does
    quiet_libraries()
    rank_zero_info("a notice of ours")
    assert capsys.readouterr().err == "a notice of ours\n"


def test_the_users_own_environment_wins(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    quiet_libraries()
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_quiet_lets_warnings_through(quiet, monkeypatch):
    logger, said = logging.getLogger("lightning.pytorch.utilities.rank_zero"), []
    monkeypatch.setattr(logger, "handle", lambda record: said.append(record.getMessage()))
    logger.info("a notice")
    silence_notices()
    logger.info("another")
    warn_user("the disk is full")
    quiet_libraries()  # the next command of the same process
    logger.info("a third")
    assert said == ["a notice", "the disk is full", "a third"]
