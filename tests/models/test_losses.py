import pytest
import torch
import torch.nn.functional as F

from lightning_nlp.models import losses
from lightning_nlp.models.losses import cross_entropy_sum


def loss_and_gradient(function, logits, targets):
    logits = logits.clone().requires_grad_()
    loss = function(logits, targets)
    (loss / 7).backward()
    return loss.detach(), logits.grad


def reference(logits, targets):
    return F.cross_entropy(logits.float(), targets, reduction="sum")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("block", [1, 100, 1000, 1_000_000])  # a row at a time, uneven rests, all at once
def test_loss_and_gradient_are_those_of_pytorch(dtype, block, monkeypatch):
    monkeypatch.setattr(losses, "BLOCK", block)
    torch.manual_seed(0)
    logits, targets = (5 * torch.randn(23, 41)).to(dtype), torch.randint(41, (23,))
    loss, gradient = loss_and_gradient(cross_entropy_sum, logits, targets)
    expected_loss, expected_gradient = loss_and_gradient(reference, logits, targets)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=0)
    # rounded once from float32, as the reference: the last bit may differ where that lies half-way
    torch.testing.assert_close(gradient, expected_gradient, rtol=max(1e-5, torch.finfo(dtype).eps), atol=1e-7)
    assert (gradient == expected_gradient).float().mean() > (0.99 if dtype != torch.float32 else 0)


def test_huge_logits_stay_finite():
    logits, targets = torch.tensor([[3e38, -3e38], [-1e4, 1e4]]), torch.tensor([1, 1])
    loss, gradient = loss_and_gradient(cross_entropy_sum, logits[1:], targets[1:])
    assert loss == 0
    assert torch.equal(gradient, torch.zeros(1, 2))
    assert loss_and_gradient(cross_entropy_sum, logits, targets)[0] == reference(logits, targets)


def test_no_masked_token_gives_a_loss_of_zero_with_a_graph():
    logits = torch.empty(0, 41, requires_grad=True)
    loss = cross_entropy_sum(logits, torch.empty(0, dtype=torch.int64))
    loss.backward()
    assert loss == 0
    assert logits.grad.shape == (0, 41)


def test_a_nan_shows():
    logits = torch.zeros(2, 3)
    logits[1, 1] = torch.nan
    assert cross_entropy_sum(logits, torch.tensor([0, 0])).isnan()


def test_the_caller_keeps_its_logits():
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 11), torch.randint(11, (5,))
    before = logits.clone()
    loss_and_gradient(cross_entropy_sum, logits, targets)
    assert torch.equal(logits, before)
