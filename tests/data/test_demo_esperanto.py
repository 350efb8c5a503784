import re

import pytest

from lightning_nlp.data.demo_esperanto import PROBES, demo_esperanto, is_grammatical, judge_fill
from lightning_nlp.errors import UserError

# Not of the generator: tests of the sentences must not lean on the grammar's own tables.
PAST, FUTURE = ("hieraŭ", "antaŭhieraŭ", "pasintjare"), ("morgaŭ", "postmorgaŭ", "baldaŭ")


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return list(demo_esperanto(400, seed=3))


def words_of(sentence: str) -> list[str]:
    return re.findall(r"\w+", sentence.lower())


def test_same_seed_same_sentences_and_pinned_text():
    assert list(demo_esperanto(20, seed=5)) == list(demo_esperanto(20, seed=5))
    assert list(demo_esperanto(20, seed=5)) != list(demo_esperanto(20, seed=6))
    assert list(demo_esperanto(5, seed=5)) == list(demo_esperanto(20, seed=5))[:5]
    assert list(demo_esperanto(0)) == []


def test_sentences_are_text_of_the_promised_shape(sentences):
    assert len(sentences) == 400
    for sentence in sentences:
        assert re.fullmatch(r"[A-ZĈĜĤĴŜŬ][a-zĉĝĥĵŝŭ, ]*[.!?]", sentence), sentence
        assert " ," not in sentence
        assert 4 <= len(words_of(sentence)) <= 15, sentence


def test_few_repeats_and_every_accented_letter_is_common():
    sentences = list(demo_esperanto(10_000))
    assert len(set(sentences)) > 9_950
    for letter in "ĉĝĥĵŝŭ":
        assert sum(letter in sentence.lower() for sentence in sentences) > 800, letter


def test_every_generated_sentence_is_accepted_whatever_its_case(sentences):
    for sentence in sentences:
        assert is_grammatical(sentence), sentence
        assert is_grammatical(sentence.upper()), sentence
        assert is_grammatical(" ".join(re.findall(r"\w+|[.,!?]", sentence.lower()))), sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "La knabo legas libron.",
        "Hieraŭ ni vidis du grandajn ĉevalojn.",
        "Mia patrino estas feliĉa.",
        "Kiun libron vi legas?",
        "La knabo iris en la ĝardenon.",
        "Ŝi diris, ke la katoj dormas en la ĉambro.",
        "Se mi estus riĉa, mi aĉetus aŭton.",
    ],
)
def test_plain_esperanto_is_accepted(sentence):
    assert is_grammatical(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "La knabo legas libro.",  # object without -n
        "La knabon legas libron.",  # no subject
        "Hieraŭ ni vidis du granda ĉevalo.",  # number without plural
        "Hieraŭ ni vidis du grandaj ĉevalojn.",  # adjective without the noun's -n
        "Hieraŭ ni vidos la knabon.",  # adverb against tense
        "Morgaŭ la kato dormis en la domo.",
        "La knabo dormas libron.",  # intransitive with an object
        "La katoj estas bela.",
        "Mia patroj ridas laŭte.",
        "La knabo libro pomon.",  # noun for verb
        "La knabo parolas pri la libron.",  # a preposition with -n
        "Se mi estas riĉa, mi aĉetus aŭton.",
        "La libro, kiu li legis, estas interesa.",
        "La knabo legas libron",  # no final mark
        "",
    ],
)
def test_wrong_esperanto_is_rejected(sentence):
    assert not is_grammatical(sentence)


def replaced(sentence: str, position: int, word: str) -> str:
    words = list(re.finditer(r"\w+", sentence))
    return sentence[: words[position].start()] + word + sentence[words[position].end() :]


def corruptions(sentence: str, kind: str) -> list[str]:
    """Every way to spoil the sentence by one word; each result is certainly wrong."""
    words, found = words_of(sentence), []
    for i, word in enumerate(words):
        before = words[i - 1] if i else ""
        accusative = re.fullmatch(r"\w+[ao]j?n", word)
        if kind == "drop n" and accusative and "en" not in words:  # "en" may take either case
            found.append(replaced(sentence, i, word[:-1]))
        if kind == "drop j" and re.fullmatch(r"\w+oj", word) and before.endswith("aj"):
            found.append(replaced(sentence, i, word[:-1]))
        if kind == "drop j" and before in ("du", "tri", "kvar", "kvin", "ambaŭ") and re.fullmatch(r"\w+ojn?", word):
            found.append(replaced(sentence, i, word.replace("oj", "o")))
        if kind == "tense" and (word in PAST or word in FUTURE):
            found.append(replaced(sentence, i, "nun"))
        if kind == "noun for verb" and re.fullmatch(r"\w{2,}(as|is|os)", word) and word != "ĝis":
            found.append(replaced(sentence, i, "tablo"))
    return found


@pytest.mark.parametrize("kind", ["drop n", "drop j", "tense", "noun for verb"])
def test_corrupted_sentences_are_rejected(sentences, kind):
    spoilt = [wrong for sentence in sentences for wrong in corruptions(sentence, kind)]
    assert len(spoilt) > 25
    assert [wrong for wrong in spoilt if is_grammatical(wrong)] == []


def test_judge_accepts_the_word_that_was_masked(sentences):
    for sentence in sentences[:60]:
        for i, word in enumerate(words_of(sentence)):
            assert judge_fill(replaced(sentence, i, "[MASK]"), word), (sentence, word)


@pytest.mark.parametrize(
    ("sentence", "right", "wrong"),
    [
        ("La knabo [MASK] libron.", ["legas", "skribis", "VIDAS"], ["dormas", "legi", "libro", "bela", "kiu"]),
        ("Hieraŭ mia patrino [MASK] panon.", ["manĝis", "aĉetis"], ["manĝas", "manĝos", "pano"]),
        ("La katoj estas [MASK].", ["nigraj", "belaj"], ["nigra", "nigrajn", "dormas"]),
        ("Ŝi aĉetis du ruĝajn [MASK].", ["ĉapelojn"], ["ĉapeloj", "ĉapelon", "ĉapelo"]),
        ("[MASK] loĝas via najbaro?", ["kie"], ["kion", "kiun", "hundo"]),
        ("La libro, [MASK] li legis, estas interesa.", ["kiun"], ["kiu", "kiujn", "kiuj"]),
        ("[MASK] la hundo dormos en la domo.", ["morgaŭ", "baldaŭ"], ["hieraŭ", "nun", "tablon"]),
    ],
)
def test_judge_knows_agreement_tense_class_and_correlatives(sentence, right, wrong):
    assert [word for word in right if not judge_fill(sentence, word)] == []
    assert [word for word in wrong if judge_fill(sentence, word)] == []


@pytest.mark.parametrize("filled", ["", "##n", "[UNK]", ".", "la bela", "xyzo"])
def test_judge_rejects_what_is_no_word(filled):
    assert not judge_fill("La [MASK] dormas en la ĝardeno.", filled)


def test_judge_takes_decomposed_accents_as_the_same_letters():
    assert judge_fill("Mi vidas la [MASK].", "s\u0302afon")


@pytest.mark.parametrize("sentence", ["La knabo legas.", "La [MASK] [MASK] libron."])
def test_judge_needs_exactly_one_mask(sentence):
    with pytest.raises(UserError, match=r"exactly one"):
        judge_fill(sentence, "knabo")


def test_probes_can_be_filled_from_the_corpus():
    vocabulary = {word for sentence in demo_esperanto(150, seed=1) for word in words_of(sentence)}
    assert 8 <= len(PROBES) <= 12
    for probe in PROBES:
        fits = [word for word in sorted(vocabulary) if judge_fill(probe, word)]
        assert 0 < len(fits) < len(vocabulary) / 2, (probe, len(fits))
