import pytest
import torch
from lightning import Callback
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from lightning_nlp.data.batches.collators import collate_classification
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.proof import LEAST, ROUNDINGS, TEXTS, TOKENS, evidence, predictions, prove
from tests.bad_input.check import check
from tests.conftest import checkpoint_of, invoke

AUTO_CLASSES = {"cls": AutoModelForSequenceClassification, "mlm": AutoModelForMaskedLM}


@torch.no_grad()
def shake(weights):
    """Weights as a step or two of training could have made them."""
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        weight += 0.03 * torch.randn(weight.shape, generator=generator).to(weight)


class AfterTheValidation(Callback):
    def on_validation_end(self, trainer, pl_module):
        shake(pl_module.parameters())


class InTheTest(Callback):
    """Tests other weights than those that are exported, as averages of weights do."""

    def on_test_start(self, trainer, pl_module):
        self.kept = {name: value.clone() for name, value in pl_module.state_dict().items()}
        shake(pl_module.parameters())

    def on_test_end(self, trainer, pl_module):
        pl_module.load_state_dict(self.kept)


class OverTheBest(Callback):
    """Writes the last weights, which are bad, over the best ones, as other checkpoint callbacks may."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch:
            with torch.no_grad():
                for parameter in pl_module.parameters():
                    parameter.normal_(std=10)

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(trainer.checkpoint_callback.best_model_path, weights_only=False)


@pytest.mark.parametrize(
    ("task", "callback", "where"),
    [
        ("cls", "AfterTheValidation", "other labels"),
        ("mlm", "AfterTheValidation", "of the validation after step"),
        ("cls", "InTheTest", "of the test"),
        ("cls", "OverTheBest", "of step 14, but the best validation after step 7 is not"),
    ],
)
def test_other_weights_than_those_measured(task, callback, where, request, tmp_path):
    arguments = [*request.getfixturevalue(f"tiny_{task}"), "--checkpoint.monitor", "val/loss", "--checkpoint.mode=min"]
    hostile = ["--trainer.callbacks", f"{__name__}.{callback}", "--runs_dir", tmp_path]
    check(invoke("fit", *arguments, *hostile), f"train without {callback}", where)
    assert not list(tmp_path.glob("*/*/export*"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_rounding_is_far_from_the_bound_and_other_weights_are_far_beyond(task, precision, request, tmp_path):
    arguments = [*request.getfixturevalue(f"tiny_{task}"), "--trainer.precision", precision]
    run = invoke("fit", *arguments, "--runs_dir", tmp_path).run
    network = AUTO_CLASSES[task].from_pretrained(run / "export").eval()
    (path,) = (run / "evaluation").glob("val-*.safetensors")
    kept = {name.removeprefix("proof/"): value for name, value in load_file(path).items() if name.startswith("proof/")}
    mixed = network.dtype == torch.float32
    rounded = predictions(network, kept, autocast=mixed)
    rounding = (rounded - predictions(network.float(), kept)).abs().mean()
    bound = ROUNDINGS * rounding + LEAST
    measured = kept["log_probabilities"]
    assert (measured - predictions(network, kept)).abs().mean() < bound / 2
    shake(network.parameters())
    assert (measured - predictions(network, kept)).abs().mean() > 5 * bound


def test_weights_that_are_no_numbers_are_a_difference(cls_run):
    network = AutoModelForSequenceClassification.from_pretrained(cls_run / "export")
    step = checkpoint_of(cls_run, "best")["global_step"]
    prove(network, cls_run / "evaluation", step, chosen=True)
    network.classifier.bias.data.fill_(float("nan"))
    with pytest.raises(UserError, match=r"other labels, probabilities nan apart.*train anew with the --checkpoint"):
        prove(network, cls_run / "evaluation", step, chosen=True)


def test_a_resume_that_validates_no_more(tiny_cls, tmp_path):
    invoke("fit", *tiny_cls, "--runs_dir", tmp_path, "--trainer.max_epochs", "1")
    more = ["--ckpt_path", "last", "--trainer.limit_val_batches", "0"]
    run = invoke("fit", *tiny_cls, "--runs_dir", tmp_path, *more).run
    assert checkpoint_of(run, "best")["global_step"] == 7
    assert [path.stem for path in (run / "evaluation").glob("val-*.safetensors")] == ["val-00000007"]


def texts(number, length):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 50, (length + i % 5,), generator=generator).numpy() for i in range(number)]


def classified(sequences, packed):
    """A batch, and logits that tell of each text by its first tokens."""
    examples = {"input_ids": sequences, "label": [0] * len(sequences), "index": range(len(sequences))}
    batch = collate_classification(examples, 0, pad_token_id=0, max_length=600, packed=packed)
    first = [sequences[row][:3] for row in batch["rows"]]
    return batch, {"logits": torch.tensor([list(tokens) for tokens in first]).float(), "labels": batch["labels"]}


@pytest.mark.parametrize("packed", [True, False])
def test_each_text_has_its_own_prediction(packed):
    sequences = texts(9, 6)
    found = evidence([classified(sequences[:5], packed), classified(sequences[5:], packed)])
    ids = found["input_ids"].split(found["lengths"].tolist())
    assert sorted(map(tuple, map(torch.Tensor.tolist, ids))) == sorted(map(tuple, (list(s) for s in sequences)))
    for tokens, log_probabilities in zip(ids, found["log_probabilities"], strict=True):
        assert log_probabilities.equal(tokens[:3].float().log_softmax(-1))


@pytest.mark.parametrize(("number", "length"), [(700, 4), (90, 500)])
def test_a_part_of_many_texts_is_spread_over_them(number, length):
    sequences = texts(number, length)
    found = evidence([classified(sequences[i : i + 30], True) for i in range(0, number, 30)])
    count = len(found["lengths"])
    assert min(TEXTS, number) / 3 <= count <= TEXTS
    assert len(found["input_ids"]) < TOKENS * 1.05
    ids = {tuple(part.tolist()) for part in found["input_ids"].split(found["lengths"].tolist())}
    for third in range(3):
        part = {tuple(s.tolist()) for s in sequences[third * number // 3 : (third + 1) * number // 3]}
        assert len(ids & part) == pytest.approx(count / 3, rel=0.25)
