import hashlib
import re

import pytest

from lightning_nlp.data.texts.demo import DEMO_LABEL_NOISE, demo_reviews
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


def words_of(text: str) -> list[str]:
    return text.replace("<br />", " ").split()


def test_the_reviews_of_quickstart_are_these_in_each_process():
    reviews = list(demo_reviews(2000))
    digest = hashlib.sha256("\n".join(map("\t".join, reviews)).encode()).hexdigest()
    assert digest == "a0eec6438e1dc88fb88bf6b04136f3d999580f4e1ceb6476d9f4737637dbbcad"
    assert list(demo_reviews(50, seed=5)) != reviews[:50]


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_number_and_balance(n):
    labels = [label for _, label in demo_reviews(n)]
    assert len(labels) == n
    assert set(labels) <= {"pos", "neg"}
    assert abs(labels.count("pos") - labels.count("neg")) <= 1


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


def test_texts_hardly_repeat_and_lengths_are_skewed_to_the_right():
    texts = [text for text, _ in demo_reviews(10_000)]
    assert len(set(texts)) > 9_900
    lengths = sorted(len(words_of(text)) for text in texts)
    assert lengths[0] >= 12
    assert lengths[-1] <= 70
    median, low, high = lengths[5_000], lengths[1_000], lengths[9_000]
    assert high - median > 1.3 * (median - low)
    assert lengths[9_990] > 50


def test_some_reviews_hold_markup_as_imdb_does():
    texts = [text for text, _ in demo_reviews(2000)]
    with_markup = [text for text in texts if "<br />" in text]
    assert 0.2 < len(with_markup) / len(texts) < 0.5
    assert all(re.search(r"\S<br /><br />\S", text) for text in with_markup)


def test_single_words_do_not_tell_the_label():
    text_module = pytest.importorskip("sklearn.feature_extraction.text")
    linear = pytest.importorskip("sklearn.linear_model")
    train, test = list(demo_reviews(4000, seed=0, noise=0.0)), list(demo_reviews(1000, seed=1, noise=0.0))
    vectorizer = text_module.TfidfVectorizer()
    model = linear.LogisticRegression(max_iter=500)
    model.fit(vectorizer.fit_transform([text for text, _ in train]), [label for _, label in train])
    accuracy = model.score(vectorizer.transform([text for text, _ in test]), [label for _, label in test])
    assert 0.5 < accuracy <= 0.75


@pytest.mark.parametrize("noise", [-0.1, 1.5])
def test_impossible_noise_is_refused(noise):
    with pytest.raises(UserError, match="noise"):
        list(demo_reviews(10, noise=noise))
