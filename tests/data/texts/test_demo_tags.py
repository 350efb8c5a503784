from collections import Counter

from lightning_nlp.data.texts import demo_tags as demo
from lightning_nlp.evaluation.tags import entities


def test_sentences_are_tagged_and_the_same_each_time():
    sentences = list(demo.demo_tags(300, seed=3))
    assert sentences == list(demo.demo_tags(300, seed=3)) != list(demo.demo_tags(300, seed=4))
    assert all(len(text.split(" ")) == len(tags) for text, tags in sentences)
    assert {tag for _, tags in sentences for tag in tags} == {
        "O",
        *(f"{p}-{t}" for p in "BI" for t in "PER LOC ORG".split()),
    }


def test_noise_changes_types_of_sentences_with_names(monkeypatch):
    found = {}
    for noise in (0, 1):
        monkeypatch.setattr(demo, "NOISE", noise)
        found[noise] = [tags for _, tags in demo.demo_tags(300)]
    assert found[0] != found[1]
    kinds = Counter(kind for tags in found[0] for *_, kind in entities(tags))
    assert min(kinds.values()) > 0.2 * kinds.total()
