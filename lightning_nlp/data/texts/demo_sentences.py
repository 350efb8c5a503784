"""Pairs of sentences, and sentences with tagged names, for trying the package without a download, from a seed."""

import random
from collections.abc import Iterator

from lightning_nlp.data.texts.normalize import join_pair

LABELS = ("entail", "contradict", "neutral")
PAIR_NOISE = 0.05  # the share of pairs with a wrong label: the best accuracy is 0.95
TAG_NOISE = 0.02  # the share of tagged sentences in which one name has another type
GOOD_SHARE = 0.6  # a little above half gives training something to start from
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


# Names are made of syllables, so most names in test are new. Their shape does not tell the type: a family name
# may be that of a place or a company. The words around it do.
_FIRST = "Anna Maria Peter Paul Jonas Lena Karl Ida Otto Nora Emil Clara Hugo Ella Max Frieda".split()
_BEGIN = "Bar Kal Mor Lin Ves Tor Hal Wen Dor Sil Gran Brem Ost Fel Nor Kar Lem Rud Sol Tam".split()
_MIDDLE = ["", "", "an", "er", "il", "o", "u"]
_END = "berg ton feld mann ing ley wick dale heim ford stad len".split()
# {P} person, {L} place, {O} organisation, {N} number; punctuation marks are tokens, as in corpora
_TEMPLATES = (
    "{P} was born in {L} .|{P} and {P} live near {L} .|Last year {P} moved from {L} to {L} .|"
    "{O} , the maker of bicycles , opened a factory in {L} .|Shares of {O} fell after {P} resigned as its director .|"
    "The mayor of {L} met {P} on Monday .|{P} works for {O} , but her sister left the company .|"
    "It rained in {L} and the roads to {L} were closed .|A spokesman of {O} said that profits had doubled .|"
    "Doctor {P} , who teaches in {L} , wrote to {O} .|The train from {L} was late again .|"
    '" We never signed it , " said {P} , " and {O} knows that . "|In the other {N} towns it rained .|'
    "Nobody had expected the price to rise to {N} euros .|The lawyers of {O} sued {O} in {L} .|"
    "Mrs {P} paid {N} euros and went home ."
).split("|")
_TYPES = {"{P}": "PER", "{L}": "LOC", "{O}": "ORG"}


def demo_pairs(n: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Generate pairs, joined by `join_pair`, with their labels, a third each.

    The premise says whether a thing is good. The hypothesis says whether somebody liked it, as one would then expect
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
        if rng.random() < PAIR_NOISE:
            label = rng.choice([other for other in LABELS if other != label])
        yield join_pair([text[0].upper() + text[1:] + "." for text in (premise, hypothesis)]), label


def demo_tags(n: int, seed: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Generate `n` sentences, words and marks between spaces, with the IOB2 tags of each."""
    rng = random.Random(f"tags-{seed}")
    for _ in range(n):
        words, tags = list[str](), list[str]()
        wrong = rng.random() < TAG_NOISE
        for word in rng.choice(_TEMPLATES).replace("{N}", str(rng.randint(11, 99_999))).split():
            kind = _TYPES.get(word)
            name = _name(rng, kind) if kind else [word]
            if kind and wrong:
                kind, wrong = rng.choice([other for other in _TYPES.values() if other != kind]), False
            words += name
            tags += [f"B-{kind}"] + [f"I-{kind}"] * (len(name) - 1) if kind else ["O"]
        yield " ".join(words), tags


def _name(rng: random.Random, kind: str) -> list[str]:
    name = [rng.choice(_BEGIN) + rng.choice(_MIDDLE) + rng.choice(_END)]
    if kind == "PER":
        return [rng.choice(_FIRST), *name] if rng.random() < 0.7 else name
    if kind == "LOC":
        return ["New", *name] if rng.random() < 0.15 else name
    return [*name, rng.choice(["Motors", "Bank", "AG"])] if rng.random() < 0.5 else name
