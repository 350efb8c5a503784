import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch import seed_everything
from torch.utils.data import DataLoader

from lightning_nlp.data.datamodules import TextClassificationDataModule
from lightning_nlp.errors import UserError
from lightning_nlp.models.classification import OneClass, SequenceClassifier
from tests import fitting
from tests.models.test_encoder import SIZES, bert_config, word_tokenizer

LABELS = ["bad", "fair", "good"]
EXACT = {**SIZES, "dropout": 0.0, "lr": 1e-3, "warmup_ratio": 0.0}


class Texts(fitting.Rows):
    """Twelve texts of different lengths."""

    def __init__(self, batch_size=4, labels=(0, 1, 2, 1, 1, 0, 2, 2, 0, 1, 1, 1), label_names=LABELS):
        generator, rows = torch.Generator().manual_seed(0), []
        for label in labels:
            length = int(torch.randint(4, 17, (), generator=generator))
            ids = torch.zeros(16, dtype=torch.long)
            ids[:length] = torch.randint(5, 50, (length,), generator=generator)
            rows.append({"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": torch.tensor(label)})
        super().__init__(rows, batch_size)
        self.tokenizer, self.label_names, self.max_length = word_tokenizer(), label_names, 16
        self.class_counts = [sum(label == index for label in labels) for index in range(len(label_names))]


def fit(tmp_path, data, trainer_settings=None, **settings):
    return fitting.fit(tmp_path, SequenceClassifier, data, trainer_settings, **{**EXACT, **settings})


def test_training_is_that_of_a_plain_loop(tmp_path):
    weights = torch.tensor([0.2, 3.0, 1.5])
    settings = {"class_weights": weights.tolist(), "label_smoothing": 0.1, "weight_decay": 0.0}
    module, gradients, _ = fit(tmp_path, Texts(2), {"max_epochs": 2, "accumulate_grad_batches": 4}, **settings)

    def loss_of(network, batch):
        logits = network(batch["input_ids"], batch["attention_mask"]).logits
        return F.cross_entropy(logits, batch["labels"], weight=weights, label_smoothing=0.1)

    seed_everything(0)
    fitting.plain_loop(tmp_path, SequenceClassifier(**EXACT), Texts(8), loss_of, module, gradients)


def test_gradients_are_clipped_after_they_are_made_exact(tmp_path):
    accumulate = {"accumulate_grad_batches": 4, "gradient_clip_val": 1e-3}
    _, gradients, _ = fit(tmp_path, Texts(2), accumulate)
    norms = [torch.stack([g.norm() for g in step.values()]).norm().item() for step in gradients]
    assert norms == pytest.approx([1e-3] * 2, rel=1e-3)


@pytest.mark.parametrize("value", [1.0, -0.1])
def test_a_label_smoothing_out_of_range_is_refused_at_once(value):
    with pytest.raises(UserError, match=r"--model\.label_smoothing"):
        SequenceClassifier(label_smoothing=value)


@pytest.mark.parametrize("labels", [torch.tensor([[1, 0], [0, 0]]), torch.tensor([0.5, 1.5])])
def test_a_batch_of_another_problem_is_one_sentence(labels):
    with pytest.raises(UserError, match="give a data module with `label_facts`"):
        OneClass().loss_terms(torch.zeros(2, 2), labels, None, 0.0)


def data_of(run, **changes):
    settings = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    return TextClassificationDataModule(**settings | changes)


def test_it_takes_batches_of_any_form_and_predicts_in_the_order_of_the_texts(cls_run, tmp_path):
    found = []
    for packing in (True, False):
        module = SequenceClassifier.load_from_checkpoint(cls_run / "checkpoints" / "best.ckpt").eval()
        data = data_of(cls_run, packing=packing)
        data.setup()
        with torch.no_grad():
            batches = [(batch["rows"], module(batch)) for batch in data.test_dataloader()]
            for row in range(len(data.token_rows["test"].lengths)):  # as a tokenizer gives them
                ids = torch.from_numpy(np.array(data.token_rows["test"][[row]]["input_ids"]))
                found.append(module({"input_ids": ids, "attention_mask": torch.ones_like(ids)})[0].softmax(-1))
        rows, logits = (torch.cat(parts) for parts in zip(*batches, strict=True))
        predicted = torch.cat(fitting.trainer(tmp_path).predict(module, datamodule=data))
        torch.testing.assert_close(predicted[rows], logits.softmax(-1))
        torch.testing.assert_close(predicted, torch.stack(found[-len(predicted) :]))


def test_it_knows_its_tokenizer_and_labels(cls_run):
    from transformers import AutoTokenizer

    module = SequenceClassifier.load_from_checkpoint(cls_run / "checkpoints" / "best.ckpt")
    exported, text = AutoTokenizer.from_pretrained(cls_run / "export"), ["the film was superb", "dull"]
    assert module.label_names == ["neg", "pos"]
    settings = {"padding": True, "truncation": True}
    assert module.tokenizer(text, **settings)["input_ids"] == exported(text, **settings)["input_ids"]
    assert module.tokenizer.model_max_length == exported.model_max_length


@pytest.fixture
def bert(tmp_path):
    from transformers import BertForMaskedLM

    BertForMaskedLM(bert_config()).save_pretrained(tmp_path / "bert")
    return {**EXACT, "pretrained": str(tmp_path / "bert")}


def test_a_loader_of_ones_own_trains_as_a_data_module_does(bert, tmp_path):
    with_module, _, _ = fit(tmp_path, Texts(), {"max_epochs": 2, "limit_train_batches": 2}, **bert)
    seed_everything(0)
    module = SequenceClassifier(**bert, label_names=LABELS)
    loader, run = Texts().train_dataloader(), fitting.trainer(tmp_path, max_epochs=2, limit_train_batches=2)
    run.fit(module, loader, loader)
    assert run.callback_metrics["val/loss"] > 0
    expected = with_module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in module.state_dict().items())
    # what comes out of its checkpoint needs no more, also where the frozen parts stay so
    run.save_checkpoint(tmp_path / "own.ckpt")
    again = SequenceClassifier.load_from_checkpoint(tmp_path / "own.ckpt", freeze="embeddings", weights_only=True)
    fitting.trainer(tmp_path).fit(again, datamodule=fitting.Rows(Texts().rows))
    moved = [name for name, value in again.state_dict().items() if not torch.equal(value, expected[name])]
    assert moved
    assert not any(".embeddings." in name for name in moved)


@pytest.mark.parametrize(
    ("settings", "batch", "message"),
    [
        ({}, None, "The labels of the data are not known, .*give SequenceClassifier both label_names and pretrained"),
        ({"label_names": LABELS, "pretrained": None}, None, "give `pretrained`, or fit with a data module"),
        ({"label_names": LABELS, "class_weights": "balanced"}, None, "needs a data module.*give .* a list"),
        ({"label_names": LABELS}, (torch.ones(4), torch.ones(4)), "is a list without labels: give .* of dicts with"),
        ({"label_names": LABELS}, {"input_ids": torch.ones(4)}, "is a dict without labels: give a .* of dicts with"),
        ({"label_names": LABELS}, {"labels": torch.ones(4)}, "is a dict without input_ids or attention_mask: give"),
    ],
    ids=["labels", "tokenizer", "counts", "tuples", "no labels", "no inputs"],
)
def test_what_a_loader_alone_does_not_tell(settings, batch, message, bert, tmp_path):
    loader = DataLoader([batch], batch_size=None) if batch else Texts().train_dataloader()
    with pytest.raises(UserError, match=message):
        fitting.trainer(tmp_path).fit(SequenceClassifier(**bert | settings), loader, loader)


def test_labels_must_be_those_of_the_data(cls_run, tmp_path):
    with pytest.raises(UserError, match=r"data are \['bad', .*label_names is \['good'\]: .* leave .* out"):
        fit(tmp_path, Texts(), label_names=["good"])
    module = SequenceClassifier.load_from_checkpoint(cls_run / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match=r"names is \['neg', 'pos'\], and this run's is \['bad', 'fair', 'good'\]"):
        fitting.trainer(tmp_path).fit(module, datamodule=Texts())


@pytest.mark.parametrize("problem", ["labels", "number"])
def test_a_data_module_of_ones_own_says_what_its_labels_are(problem, tmp_path):
    data = Texts(label_names=LABELS if problem == "labels" else [])
    data.label_facts = {"problem": problem} | ({"mean": 30.0, "std": 10.0} if problem == "number" else {})
    for number, row in enumerate(data.rows):
        row["labels"] = torch.tensor([number % 2, 1, 0]) if problem == "labels" else torch.tensor(20.0 + number)
    module, _, run = fit(tmp_path, data, {"max_steps": 3})
    assert module.task == problem
    assert ("val/f1_micro" if problem == "labels" else "val/pearson") in run.callback_metrics
