import inspect

import pytest
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_nlp.errors import UserError
from lightning_nlp.run.checkpoint_io import WholeFiles
from lightning_nlp.run.directory import RunDirectory
from lightning_nlp.run.metrics_csv import MetricsCSV
from lightning_nlp.run.trainer import Trainer, make_trainer, training_settings

SETTINGS = {name: parameter.default for name, parameter in inspect.signature(Trainer).parameters.items()}
SETTINGS |= {"accelerator": "cpu", "logger": False}


@pytest.mark.parametrize("plugins", [None, TorchCheckpointIO(), [TorchCheckpointIO()]])
def test_checkpoints_are_written_whole_unless_the_user_says_otherwise(plugins, tmp_path):
    run = RunDirectory(tmp_path)
    trainer = make_trainer(training_settings(SETTINGS | {"plugins": plugins}, run), [])
    assert isinstance(trainer.strategy.checkpoint_io, WholeFiles) == (plugins is None)
    assert [type(logger) for logger in trainer.loggers] == [MetricsCSV]
    assert trainer.default_root_dir == str(tmp_path)


def test_settings_that_it_does_not_take_are_one_sentence():
    with pytest.raises(UserError, match=r"--trainer arguments \(accelerator cpu, devices 0, "):
        make_trainer(SETTINGS | {"devices": 0}, [])
