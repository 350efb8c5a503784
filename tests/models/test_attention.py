import pytest
import torch
import torch.nn.functional as F

from lightning_nlp.models.attention import attention, sequences

# Longer than any threshold of the fused kernel, equal and about equal ones, and one token alone
LENGTHS = [200, 60, 60, 55, 40, 12, 3, 1]
BOUNDS = F.pad(torch.tensor(LENGTHS).cumsum(0), (1, 0)).int()


def draw(dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, 2, sum(LENGTHS), 16, generator=generator).to(device, dtype).requires_grad_() for _ in range(3)
    ]


def reference(query, key, value, window=None):
    """PyTorch's attention over all tokens, with a mask of who may see whom."""
    owner = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    places = torch.arange(len(owner))
    mask = owner[:, None] == owner
    if window is not None:
        mask &= (places[:, None] - places).abs() < window
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask.to(query.device), scale=0.3).transpose(1, 2)


@pytest.mark.parametrize("window", [None, 5, 100])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_the_same_as_masked_attention(window, with_gradient):
    inputs = draw()
    expected = reference(*inputs, window=window)
    with sequences(BOUNDS, max(LENGTHS), sum(LENGTHS)), torch.set_grad_enabled(with_gradient):
        output, weights = attention(None, *inputs, None, scaling=0.3, sliding_window=window)
    assert weights is None
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    if with_gradient:
        upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
        for ours, theirs in zip(
            torch.autograd.grad(output, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_dropout_is_of_the_attention_weights():
    """With values of one, an output is the sum of the weights left: 1 on average; for a lonely token 0 or 1 / 0.75."""
    query, key, value = (x.detach() for x in draw())
    torch.manual_seed(0)
    with sequences(BOUNDS, max(LENGTHS), sum(LENGTHS)):
        draws = torch.stack(
            [attention(None, query, key, torch.ones_like(value), None, dropout=0.25)[0] for _ in range(200)]
        )
    assert draws.mean().item() == pytest.approx(1, abs=0.01)
    lonely = draws[:, 0, -1, :, 0]  # the sequence of one token
    assert lonely.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (lonely == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_a_second_batch_cannot_begin_within_the_first():
    with sequences(BOUNDS, 200, sum(LENGTHS)), pytest.raises(AssertionError), sequences(BOUNDS, 200, sum(LENGTHS)):
        pass


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 5])
def test_flash_attention_on_cuda(window):
    inputs = draw(torch.bfloat16, "cuda")
    exact = reference(*(x.detach().double().cpu() for x in inputs), window=window)
    with sequences(BOUNDS.cuda(), max(LENGTHS), sum(LENGTHS)):
        output, _ = attention(None, *inputs, None, scaling=0.3, sliding_window=window)
    torch.testing.assert_close(output.double().cpu(), exact, atol=2e-2, rtol=2e-2)
    output.float().square().sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in inputs)
