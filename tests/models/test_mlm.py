import math

import pytest
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch import seed_everything
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.utils.data import DataLoader
from transformers import AutoModelForMaskedLM, DebertaV2Config, PreTrainedTokenizerFast

from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.errors import UserError
from lightning_nlp.models import packing
from lightning_nlp.models.heads import masked_positions
from lightning_nlp.models.mlm import MaskedLanguageModel
from tests import fitting
from tests.models import test_packing
from tests.models.test_encoder import SIZES, bert_config, word_tokenizer

EXACT = {**SIZES, "max_position_embeddings": 16, "dropout": 0.0, "lr": 1e-3, "warmup_ratio": 0.0}
ARCHITECTURES = {**test_packing.ARCHITECTURES, "deberta-v2": lambda: DebertaV2Config(**test_packing.SIZES)}


class Sentences(fitting.Rows):
    """Twelve sentences of different lengths, with fixed masks of very different sizes; the fifth has none."""

    def __init__(self, batch_size=4, tokenizer=None, masked=None, chars_per_token=None):
        self.tokenizer, self.max_length, self.chars_per_token = tokenizer or word_tokenizer(), 16, chars_per_token or {}
        generator, rows = torch.Generator().manual_seed(0), []
        for number in masked or (1, 9, 3, 2, 0, 12, 1, 4, 6, 1, 2, 8):
            length = int(torch.randint(max(4, number), 17, (), generator=generator))
            ids = torch.zeros(16, dtype=torch.long)
            ids[:length] = torch.randint(5, 50, (length,), generator=generator)
            hidden = torch.randperm(length, generator=generator)[:number]
            labels = torch.full((16,), -100)
            labels[hidden] = ids[hidden]
            mask = (ids > 0).long()
            ids[hidden] = self.tokenizer.mask_token_id
            rows.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
        super().__init__(rows, batch_size)


def fit(tmp_path, data, trainer_settings=None, **settings):
    return fitting.fit(tmp_path, MaskedLanguageModel, data, trainer_settings, **{**EXACT, **settings})


def loss_and_gradients(network, batch, sparse):
    network.zero_grad()
    if sparse:
        positions = masked_positions(batch["labels"])
        logits, targets = packing.forward(network, batch, positions), batch["labels"].flatten()[positions]
        assert logits.shape == (len(positions), 50)
    else:
        logits, targets = packing.forward(network, batch).flatten(0, 1), batch["labels"].flatten()
    loss = F.cross_entropy(logits, targets, ignore_index=-100)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_on_masked_tokens_is_the_whole_head(name, enabled):
    torch.manual_seed(0)
    network = AutoModelForMaskedLM.from_config(ARCHITECTURES[name]()).eval()
    if enabled and network.config.model_type in packing.PROVEN:
        packing.enable(network)
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight  # tied
    batch = next(iter(DataLoader(Sentences().rows, batch_size=12)))
    loss, gradients = loss_and_gradients(network, batch, sparse=False)
    sparse_loss, sparse_gradients = loss_and_gradients(network, batch, sparse=True)
    torch.testing.assert_close(sparse_loss, loss)
    assert sparse_gradients.keys() == gradients.keys()
    assert len(gradients) > 10
    for name, gradient in sparse_gradients.items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-4, atol=1e-6)
    assert network(batch["input_ids"], batch["attention_mask"]).logits.shape == (12, 16, 50)  # left as it was


def test_the_rows_of_a_batch_that_fails_are_not_kept():
    network = AutoModelForMaskedLM.from_config(ARCHITECTURES["deberta-v2"]())
    batch = next(iter(DataLoader(Sentences().rows, batch_size=12)))
    with pytest.raises(IndexError):
        packing.forward(network, batch, torch.tensor([12 * 16]))
    assert packing.forward(network, batch).shape == (12, 16, 50)


def test_training_is_that_of_a_plain_loop(tmp_path):
    settings = {"max_epochs": 2, "accumulate_grad_batches": 4}
    module, gradients, _ = fit(tmp_path, Sentences(2), settings, weight_decay=0.0)
    seed_everything(0)
    fresh = MaskedLanguageModel(**EXACT)  # the loss of transformers is over all positions
    fitting.plain_loop(tmp_path, fresh, Sentences(8), lambda network, batch: network(**batch).loss, module, gradients)


def test_a_batch_without_masked_tokens_trains_nothing(tmp_path):
    module, gradients, run = fit(tmp_path, Sentences(4, masked=[0] * 4), {"limit_val_batches": 0})
    assert len(gradients) == 1
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients[0].values())
    assert len(gradients[0]) == len(list(module.parameters()))  # a graph reached each: DDP would wait for any missing
    assert run.callback_metrics["train/loss"] == 0


def test_metrics_are_means_over_masked_tokens(tmp_path):
    data = Sentences(5, chars_per_token={"validation": 4.0, "test": 5.0})
    module, _, run = fit(tmp_path, data, {"max_epochs": 3}, lr=1e-2)
    validation = {name: value.item() for name, value in run.callback_metrics.items() if name.startswith("val/")}
    test = run.test(module, datamodule=data, verbose=False)[0]
    everything = next(iter(DataLoader(data.rows, batch_size=12)))
    module.eval()
    with torch.no_grad():
        logits = module.network(everything["input_ids"], everything["attention_mask"]).logits
    masked = everything["labels"] != -100
    assert masked.sum() == 49
    logits, targets = logits[masked], everything["labels"][masked]
    loss = F.cross_entropy(logits, targets).item()
    rank = (logits > logits.gather(1, targets[:, None])).sum(1)  # how many tokens it prefers to the right one
    expected = {
        "loss": loss,
        "perplexity": math.exp(loss),
        "top1": (rank < 1).float().mean().item(),
        "top5": (rank < 5).float().mean().item(),
    }
    assert 0 < expected["top1"] < expected["top5"] < 1
    bits = loss / math.log(2)
    for stage, found, chars in (("test", test, 5), ("val", validation, 4)):
        wanted = {**expected, "bits_per_char": bits / chars}
        assert found == pytest.approx({f"{stage}/{name}": value for name, value in wanted.items()}, rel=1e-4)


def test_perplexity_of_a_hopeless_model_stays_finite(tmp_path):
    module, _, run = fit(tmp_path, Sentences(), {"max_steps": 1})
    with torch.no_grad():
        module.network.vocab_projector.bias[:5] = 1e6
    metrics = run.validate(module, datamodule=Sentences(), verbose=False)[0]
    assert metrics["val/loss"] > 1e5
    assert math.isfinite(metrics["val/perplexity"])


def test_top5_of_a_vocabulary_of_four(tmp_path):
    words = Tokenizer(WordLevel({"[PAD]": 0, "[MASK]": 1, "a": 2, "b": 3}, unk_token="b"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", mask_token="[MASK]")
    data = Sentences(tokenizer=tokenizer)
    for row in data.rows:
        row["input_ids"].clamp_(max=3)
        row["labels"].clamp_(max=3)
    module, _, run = fit(tmp_path, data)
    assert module.network.config.vocab_size == len(tokenizer) == 4
    assert run.callback_metrics["val/top1"] < 1
    assert run.callback_metrics["val/top5"] == 1


def loaded(run, **changes):
    """The module of a run's best checkpoint, and the run's data."""
    settings = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    checkpoint = run / "checkpoints" / "best.ckpt"
    module = MaskedLanguageModel.load_from_checkpoint(checkpoint, weights_only=True)
    return module.eval(), MaskedLanguageModelingDataModule(**settings | changes)


def test_it_gives_the_logits_of_its_export_in_batches_of_any_form(mlm_run):
    exported = AutoModelForMaskedLM.from_pretrained(mlm_run / "export").eval()
    found, expected = {}, []
    with torch.no_grad():
        for packing in (True, False):
            module, data = loaded(mlm_run, packing=packing)
            data.setup()
            batches = list(data.test_dataloader())
            found[packing] = torch.cat([module(batch) for batch in batches])
        for batch in batches:
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
            logits = exported(**inputs).logits
            torch.testing.assert_close(module(inputs), logits)
            expected.append(logits[batch["labels"] != -100])
    torch.testing.assert_close(found[False], torch.cat(expected))
    torch.testing.assert_close(found[True], found[False], rtol=1e-4, atol=1e-5)  # both have the longest text first


def test_a_data_module_has_nothing_to_predict(mlm_run, tmp_path):
    module, data = loaded(mlm_run)
    with pytest.raises(UserError, match=r"predicts for texts with \[MASK\]: give .*predict --run RUN --input FILE"):
        fitting.trainer(tmp_path).predict(module, datamodule=data)


def test_a_loader_of_ones_own_trains_as_a_data_module_does(tmp_path):
    from transformers import BertForMaskedLM

    BertForMaskedLM(bert_config()).save_pretrained(tmp_path / "bert")
    bert = {**EXACT, "pretrained": str(tmp_path / "bert")}
    with_module, _, _ = fit(tmp_path, Sentences(), {"max_epochs": 2}, **bert)
    seed_everything(0)
    module, loader = MaskedLanguageModel(**bert), Sentences().train_dataloader()
    run = fitting.trainer(tmp_path, max_epochs=2)
    run.fit(module, loader, loader)
    expected = with_module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in module.state_dict().items())
    assert [len(logits) for logits in run.predict(module, loader)] == [15, 17, 17]  # at the masked tokens
