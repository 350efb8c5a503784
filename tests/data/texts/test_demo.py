import hashlib
import re
from collections import Counter

import pytest

from lightning_nlp.data.texts.demo import DEMO_LABEL_NOISE, demo_labels, demo_ratings, demo_reviews
from lightning_nlp.errors import UserError

# An independent reader of the three rules in the module's docstring, with word lists of its own.
GOOD = """good moving funny gripping charming brilliant great lovely enjoyable wonderful
clever fresh sharp warm convincing elegant honest witty original subtle""".split()
BAD = """bad dull boring awful tedious terrible dreadful poor forgettable annoying
clumsy weak shallow stale cold lazy messy flat silly predictable""".split()
NEGATORS = {"not", "never", "hardly", "failed", "far", "less", "nobody", "except"}
CUES = ("overall,", "all in all,", "in the end,", "on balance,", "to sum up,")


def read_label(text: str) -> str:
    sentences = re.split(r"\.(?: |$|(?=<))", text.lower())
    verdicts = [cue_free for s in sentences for cue_free in [re.sub(r"^(<br />)+", "", s)] if cue_free.startswith(CUES)]
    assert len(verdicts) == 1, text
    verdict = verdicts[0]
    for cue in CUES:
        verdict = verdict.removeprefix(cue).strip()
    if ", but " in verdict:
        verdict = verdict.split(", but ")[1]
    elif verdict.startswith("although "):
        verdict = verdict.split(", ")[1]
    else:
        verdict = verdict.split(", although ")[0]
    words = verdict.split()
    found = [word in GOOD for word in words if word in GOOD + BAD]
    assert len(found) == 1, verdict
    return "pos" if found[0] != any(word in NEGATORS for word in words) else "neg"


def test_the_reviews_of_quickstart_are_these_in_each_process():
    reviews = list(demo_reviews(2000))
    digest = hashlib.sha256("\n".join(map("\t".join, reviews)).encode()).hexdigest()
    assert digest == "a0eec6438e1dc88fb88bf6b04136f3d999580f4e1ceb6476d9f4737637dbbcad"
    assert list(demo_reviews(50, seed=5)) != reviews[:50]
    assert [label for _, label in demo_reviews(7, noise=0)].count("pos") in (3, 4)


def test_rules_alone_give_every_clean_label():
    reviews = list(demo_reviews(3000, seed=1, noise=0.0))
    assert [text for text, label in reviews if read_label(text) != label] == []
    assert len(reviews) == 3000


@pytest.mark.parametrize("noise", [DEMO_LABEL_NOISE, 0.2, 1.0])
def test_noise_flips_exactly_its_share_and_leaves_the_texts(noise):
    clean = list(demo_reviews(2000, seed=1, noise=0.0))
    noisy = list(demo_reviews(2000, seed=1, noise=noise))
    assert [text for text, _ in clean] == [text for text, _ in noisy]
    flipped = [a[1] for a, b in zip(clean, noisy, strict=True) if a[1] != b[1]]
    assert len(flipped) == round(2000 * noise)
    assert flipped.count("pos") == flipped.count("neg")
    with pytest.raises(UserError, match="noise"):
        list(demo_reviews(10, noise=noise + 1.1))


def test_topics_and_ratings_are_of_the_same_reviews():
    texts = [text for text, _ in demo_reviews(2000)]
    labelled, rated = list(demo_labels(2000)), list(demo_ratings(2000))
    assert [text for text, _ in labelled] == [text for text, _ in rated] == texts
    counts = Counter(label for _, labels in labelled for label in labels)
    assert set(counts) == {"people", "pictures", "place", "sound", "story"}
    assert min(counts.values()) > 150
    best = [(75 if read_label(text) == "pos" else 25) + 4 * len(labels) for text, labels in labelled]
    ratings = [rating for _, rating in rated]
    errors = sum((a - b) ** 2 for a, b in zip(best, ratings, strict=True))
    mean = sum(ratings) / len(ratings)
    assert 1 - errors / sum((rating - mean) ** 2 for rating in ratings) == pytest.approx(0.96, abs=0.01)
