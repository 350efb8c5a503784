import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lightning_nlp.evaluation.words import driving_words, mistakes


@pytest.fixture
def classifier(cls_run):
    network = AutoModelForSequenceClassification.from_pretrained(cls_run / "export").eval()
    return network, AutoTokenizer.from_pretrained(cls_run / "export")


TEXTS = ["the film was superb", "the ending was awful, the cast lovely", "good"]


def test_scores_are_the_gradient_by_a_difference(classifier):
    network, tokenizer = classifier
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    found = driving_words(network, tokenizer, ids, torch.tensor([1, 0, 1]))
    for tokens, words, target in zip(ids, found, (1, 0, 1), strict=True):
        embedding = network.get_input_embeddings().weight[tokens].detach().double()
        double = network.double()

        def logit(scale, target=target, embedding=embedding, double=double):
            return double(inputs_embeds=(embedding * scale[:, None])[None]).logits[0, target].item()

        # d logit / d scale_i at 1 is gradient x input of token i
        slopes = []
        for i in range(len(tokens)):
            up, down = torch.ones(len(tokens)).double(), torch.ones(len(tokens)).double()
            up[i], down[i] = 1 + 1e-4, 1 - 1e-4
            slopes.append((logit(up) - logit(down)) / 2e-4)
        network.float()
        pieces = tokenizer.convert_ids_to_tokens(tokens)
        sums = []
        for piece, slope in zip(pieces, slopes, strict=True):
            if piece in tokenizer.all_special_tokens:
                continue
            if piece.startswith("##"):
                sums[-1] += slope
            else:
                sums.append(slope)
        expected = np.array(sums) / np.abs(sums).max()
        assert [score for _, score in words] == pytest.approx(expected.tolist(), abs=2e-3)
        assert max(abs(score) for _, score in words) == 1


def test_words_are_whole_and_in_order(classifier):
    network, tokenizer = classifier
    (words,) = driving_words(network, tokenizer, [tokenizer(TEXTS[1])["input_ids"]], torch.tensor([0]))
    assert " ".join(word for word, _ in words) == "the ending was awful , the cast lovely"
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_surest_mistakes_come_first(classifier):
    network, tokenizer = classifier

    class Rows:
        def __getitem__(self, numbers):
            return {"input_ids": [np.array(tokenizer(TEXTS[n])["input_ids"]) for n in numbers]}

    found = {
        "logits": np.array([[3.0, 0.0], [0.0, 5.0], [0.0, 1.0]]),
        "labels": np.array([1, 0, 1]),
        "rows": np.array([0, 1, 2]),
    }
    first, second = mistakes(network, tokenizer, Rows(), found, ["neg", "pos"])
    assert (first["row"], first["label"], first["prediction"]) == (1, "neg", "pos")
    assert (second["row"], second["label"], second["prediction"]) == (0, "pos", "neg")
    assert first["probability"] == pytest.approx(1 / (1 + np.exp(-5)))
    assert first["text"] == "the ending was awful, the cast lovely"
    assert mistakes(network, tokenizer, Rows(), {**found, "labels": np.array([0, 1, 1])}, ["neg", "pos"]) == []
