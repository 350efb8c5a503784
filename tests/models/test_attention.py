import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_nlp.models.attention import AREA, SHORT, SLACK, STEP, attention, layout_of, rectangles

# Longer than any threshold of the fused kernel, equal and about equal ones, and one token alone
LENGTHS = [200, 60, 60, 55, 40, 12, 3, 1]
BOUNDS = F.pad(torch.tensor(LENGTHS).cumsum(0), (1, 0)).int()
LAYOUT = layout_of(BOUNDS, max(LENGTHS), sum(LENGTHS))


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
    with torch.set_grad_enabled(with_gradient):
        output, weights = attention(None, *inputs, None, scaling=0.3, sliding_window=window, layout=LAYOUT)
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
    ones = torch.ones_like(value)
    draws = torch.stack([attention(None, query, key, ones, None, dropout=0.25, layout=LAYOUT)[0] for _ in range(200)])
    assert draws.mean().item() == pytest.approx(1, abs=0.01)
    lonely = draws[:, 0, -1, :, 0]  # the sequence of one token
    assert lonely.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (lonely == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_tokens_of_no_sequence_change_nothing():
    inputs = draw()
    expected = reference(*inputs)
    longer = [F.pad(x.detach(), (0, 0, 0, 7), value=3.0).requires_grad_() for x in inputs]
    output, _ = attention(None, *longer, None, scaling=0.3, layout=layout_of(BOUNDS, max(LENGTHS), sum(LENGTHS) + 7))
    assert output.shape[1] == sum(LENGTHS) + 7
    torch.testing.assert_close(output[:, :-7], expected, atol=1e-5, rtol=1e-5)
    output[:, :-7].square().sum().backward()
    expected.square().sum().backward()
    for ours, theirs in zip(longer, inputs, strict=True):
        torch.testing.assert_close(ours.grad[:, :, :-7], theirs.grad, atol=1e-4, rtol=1e-4)
        assert not ours.grad[:, :, -7:].any()


def test_long_sequences_come_in_few_sizes():
    """So that the memory of one batch fits the next; short ones share a rectangle with those about as long."""
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(50):
        lengths = np.sort(rng.integers(1, 513, 15))[::-1]
        bounds = np.concatenate([[0], lengths.cumsum()])
        found, places, place_of = rectangles(bounds, int(bounds[-1]))
        assert sum(rectangle.number for rectangle in found) == 15
        assert np.array_equal(places[place_of], np.arange(bounds[-1]))
        taken = 0
        for number, width, _ in found:
            inside = lengths[taken : taken + number]
            taken += number
            assert 0 <= width - inside.min() < (STEP if width > SHORT else SLACK + 1)
            if width > SHORT:
                sizes.add((number, width))
                assert number == 1 or number * width**2 <= AREA
    assert {width for _, width in sizes} == set(range(SHORT + STEP, 513, STEP))


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 5])
def test_flash_attention_on_cuda(window):
    inputs = draw(torch.bfloat16, "cuda")
    exact = reference(*(x.detach().double().cpu() for x in inputs), window=window)
    layout = layout_of(BOUNDS.cuda(), max(LENGTHS), sum(LENGTHS))
    output, _ = attention(None, *inputs, None, scaling=0.3, sliding_window=window, layout=layout)
    torch.testing.assert_close(output.double().cpu(), exact, atol=2e-2, rtol=2e-2)
    output.float().square().sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in inputs)
