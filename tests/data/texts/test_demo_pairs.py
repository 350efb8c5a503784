from collections import Counter

from lightning_nlp.data.texts.demo_pairs import LABELS, demo_pairs
from lightning_nlp.data.texts.normalize import PAIR


def test_pairs_are_the_same_each_time_and_neither_text_alone_tells_the_label():
    pairs = list(demo_pairs(3000, seed=3))
    assert pairs == list(demo_pairs(3000, seed=3)) != list(demo_pairs(3000, seed=4))
    counts = Counter(label for _, label in pairs)
    assert {*counts} == {*LABELS}
    assert min(counts.values()) > 900
    verbs = Counter((" praised " in text.split(PAIR)[1], label) for text, label in pairs)
    assert verbs[True, "entail"] > 50 < verbs[True, "contradict"]
