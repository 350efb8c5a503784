from collections import Counter

from lightning_nlp.data.texts import demo_sentences as demo
from lightning_nlp.data.texts.normalize import PAIR
from lightning_nlp.evaluation.tags import entities


def test_pairs_are_the_same_each_time_and_neither_text_alone_tells_the_label():
    pairs = list(demo.demo_pairs(3000, seed=3))
    assert pairs == list(demo.demo_pairs(3000, seed=3)) != list(demo.demo_pairs(3000, seed=4))
    counts = Counter(label for _, label in pairs)
    assert {*counts} == {*demo.LABELS}
    assert min(counts.values()) > 900
    verbs = Counter((" praised " in text.split(PAIR)[1], label) for text, label in pairs)
    assert verbs[True, "entail"] > 50 < verbs[True, "contradict"]


def test_sentences_are_tagged_and_the_same_each_time():
    sentences = list(demo.demo_tags(300, seed=3))
    assert sentences == list(demo.demo_tags(300, seed=3)) != list(demo.demo_tags(300, seed=4))
    assert all(len(text.split(" ")) == len(tags) for text, tags in sentences)
    kinds = {f"{place}-{kind}" for place in "BI" for kind in ("PER", "LOC", "ORG")}
    assert {tag for _, tags in sentences for tag in tags} == {"O", *kinds}


def test_noise_changes_types_of_sentences_with_names(monkeypatch):
    found = {}
    for noise in (0, 1):
        monkeypatch.setattr(demo, "TAG_NOISE", noise)
        found[noise] = [tags for _, tags in demo.demo_tags(300)]
    assert found[0] != found[1]
    kinds = Counter(kind for tags in found[0] for *_, kind in entities(tags))
    assert min(kinds.values()) > 0.2 * kinds.total()
