import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lightning_nlp.evaluation.words import _gradients, driving_words, mistakes, worst_mistakes


@pytest.fixture
def classifier(cls_run):
    network = AutoModelForSequenceClassification.from_pretrained(cls_run / "export").eval()
    return network, AutoTokenizer.from_pretrained(cls_run / "export")


TEXTS = ["the film was superb", "the ending was awful, the cast lovely", "good"]


def test_scores_are_what_the_words_make_of_a_text_of_masks(classifier, monkeypatch):
    """Integrated gradients add up to the difference between the two texts, the more exactly the more steps."""
    monkeypatch.setattr("lightning_nlp.evaluation.words.STEPS", 200)
    network, tokenizer = classifier
    special = set(tokenizer.all_special_ids)

    def logits(ids):
        with torch.inference_mode():
            return network(input_ids=torch.tensor([ids])).logits[0]

    for text, target in zip(TEXTS, (1, 0, 1), strict=True):
        ids = tokenizer(text)["input_ids"]
        scores = _gradients(network, tokenizer, ids, target, 0)
        masked = [number if number in special else tokenizer.mask_token_id for number in ids]
        assert sum(scores) == pytest.approx(float(logits(ids)[target] - logits(masked)[target]), abs=2e-3)
        assert [score for number, score in zip(ids, scores, strict=True) if number in special] == [0, 0]


@pytest.mark.parametrize(("text", "word"), [("the film was superb", "superb"), ("the plot was awful", "awful")])
def test_a_sure_prediction_is_driven_by_the_words_for_it(text, word, classifier):
    """At the end of the way alone, where the network is sure, the gradient says little of what made it so."""
    network, tokenizer = classifier
    ids = tokenizer(text)["input_ids"]
    masked = [tokenizer.mask_token_id if tokenizer.decode([n]).strip() == word else n for n in ids]
    with torch.no_grad():
        network.classifier.weight *= 40
        with_word, without = (network(input_ids=torch.tensor([i])).logits[0] for i in (ids, masked))
    predicted = int(with_word.argmax())
    words = driving_words(network, tokenizer, ids, predicted)
    assert [each for each, _ in words] == text.split()
    assert np.sign(dict(words)[word]) == np.sign(float((with_word - without)[predicted]))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_surest_mistakes_come_first(classifier):
    network, tokenizer = classifier

    class Rows:
        def __getitem__(self, numbers):
            return {"input_ids": [np.array(tokenizer(TEXTS[n])["input_ids"]) for n in numbers]}

    logits, rows = np.array([[3.0, 0.0], [0.0, 5.0], [0.0, 1.0]]), np.arange(3)
    found = {"logits": logits, "labels": np.array([1, 0, 1]), "rows": rows}
    first, second = mistakes(network, tokenizer, Rows(), found, ["neg", "pos"])
    assert (first["row"], first["label"], first["prediction"]) == (1, "neg", "pos")
    assert (second["row"], second["label"], second["prediction"]) == (0, "pos", "neg")
    assert first["probability"] == pytest.approx(1 / (1 + np.exp(-5)))
    assert first["text"] == "the ending was awful, the cast lovely"
    assert " ".join(word for word, _ in first["words"]) == "the ending was awful , the cast lovely"
    assert mistakes(network, tokenizer, Rows(), found | {"labels": np.array([0, 1, 1])}, ["neg", "pos"]) == []


def test_the_worst_mistakes_of_several_labels_and_of_numbers():
    logits, labels = np.array([[2.0, -3.0], [-1.0, 1.0], [4.0, 4.0]]), np.array([[1, 1], [1, 0], [0, 1]])
    found = worst_mistakes(logits, labels, ["a", "b"])
    assert [(wrong.at, wrong.label, wrong.prediction, wrong.output, wrong.sign) for wrong in found] == [
        (2, "not a", "a", 0, 1), (0, "b", "not b", 1, -1), (1, "a", "not a", 0, -1), (1, "not b", "b", 1, 1)
    ]  # fmt: skip
    assert found[0].probability == pytest.approx(1 / (1 + np.exp(-4)))
    assert worst_mistakes(logits, (logits > 0).astype(int), ["a", "b"]) == []
    found = worst_mistakes(np.array([[1.0], [70.25], [3.0]]), np.array([1.5, 12.0, 5.0]), [])
    assert [(wrong.at, wrong.label, wrong.prediction, wrong.sign, wrong.probability) for wrong in found] == [
        (1, "12", "70.25", 1, None), (2, "5", "3", -1, None), (0, "1.5", "1", -1, None)
    ]  # fmt: skip
