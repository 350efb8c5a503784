import pytest
import torch
from lightning import seed_everything

from lightning_nlp import SequenceClassifier, TextClassificationDataModule, default_callbacks
from tests.conftest import files_below
from tests.fitting import trainer


@pytest.mark.filterwarnings("ignore")  # Lightning's, which the command line silences
def test_the_callbacks_of_a_run_work_with_a_trainer_of_ones_own(reviews, cache_dir, tmp_path):
    def train(epochs, **settings):
        seed_everything(0)
        data = TextClassificationDataModule(str(reviews), vocab_size=300, max_length=32, cache_dir=str(cache_dir))
        model = SequenceClassifier(n_layers=1, n_heads=2, dim=16, hidden_dim=32, schedule="constant")
        callbacks = default_callbacks(folder, ema_decay=0.5)
        own = trainer(tmp_path, callbacks=callbacks, max_epochs=epochs, enable_checkpointing=True)
        own.fit(model, data, **settings)
        return own, model

    folder = tmp_path / "whole"
    whole, model = train(2)
    assert whole.checkpoint_callback.best_model_path == str((folder / "checkpoints" / "best.ckpt").resolve())
    assert {"data.json", "evaluation", "checkpoints/last.ckpt"} <= files_below(folder)
    folder = tmp_path / "broken"
    train(1)
    _, resumed = train(2, ckpt_path=folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), resumed.parameters(), strict=True))
