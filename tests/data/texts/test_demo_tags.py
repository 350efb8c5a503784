from collections import Counter

from lightning_nlp.data.texts.demo_tags import demo_tags
from lightning_nlp.evaluation.tags import entities


def test_sentences_are_tagged_and_the_same_each_time():
    sentences = list(demo_tags(300, seed=3))
    assert sentences == list(demo_tags(300, seed=3)) != list(demo_tags(300, seed=4))
    assert all(len(words) == len(tags) for words, tags in sentences)
    assert {tag for _, tags in sentences for tag in tags} == {
        "O",
        *(f"{p}-{t}" for p in "BI" for t in "PER LOC ORG".split()),
    }


def test_noise_changes_one_type_of_a_sentence_and_no_word():
    clean, noisy = list(demo_tags(300, noise=0)), list(demo_tags(300, noise=1))
    assert [tags for _, tags in clean] != [tags for _, tags in noisy]
    found = Counter(kind for _, tags in clean for *_, kind in entities(tags))
    assert min(found.values()) > 0.2 * found.total()
