import torch
import torch.nn.functional as F
from lightning.pytorch import seed_everything

from lightning_nlp.models import encoder, packing
from lightning_nlp.models.measured import mean_metric
from lightning_nlp.models.module import EncoderModule
from tests import fitting
from tests.models.test_classification import EXACT, Texts


class NextToken(EncoderModule):
    """Each token tells the next one: none of our tasks."""

    task = "mlm"  # whose head it has

    def __init__(self, **settings):
        super().__init__()
        self.save_hyperparameters()
        encoder.check_settings(self.hparams)

    def loss_terms(self, batch):
        logits, targets = packing.forward(self.network, batch)[:, :-1], batch["input_ids"][:, 1:]
        loss_sum = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        return loss_sum, torch.tensor(targets.numel())

    def new_metrics(self):
        return {"loss": mean_metric()}

    def evaluate(self, batch, stage):
        loss_sum, count = self.loss_terms(batch)
        self.metrics["loss"].update(loss_sum / count)

    def log_metrics(self, stage):
        self.log(f"{stage}/loss", self.metrics["loss"].compute())


def test_a_further_task_is_its_loss_and_metrics_alone(tmp_path):
    fixed = {"freeze": None, "pretrained": None, "attention_dropout": 0.0, "weight_decay": 0.0, "schedule": "linear"}
    seed_everything(0)
    module, data = NextToken(**EXACT, **fixed), Texts()
    trainer = fitting.trainer(tmp_path, max_epochs=3, accumulate_grad_batches=2)
    (before,) = trainer.validate(module, datamodule=data)
    trainer.fit(module, datamodule=data)
    (after,) = trainer.test(module, datamodule=data)  # on the same texts
    assert trainer.callback_metrics["test/loss"] == after["test/loss"] < before["val/loss"]
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = NextToken.load_from_checkpoint(tmp_path / "task.ckpt")
    expected = module.network.state_dict()
    assert all(value.equal(expected[name]) for name, value in loaded.network.state_dict().items())
    assert loaded.tokenizer.get_vocab() == module.tokenizer.get_vocab()
