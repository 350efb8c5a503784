import itertools

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

from benchmarks.cost_model import (
    ENCODERS,
    GPUS,
    MASKED,
    Size,
    fit,
    gpu_step,
    predicted,
    short,
    terms,
)
from lightning_nlp.flops import Counts, forward_costs, training_flops


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("DistilBERT", lambda: DistilBertForMaskedLM(DistilBertConfig())),
        ("BERT-base", lambda: BertForMaskedLM(BertConfig())),
    ],
)
def test_sizes_and_operations_are_those_of_the_networks(name, network):
    with torch.device("meta"):
        made, size = network(), ENCODERS[name]
    assert size.parameters == pytest.approx(sum(parameter.numel() for parameter in made.parameters()), rel=1e-3)
    costs = forward_costs(made)
    counts = Counts(tokens=10_000, pairs=10_000 * 200, sequences=50, head_rows=int(10_000 * MASKED))
    assert size.operations(200) * 10_000 == pytest.approx(training_flops(costs, counts), rel=1e-3)


def rows_of(costs, cores):
    rows = []
    for layers, tokens, processes in itertools.product((2, 4, 8), (512, 2048), (1, 2, 4)):
        size = Size(layers, 64 * layers, 256 * layers, 1000 * layers)
        row = {"processes": processes, "parameters": size.parameters, "operations": size.operations(30) * tokens}
        row["activations"] = size.activations * tokens
        rows.append({**row, "seconds": sum(term * cost for term, cost in zip(terms(row, cores), costs, strict=True))})
    return rows


def test_a_fit_finds_the_costs_that_made_the_measurements():
    costs = [1 / 50e9, 1 / 5e8, 1 / 1e9, 0.004, 0.001]
    rows = rows_of(costs, 2)
    found = fit(rows, 2)
    assert found == pytest.approx(costs, rel=1e-4)
    assert predicted(rows[-1], found, 2) == pytest.approx(rows[-1]["seconds"], rel=1e-4)


def test_no_cost_is_negative():
    rows = rows_of([1 / 50e9, 0, 0, 0, 0], 2)
    for number, row in enumerate(rows):
        row["seconds"] *= 1 + 0.2 * (-1) ** number
    assert min(fit(rows, 2)) >= 0


@pytest.mark.parametrize("device", GPUS)
def test_more_gpus_are_faster_and_never_cheaper_a_token(device):
    for size in ENCODERS.values():
        steps = [(number, *gpu_step(size, device, number, 0.4)) for number in (1, 8, 64, 512)]
        speeds = [tokens / seconds for _, tokens, seconds in steps]
        assert speeds == sorted(speeds)
        prices = [number * seconds / tokens for number, tokens, seconds in steps]
        assert prices == pytest.approx(sorted(prices), rel=1e-9)


def test_numbers_are_short():
    assert [short(number) for number in (0.00198, 1.024, 57.3, 1234.0)] == ["0.002", "1", "57", "1,200"]
