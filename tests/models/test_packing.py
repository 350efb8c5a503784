from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from lightning_nlp.data.batches.collators import packed_batch
from lightning_nlp.errors import UserError
from lightning_nlp.models import packing
from lightning_nlp.models.heads import masked_positions
from tests.conftest import invoke, read_metrics

# One longer than the 128 tokens up to which attention is computed by plain operations, and a run of equal lengths
LENGTHS = [140, 31, 17, 9, 9, 9, 4, 3]
SIZES = {
    **{"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32},
    **{"max_position_embeddings": 160, "pad_token_id": 1, "num_labels": 3},
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
# A window of 6 tokens on either side, in two layers of three
MODERNBERT = {**SIZES, "local_attention": 12, "global_attn_every_n_layers": 3, "cls_token_id": 2, "sep_token_id": 3}
ARCHITECTURES = {
    "distilbert": lambda: DistilBertConfig(
        vocab_size=50, n_layers=3, n_heads=2, dim=16, hidden_dim=32, max_position_embeddings=160, pad_token_id=1,
        dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, num_labels=3,
    ),
    "bert": lambda: BertConfig(**SIZES, **NO_DROPOUT),
    "roberta": lambda: RobertaConfig(**SIZES, **NO_DROPOUT),
    "xlm-roberta": lambda: XLMRobertaConfig(**SIZES, **NO_DROPOUT),
    "camembert": lambda: CamembertConfig(**SIZES, **NO_DROPOUT),
    "electra": lambda: ElectraConfig(**SIZES, **NO_DROPOUT, embedding_size=8),
    "modernbert": lambda: ModernBertConfig(**MODERNBERT, bos_token_id=2, eos_token_id=3, classifier_pooling="cls"),
    "albert": lambda: AlbertConfig(**SIZES, **NO_DROPOUT, embedding_size=8, classifier_dropout_prob=0.0),
}  # fmt: skip


def network_of(auto_class, config):
    """A random network whose weights are large enough for attention to matter."""
    torch.manual_seed(0)
    network = auto_class.from_config(config, dtype=torch.float32).train()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    return network


AUTO_CLASSES = {
    "mlm": AutoModelForMaskedLM,
    "classification": AutoModelForSequenceClassification,
    "tags": AutoModelForTokenClassification,
}


def batches(labels="tokens"):
    """The same random sequences, padded and packed."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(5, 50, (length,), generator=generator) for length in LENGTHS]
    padded = {
        "input_ids": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1),
        "attention_mask": (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long(),
    }
    packed = {
        "input_ids": torch.cat(rows)[None],
        "position_ids": torch.cat([torch.arange(length) for length in LENGTHS])[None],
        "cu_seqlens": F.pad(torch.tensor(LENGTHS).cumsum(0), (1, 0)).int(),
        "max_seqlen": max(LENGTHS),
    }
    if labels == "tokens":
        chosen = torch.rand(len(packed["input_ids"][0]), generator=generator) < 0.3
        packed["labels"] = torch.where(chosen, packed["input_ids"], -100)
        padded["labels"] = torch.full_like(padded["input_ids"], -100)
        padded["labels"][padded["attention_mask"].bool()] = packed["labels"][0]
    else:
        packed["labels"] = padded["labels"] = torch.randint(0, 3, (len(LENGTHS),), generator=generator)
        types = [torch.arange(length) >= length // 3 for length in LENGTHS]  # as of pairs; some have none
        packed["token_type_ids"] = torch.cat(types).long()[None]
        padded["token_type_ids"] = torch.zeros_like(padded["input_ids"])
        padded["token_type_ids"][padded["attention_mask"].bool()] = packed["token_type_ids"][0]
    return padded, packed


def measure(network, batch, task):
    """Logits at what is to be predicted, the loss, and its gradients."""
    network.zero_grad()
    if task != "classification":
        positions = masked_positions(batch["labels"])
        logits, targets = packing.forward(network, batch, positions), batch["labels"].flatten()[positions]
        targets = targets % logits.shape[1]
    else:
        logits, targets = packing.forward(network, batch), batch["labels"]
    loss = F.cross_entropy(logits, targets)
    loss.backward()
    return (
        logits.detach(),
        loss.detach(),
        {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None},
    )


@pytest.mark.parametrize("task", AUTO_CLASSES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packed_is_padded(name, task):
    """The network is unmodified, and its own padded forward pass on PyTorch's attention is the reference."""
    network = network_of(AUTO_CLASSES[task], ARCHITECTURES[name]())
    padded, packed = batches("texts" if task == "classification" else "tokens")
    logits, loss, gradients = measure(network, padded, task)
    assert packing.why_not(network, device=torch.device("cpu"), precision="32-true") is None
    packing.enable(network)
    packed_logits, packed_loss, packed_gradients = measure(network, packed, task)
    assert packed_logits.shape == logits.shape
    torch.testing.assert_close(packed_logits, logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed_loss, loss, atol=1e-5, rtol=1e-5)
    assert packed_gradients.keys() == gradients.keys()
    assert len(gradients) > 20
    for key, gradient in gradients.items():
        # beside the largest gradient, since sums over all tokens are added in another order
        scale = max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(packed_gradients[key], gradient, atol=1e-5 * scale, rtol=1e-4, msg=key)
    assert packing.NAME not in network.config.to_json_string()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_enabled_network_computes_padded_batches_as_before(name):
    network = network_of(AutoModelForMaskedLM, ARCHITECTURES[name]())
    padded, _ = batches()
    before = measure(network, padded, "mlm")
    packing.enable(network)
    after = measure(network, padded, "mlm")
    assert torch.equal(before[0], after[0])
    assert all(torch.equal(before[2][key], after[2][key]) for key in before[2])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_token_attends_across_a_boundary(name):
    network = network_of(AutoModelForMaskedLM, ARCHITECTURES[name]()).eval()
    packing.enable(network)
    _, packed = batches()
    logits = packing.forward(network, packed)
    other = packed["input_ids"].clone()
    start, end = packed["cu_seqlens"][1:3].tolist()
    other[0, start:end] = 7
    changed = packing.forward(network, packed | {"input_ids": other})
    same = (logits == changed).all(-1)[0]
    assert not same[start:end].any()
    assert same[:start].all()
    assert same[end:].all()


def choice(network, setting, device="cpu", precision="32-true", data=None):
    """What the data module is told that wants packing, or not."""
    data = data or SimpleNamespace(packing=setting, packed=None)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), precision=precision)
    packing.choose(network, data, trainer)
    return data.packed


DROPPING = {"attention_probs_dropout_prob": 0.1}
REASONS = [
    (lambda: DebertaV2Config(**SIZES), "cpu", "32-true", "not proven for a deberta-v2 model"),
    (lambda: ModernBertConfig(**MODERNBERT, classifier_pooling="mean"), "cpu", "32-true", "takes the mean"),
    (ARCHITECTURES["bert"], "cuda: a T4", "16-mixed", "compute capability 8.0, and this GPU has 7.5"),
    (ARCHITECTURES["bert"], "cuda", "32-true", "needs 16 bits, and the precision is 32-true"),
    (lambda: BertConfig(**SIZES, **DROPPING), "cuda", "bf16-mixed", "attention_dropout 0"),
    (ARCHITECTURES["bert"], "mps", "32-true", "not proven on mps"),
    (ARCHITECTURES["bert"], "cuda", "bf16-mixed", None),
    (lambda: ModernBertConfig(**MODERNBERT, classifier_pooling="mean"), "cpu", "32-true (mlm)", None),
    (lambda: BertConfig(**SIZES, **DROPPING), "cpu", "bf16-mixed", None),
]


@pytest.mark.parametrize(("config", "device", "precision", "reason"), REASONS)
def test_what_speaks_against_packing(config, device, precision, reason, monkeypatch):
    network = (AutoModelForMaskedLM if "mlm" in precision else AutoModelForSequenceClassification).from_config(config())
    device, _, card = device.partition(": ")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5) if card else (8, 0))
    found = packing.why_not(network, device=torch.device(device), precision=precision)
    assert (found is None) if reason is None else (reason in found)


def test_auto_says_what_it_chose_once(monkeypatch):
    lines, data = [], SimpleNamespace(packing="auto", packed=None)
    monkeypatch.setattr(packing, "rank_zero_info", lines.append)
    bert = network_of(AutoModelForMaskedLM, ARCHITECTURES["bert"]())
    assert not choice(bert, False)
    assert not packing.is_enabled(bert)
    deberta = AutoModelForMaskedLM.from_config(DebertaV2Config(**SIZES))
    for _ in range(2):
        assert choice(bert, "auto", data=data) is True
    for _ in range(2):
        assert choice(deberta, "auto", data=data) is False
    assert choice(bert, "auto") is True  # other data: as for a test after the training
    assert [line.split(":")[0] for line in lines] == [
        "Batches are packed, without padding",
        "Batches are padded, in groups of similar length",
        "Batches are packed, without padding",
    ]
    assert "bert" in lines[0]
    assert "deberta" in lines[1]


def test_packing_that_cannot_be_had_is_an_error():
    network = AutoModelForMaskedLM.from_config(DebertaV2Config(**SIZES))
    with pytest.raises(UserError, match=r"not proven for a deberta-v2 .*--data.packing auto or false"):
        choice(network, True)
    with pytest.raises(UserError, match=r"not proven for a deberta-v2 .*give --data.packing false"):
        packing.forward(network, packed_batch([np.arange(5, 9), np.arange(5, 12)]))


@pytest.mark.parametrize("task", [pytest.param("mlm", marks=pytest.mark.acceptance), "classification"])
def test_a_hundred_steps_have_the_same_losses(task, tiny_cls, tiny_mlm, tmp_path):
    arguments = [*(tiny_mlm if task == "mlm" else tiny_cls), "--trainer.max_epochs", "99", "--trainer.max_steps", "100"]
    arguments += ["--early_stopping.patience", "99", "--model.dropout", "0", "--model.lr", "0.002"]
    arguments += ["--runs_dir", str(tmp_path)]
    losses = []
    for packs in ("true", "false"):
        outcome = invoke("fit", *arguments, "--data.packing", packs, "--name", packs)
        assert ("packed, without padding" in outcome.err + outcome.out) == (packs == "true")
        losses.append([float(row["train/loss"]) for row in read_metrics(outcome.run) if row["train/loss"]])
    packed, padded = losses
    assert len(packed) == len(padded) == 100
    assert packed[-1] < 0.9 * packed[0]
    assert packed == pytest.approx(padded, rel=1e-3)
    assert packed[:20] == pytest.approx(padded[:20], rel=1e-5)
