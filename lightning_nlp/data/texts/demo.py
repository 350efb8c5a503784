"""Film reviews for trying the package without a download: made from a seed, with a known best accuracy.

Single words do not reveal a review's label. Three rules, learnable from examples, decide it:

1. A statement has the polarity of its adjective, reversed by a negator ("not", "less ... than", "failed to be",
   ...): "the film was hardly dull" is praise.
2. In a contrast one half wins: "A, but B", "although A, B" and "B, although A" all mean B.
3. A review's label is that of its verdict, the one sentence with a cue ("overall", "in the end", ...). The others
   judge single aspects, and agree with the verdict only a little more often than not.

A perfect reader is right on every label that was not flipped: best accuracy = 1 - noise.
"""

import random
from collections.abc import Iterator

from lightning_nlp.errors import check_range

DEMO_LABEL_NOISE = 0.05
"""Share of wrong labels in `demo_reviews` by default: the best possible accuracy is 1 - DEMO_LABEL_NOISE."""

# At 0.5 and 0.5 a single word would carry no information about the label. A little off is closer to how
# people write, and gives training something to start from.
_NEGATED_SHARE = 0.35
_AGREEING_SHARE = 0.6
_CONTRAST_SHARE = 0.25
_ASPECTS_SHARE = 0.7
_VERDICT_FIRST_SHARE = 0.2
_MARKUP_SHARE = 0.4
_MIN_WORDS, _MAX_WORDS = 12, 70

# A film and its aspects are judged and negated in different words. With shared words, which a model must tell
# apart by position alone, a two-layer DistilBERT from scratch reached 69% to 91% of the clean labels in five
# epochs; with these it reaches 99% in two.
_FILM_WORDS = {
    True: "good moving funny gripping charming brilliant great lovely enjoyable wonderful".split(),
    False: "bad dull boring awful tedious terrible dreadful poor forgettable annoying".split(),
}
_ASPECT_WORDS = {
    True: "clever fresh sharp warm convincing elegant honest witty original subtle".split(),
    False: "clumsy weak shallow stale cold lazy messy flat silly predictable".split(),
}
_ASPECTS = (
    "the acting,the plot,the story,the ending,the music,the dialogue,the script,the cast,the pacing,the camera work,"
    "the opening scene,the second half,the love story,the final twist,the title song,the humour,the editing,"
    "the direction,the lighting,the costume design,the sound,the lead role,the villain,the hero,the long car chase"
).split(",")
_VERDICT_SUBJECTS = ["the film", "this film", "the movie", "this movie", "the whole thing", "it"]
_VERDICT_CUES = ["overall", "all in all", "in the end", "on balance", "to sum up"]
_RIVALS = ["the book", "the trailer", "the first part", "the poster", "last year's winner", "the play"]
_DEGREES = ["", "", "really ", "quite ", "very ", "truly "]

# {s} subject, {a} adjective, {d} degree, {r} rival; a repeat is a weight
_PLAIN = (
    "{s} was {d}{a},{s} was {d}{a},{s} was {d}{a},{s} was {d}{a},{s} seemed {d}{a},{s} turned out to be {d}{a},"
    "I found {s} {d}{a},{s} was more {a} than {r}"
).split(",")
_FILM_NEGATED = (
    "{s} was not {d}{a},{s} was never {a},{s} was hardly {a},{s} did not seem {d}{a},I would never call {s} {a},"
    "I could hardly call {s} {a},{s} was not as {a} as {r}"
).split(",")
_ASPECT_NEGATED = (
    "{s} was far from {a},{s} failed to be {a},{s} was less {a} than {r},nobody could call {s} {a},"
    "{s} was anything except {a}"
).split(",")
_NEUTRAL = (
    "we saw it on a {day} with {who},{who} had bought the tickets in {month},it runs for about {number} minutes,"
    "it was shot in {place} in {month},the story begins in {place} on a {day},the cinema was half empty that {day},"
    "{who} sat next to me and ate popcorn,there are about {number} animals in it,"
    "it is set in {place} some {number} years ago"
).split(",")
_FILLERS = {
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "month": "January March April May June July August October December".split(),
    "who": ["my sister", "my brother", "my mother", "an old friend", "my neighbour", "the children", "a colleague"],
    "number": "ten twelve twenty thirty forty fifty sixty seventy eighty ninety".split(),
    "place": "Paris Rome London Vienna Madrid Lisbon Berlin Prague Tokyo Cairo".split(),
}


def demo_reviews(n: int, seed: int = 0, noise: float = DEMO_LABEL_NOISE) -> Iterator[tuple[str, str]]:
    """Generate film reviews whose best possible accuracy is known.

    Args:
        n: Number of reviews.
        seed: Equal seeds give equal reviews on every platform; use another one for unseen reviews.
        noise: Share of labels to flip: exactly `round(n * noise)`, half in each class. The texts don't change.

    Yields:
        `(text, label)`, the label "pos" or "neg", balanced to within one review.
    """
    assert n >= 0, n
    check_range("noise", noise, 0, 1)
    # exact shares, shuffled, from separate generators: `noise` changes no text and no clean label
    labels = [i % 2 == 0 for i in range(n)]
    random.Random(f"labels-{seed}").shuffle(labels)
    flips, noise_rng = round(n * noise), random.Random(f"noise-{seed}")
    flipped = set[int]()
    for label, share in ((True, flips - flips // 2), (False, flips // 2)):
        of_label = [i for i in range(n) if labels[i] == label]
        noise_rng.shuffle(of_label)
        flipped.update(of_label[:share])
    rng = random.Random(f"reviews-{seed}")
    for i, label in enumerate(labels):
        yield _review(rng, label), "pos" if label != (i in flipped) else "neg"


def _review(rng: random.Random, label: bool) -> str:
    while True:
        # An exponential number of sentences around the verdict: most reviews are short, a few are long.
        n_aspects = 1 + int(rng.expovariate(0.9)) if rng.random() < _ASPECTS_SHARE else 0
        n_neutral = int(rng.expovariate(1.6))
        aspects = rng.sample(_ASPECTS, min(n_aspects, 6))
        body = [_contrast(rng, label == (rng.random() < _AGREEING_SHARE), [aspect]) for aspect in aspects]
        for template in rng.sample(_NEUTRAL, min(n_neutral, 4)):
            body.append(template.format(**{slot: rng.choice(words) for slot, words in _FILLERS.items()}))
        rng.shuffle(body)
        verdict = f"{rng.choice(_VERDICT_CUES)}, {_contrast(rng, label, _VERDICT_SUBJECTS)}"
        body.insert(0 if rng.random() < _VERDICT_FIRST_SHARE else len(body), verdict)
        if _MIN_WORDS <= len(" ".join(body).split()) <= _MAX_WORDS:
            break
    sentences = [sentence[0].upper() + sentence[1:] + "." for sentence in body]
    if rng.random() >= _MARKUP_SHARE or len(sentences) < 2:
        return " ".join(sentences)
    cut = rng.randrange(1, len(sentences))  # like IMDB's paragraphs: no space around the markup
    return " ".join(sentences[:cut]) + "<br /><br />" + " ".join(sentences[cut:])


def _contrast(rng: random.Random, positive: bool, subjects: list[str]) -> str:
    """A sentence that means `positive`: a statement, or a contrast whose losing half means the opposite."""
    subject = rng.choice(subjects)
    wins = _statement(rng, positive, subject)
    if rng.random() >= _CONTRAST_SHARE:
        return wins
    loses = _statement(rng, not positive, rng.choice([aspect for aspect in _ASPECTS if aspect != subject]))
    but = f"{loses}, but {wins}"
    return rng.choice([but, but, f"although {loses}, {wins}", f"{wins}, although {loses}"])


def _statement(rng: random.Random, positive: bool, subject: str) -> str:
    of_film = subject in _VERDICT_SUBJECTS
    negated = rng.random() < _NEGATED_SHARE
    forms = (_FILM_NEGATED if of_film else _ASPECT_NEGATED) if negated else _PLAIN
    words = (_FILM_WORDS if of_film else _ASPECT_WORDS)[positive != negated]
    return rng.choice(forms).format(s=subject, a=rng.choice(words), d=rng.choice(_DEGREES), r=rng.choice(_RIVALS))


_TOPICS = {  # the labels of `demo_labels`, with words that show them
    "people": "the acting,the cast,the lead role,the villain,the hero",
    "pictures": "the camera work,the lighting,the costume design,the editing,the long car chase",
    "place": ",".join(_FILLERS["place"]),
    "sound": "the music,the title song,the sound",
    "story": "the plot,the story,the ending,the dialogue,the script,the final twist",
}


def demo_labels(n: int, seed: int = 0) -> Iterator[tuple[str, list[str]]]:
    """The same reviews labelled with the topics they mention (none to five); no label is wrong."""
    for text, _ in demo_reviews(n, seed):
        lowered = text.lower()
        yield text, [name for name, words in _TOPICS.items() if any(w in lowered for w in words.lower().split(","))]


def demo_ratings(n: int, seed: int = 0) -> Iterator[tuple[str, float]]:
    """The same reviews labelled with a rating of about 0 to 100.

    It is 75 if the verdict is good and else 25, 4 more for each topic, and noise with a standard deviation of 5, so
    that the best R2 is about 0.96.
    """
    rng = random.Random(f"ratings-{seed}")
    reviews = zip(demo_reviews(n, seed, noise=0), demo_labels(n, seed), strict=True)
    for (text, verdict), (_, topics) in reviews:
        yield text, round((75 if verdict == "pos" else 25) + 4 * len(topics) + rng.gauss(0, 5), 1)
