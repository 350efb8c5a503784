import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

from lightning_nlp.evaluation.probes import fill


def test_fillings_are_those_of_the_pipeline(mlm_run):
    network = AutoModelForMaskedLM.from_pretrained(mlm_run / "export").eval()
    tokenizer = AutoTokenizer.from_pretrained(mlm_run / "export")
    state = torch.get_rng_state()
    one, two = fill(network, tokenizer, ["la [MASK] vidas panon.", "[MASK] kaj [MASK]"], top_k=3)
    assert torch.equal(torch.get_rng_state(), state)
    expected = pipeline("fill-mask", str(mlm_run / "export"))("la [MASK] vidas panon.", top_k=3)
    assert [filling["token"] for filling in one["fillings"][0]] == [found["token_str"] for found in expected]
    for filling, found in zip(one["fillings"][0], expected, strict=True):
        assert abs(filling["probability"] - found["score"]) < 1e-5
    assert [len(holes) for holes in (one["fillings"], two["fillings"])] == [1, 2]
    assert fill(network, tokenizer, []) == []
