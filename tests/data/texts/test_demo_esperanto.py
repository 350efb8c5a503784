import hashlib
import re

import pytest

from lightning_nlp.data.texts.demo_esperanto import demo_esperanto

# Not of the generator: tests of the sentences must not lean on the grammar's own tables.
TIMES = {"is": ("hieraŭ", "antaŭhieraŭ", "pasintjare"), "os": ("morgaŭ", "postmorgaŭ", "baldaŭ")}
PREPOSITIONS = ("kun", "pri", "al", "inter", "sur", "sub", "apud", "antaŭ", "malantaŭ", "ĉe")  # "en" takes both cases


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return list(demo_esperanto(20_000))


def words_of(sentence: str) -> list[str]:
    return re.findall(r"\w+", sentence.lower())


def test_the_sentences_of_quickstart_mlm_are_these(sentences):
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    assert digest == "c7315be63c7aaecf54ecdca206febf7c4f0b73cd5bc7e90215f118a1bb4c781e"
    assert list(demo_esperanto(20, seed=6)) != sentences[:20] == list(demo_esperanto(20))
    assert list(demo_esperanto(0)) == []


def test_sentences_have_the_promised_shape_and_few_repeat(sentences):
    for sentence in sentences:
        assert re.fullmatch(r"[A-ZĈĜĤĴŜŬ][a-zĉĝĥĵŝŭ]*(,? [a-zĉĝĥĵŝŭ]+)*[.!?]", sentence), sentence
        assert 4 <= len(words_of(sentence)) <= 15, sentence
    assert len(set(sentences)) > 19_800
    for letter in "ĉĝĥĵŝŭ":
        assert sum(letter in sentence.lower() for sentence in sentences) > 1600, letter


def test_tense_number_and_case_agree(sentences):
    checked = dict.fromkeys(("tense", "number", "adjective", "preposition"), 0)
    for sentence in sentences:
        words = words_of(sentence)
        for tense, times in TIMES.items():
            if "," not in sentence and set(times) & set(words):
                assert {word[-2:] for word in words if re.fullmatch(r"\w{2,}(as|is|os)", word)} == {tense}, sentence
                checked["tense"] += 1
        for word, after in re.findall(r"\b(\w+)(?= (\w+))", sentence.lower()):
            adjective, noun = re.fullmatch(r"\w{2,}a(j?n?)", word), re.fullmatch(r"\w+o(j?n?)", after)
            if adjective and noun:
                assert adjective[1] == noun[1], sentence
                checked["adjective"] += 1
            if word in ("du", "tri", "kvar", "ambaŭ"):
                assert re.fullmatch(r"\w+[ao]jn?", after), sentence
                checked["number"] += 1
            if word in PREPOSITIONS:
                assert not re.fullmatch(r"\w+[aou]j?n", after), sentence
                checked["preposition"] += 1
    assert min(checked.values()) > 500, checked
