"""Sentences with tagged names for trying the package without a download, made from a seed.

Names are made of syllables, so most of those of test are new. Their shape does not tell the type: a family
name may be that of a place or a company. What stands around a name does.
"""

import random
from collections.abc import Iterator

NOISE = 0.02  # share of sentences in which one name has another type
_FIRST = "Anna Maria Peter Paul Jonas Lena Karl Ida Otto Nora Emil Clara Hugo Ella Max Frieda".split()
_BEGIN = "Bar Kal Mor Lin Ves Tor Hal Wen Dor Sil Gran Brem Ost Fel Nor Kar Lem Rud Sol Tam".split()
_MIDDLE = ["", "", "an", "er", "il", "o", "u"]
_END = "berg ton feld mann ing ley wick dale heim ford stad len".split()
# {P} person, {L} place, {O} organisation, {N} number; punctuation stands alone, as in corpora
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


def demo_tags(n: int, seed: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Generate `n` sentences, words and marks between spaces, with the IOB2 tags of each."""
    rng = random.Random(f"tags-{seed}")
    for _ in range(n):
        words, tags = list[str](), list[str]()
        wrong = rng.random() < NOISE
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
