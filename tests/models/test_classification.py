import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, seed_everything
from torch.utils.data import DataLoader

from lightning_nlp.errors import UserError
from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.optim import lr_lambda
from tests import fitting
from tests.models.test_encoder import SIZES, bert_config, word_tokenizer

LABELS = ["bad", "fair", "good"]
EXACT = {**SIZES, "dropout": 0.0, "lr": 1e-3, "warmup_ratio": 0.0}


class Texts(LightningDataModule):
    """Twelve texts of different lengths, in the order given."""

    def __init__(self, batch_size=4, labels=(0, 1, 2, 1, 1, 0, 2, 2, 0, 1, 1, 1), label_names=LABELS, tokenizer=None):
        super().__init__()
        self.tokenizer = tokenizer or word_tokenizer()
        self.label_names, self.max_length, self.batch_size = label_names, 16, batch_size
        generator = torch.Generator().manual_seed(0)
        self.rows = []
        for label in labels:
            length = int(torch.randint(4, 17, (), generator=generator))
            ids = torch.zeros(16, dtype=torch.long)
            ids[:length] = torch.randint(5, 50, (length,), generator=generator)
            self.rows.append({"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": torch.tensor(label)})
        self.class_counts = [sum(label == index for label in labels) for index in range(len(label_names))]
        self.train_batches = len(self.train_dataloader())

    def train_dataloader(self):
        return DataLoader(self.rows, batch_size=self.batch_size)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


def fit(tmp_path, data, trainer_settings=None, **settings):
    return fitting.fit(tmp_path, SequenceClassifier, data, trainer_settings, **{**EXACT, **settings})


# --- training


def test_training_is_that_of_a_plain_loop(tmp_path):
    """The same network in plain PyTorch, with its own mean cross-entropy and AdamW."""
    weights, data = torch.tensor([0.2, 3.0, 1.5]), Texts(8)
    settings = {"class_weights": weights.tolist(), "label_smoothing": 0.1, "weight_decay": 0.0}
    module, gradients, _ = fit(tmp_path, Texts(2), {"max_epochs": 2, "accumulate_grad_batches": 4}, **settings)
    seed_everything(0)
    fresh = SequenceClassifier(**EXACT)
    fitting.trainer(tmp_path, max_steps=0).fit(fresh, datamodule=data)  # the weights before training
    network = fresh.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0)
    factor = lr_lambda("linear", 4)
    for step, batch in enumerate(list(data.train_dataloader()) * 2):
        optimizer.param_groups[0]["lr"] = 1e-3 * factor(step)
        optimizer.zero_grad()
        logits = network(batch["input_ids"], batch["attention_mask"]).logits
        F.cross_entropy(logits, batch["labels"], weight=weights, label_smoothing=0.1).backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[step][f"network.{name}"], parameter.grad, rtol=2e-3, atol=2e-6)
        optimizer.step()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(module.network.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_gradients_are_clipped_after_they_are_made_exact(tmp_path):
    accumulate = {"accumulate_grad_batches": 4, "gradient_clip_val": 1e-3}
    _, gradients, _ = fit(tmp_path, Texts(2), accumulate)
    norms = [torch.stack([g.norm() for g in step.values()]).norm().item() for step in gradients]
    assert norms == pytest.approx([1e-3] * 2, rel=1e-3)


def test_filler_rows_count_nowhere(tmp_path):
    """Rows labelled -100, and batches of nothing else, change neither the training nor a metric."""
    labels = (0, 1, 2, 1, -100, -100, -100, -100, 2, -100, 0, -100)
    filled, plain = Texts(4, labels), Texts(4, labels)
    plain.rows = [row for row in plain.rows if row["labels"] >= 0]
    # 4 + 0 + 2 against 4 + 2 examples: with one window an epoch both make the same step
    _, steps_a, run_a = fit(tmp_path, filled, {"accumulate_grad_batches": 3})
    _, steps_b, run_b = fit(tmp_path, plain, {"accumulate_grad_batches": 3})
    assert len(steps_a) == len(steps_b) == 1
    for name, gradient in steps_a[0].items():
        torch.testing.assert_close(gradient, steps_b[0][name], rtol=2e-3, atol=2e-6)
    keys = ["val/loss", "val/accuracy", "val/precision", "val/recall", "val/f1"]
    assert [run_a.callback_metrics[k].item() for k in keys] == pytest.approx(
        [run_b.callback_metrics[k].item() for k in keys], rel=1e-3
    )
    _, steps, run = fit(tmp_path, Texts(4, [-100] * 4))
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in steps[0].values())
    assert run.callback_metrics["train/loss"] == 0


def test_balanced_weights_are_those_of_scikit_learn(tmp_path):
    from sklearn.utils.class_weight import compute_class_weight

    data = Texts()
    module, _, _ = fit(tmp_path, data, {"max_steps": 1}, class_weights="balanced")
    labels = [int(row["labels"]) for row in data.rows]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(labels))
    assert module.class_weights.tolist() == pytest.approx(expected.tolist())
    assert "class_weights" not in module.state_dict()


def test_it_learns(tmp_path):
    settings = {"max_epochs": 30, "precision": "bf16-mixed"}
    _, _, run = fit(tmp_path, Texts(), settings, lr=2e-2, class_weights="balanced")
    assert run.callback_metrics["val/accuracy"] == 1
    assert run.callback_metrics["val/loss"] < 0.3


def test_logits_and_losses_are_float32_under_autocast(tmp_path):
    module, _, run = fit(tmp_path, Texts(), {"max_steps": 1})
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(next(iter(Texts().train_dataloader())))
    assert logits.dtype == torch.float32
    assert logits.shape == (4, 3)
    predictions = torch.cat(run.predict(module, datamodule=Texts()))
    torch.testing.assert_close(predictions.sum(-1), torch.ones(12))


# --- evaluation


@pytest.mark.parametrize("label_names", [LABELS, [*LABELS, "never seen"]], ids=["all classes", "one class absent"])
def test_metrics_are_those_of_scikit_learn(label_names, tmp_path):
    from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support

    data = Texts(5, label_names=label_names)  # batches of 5, 5 and 2: the mean is over examples
    weights = [1.0, 2.0, 3.0, 4.0][: len(label_names)]
    module, _, run = fit(tmp_path, data, {"max_epochs": 3}, label_smoothing=0.3, class_weights=weights)
    validation = dict(run.callback_metrics)
    metrics = run.test(module, datamodule=data, verbose=False)[0]
    module.eval()
    with torch.no_grad():
        probabilities = torch.cat([module(batch) for batch in data.train_dataloader()]).double().softmax(-1).numpy()
    labels = [int(row["labels"]) for row in data.rows]
    predicted = probabilities.argmax(-1)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    expected = {
        "loss": log_loss(labels, probabilities, labels=list(range(len(label_names)))),  # plain: as if not smoothed
        "accuracy": accuracy_score(labels, predicted),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }
    assert metrics == pytest.approx({f"test/{name}": value for name, value in expected.items()}, rel=1e-4)
    for name, value in expected.items():
        assert validation[f"val/{name}"].item() == pytest.approx(value, rel=1e-4)


# --- the network


def test_the_configuration_names_the_labels(tmp_path):
    module, _, _ = fit(tmp_path, Texts(), {"max_steps": 1}, dropout=0.2)
    config = module.network.config
    assert config.id2label == {0: "bad", 1: "fair", 2: "good"}
    assert config.label2id == {"bad": 0, "fair": 1, "good": 2}
    assert (config.num_labels, config.max_position_embeddings, config.vocab_size) == (3, 16, 50)
    assert (config.dropout, config.attention_dropout) == (0.2, 0.0)
    network = module.network
    module.configure_model()
    assert module.network is network


def test_a_pretrained_encoder_is_used(tmp_path):
    from transformers import BertForMaskedLM

    BertForMaskedLM(bert_config()).save_pretrained(tmp_path / "bert")
    module, _, _ = fit(tmp_path, Texts(), pretrained=str(tmp_path / "bert"))
    assert module.network.config.model_type == "bert"
    assert module.network.config.id2label == {0: "bad", 1: "fair", 2: "good"}


# --- mistakes


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"lr": 0}, "lr"),  # the others of all networks are in test_encoder.py
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"class_weights": "even"}, "class_weights"),
        ({"class_weights": [1.0, -1.0]}, "class_weights"),
        ({"class_weights": [0.0, 0.0]}, "class_weights"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused_at_once(settings, name):
    with pytest.raises(UserError, match=rf"--model\.{name}"):
        SequenceClassifier(**settings)


def test_weights_must_fit_the_labels(tmp_path):
    with pytest.raises(UserError, match=r"2 weights for 3 classes \(bad, fair, good\).*--model.class_weights"):
        fit(tmp_path, Texts(), class_weights=[1.0, 2.0])
    with pytest.raises(UserError, match=r"No training example has the label 'fair'.*--model.class_weights"):
        fit(tmp_path, Texts(labels=[0, 2, 0, 2]), class_weights="balanced")


def test_a_checkpoint_holds_plain_types_and_says_what_it_is(tmp_path):
    _, _, run = fit(tmp_path, Texts(), {"max_steps": 1})
    run.save_checkpoint(tmp_path / "run.ckpt")
    content = torch.load(tmp_path / "run.ckpt", weights_only=True)
    metadata = content["lightning_nlp"]
    assert (metadata["task"], metadata["label_names"], len(metadata["tokenizer"])) == ("classification", LABELS, 64)
    assert content["hyper_parameters"]["lr"] == 1e-3
    assert content["hyper_parameters"]["class_weights"] is None
