"""Pairs of sentences for trying the package without a download: does the second follow from the first?"""

import random
from collections.abc import Iterator

from lightning_nlp.data.texts.normalize import join_pair

LABELS = ("entail", "contradict", "neutral")
NOISE = 0.05  # the share of wrong labels: the best accuracy is 0.95
GOOD_SHARE = 0.6  # a little off the half gives training a first foothold
_SUBJECTS = "film book play song soup cake hotel beach garden museum train bridge coat clock".split()
_ADJECTIVES = {
    True: "good lovely brilliant pleasant wonderful great delightful splendid".split(),
    False: "bad awful dreadful dull terrible poor dismal horrid".split(),
}
_VERBS = {
    True: "praised liked enjoyed admired recommended".split(),
    False: "mocked disliked hated avoided criticised".split(),
}
_PREMISES = ("the {s} was {a} {t}", "{w} found the {s} {a} {t}", "{w} called the {s} {a} {t}", "{t} the {s} seemed {a}")
_NEUTRAL = ("{w} was there {t}", "{w} paid for it {t}", "{w} told us about it {t}", "{w} had been there before")
_WHO = "Anna,Ben,Clara,David,my sister,a neighbour,the teacher,an old friend".split(",")
_WHEN = "on Monday,on Friday,in May,in June,last week,last year,at noon,in the evening".split(",")


def demo_pairs(n: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Generate pairs, as `join_pair` puts them together, with their labels, a third each.

    The premise says whether a thing is good. The hypothesis says whether somebody liked it, as that lets expect
    (`entail`) or not (`contradict`), or something else (`neutral`). Without the premise the best accuracy is about
    (1/3 + 2/3 * 0.6) * 0.95 = 0.70.
    """
    rng = random.Random(f"pairs-{seed}")
    for number in range(n):
        label = LABELS[number % 3]
        good, subject = rng.random() < GOOD_SHARE, rng.choice(_SUBJECTS)
        words = {"s": subject, "w": rng.choice(_WHO), "a": rng.choice(_ADJECTIVES[good]), "t": rng.choice(_WHEN)}
        premise = rng.choice(_PREMISES).format(**words)
        who, when = rng.choice(_WHO), rng.choice(_WHEN)
        hypothesis = f"{who} {rng.choice(_VERBS[good == (label == 'entail')])} the {subject}"
        if label == "neutral":
            hypothesis = rng.choice(_NEUTRAL).format(w=who, t=when)
        if rng.random() < NOISE:
            label = rng.choice([other for other in LABELS if other != label])
        yield join_pair([text[0].upper() + text[1:] + "." for text in (premise, hypothesis)]), label
