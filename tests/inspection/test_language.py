from lightning_nlp.inspection.language import languages
from lightning_nlp.inspection.reading import Text

ENGLISH = "The film tells a quiet story about two brothers who come home to the old house by the sea."
GERMAN = "Der Film erzählt eine ruhige Geschichte über zwei Brüder, die in das alte Haus am Meer zurückkehren."
ESPERANTO = "La filmo rakontas trankvilan historion pri du fratoj, kiuj revenas al la malnova domo ĉe la maro."


def texts(*contents):
    return [Text("train", content, None, f"line {n}", b"%d" % n) for n, content in enumerate(contents)]


def test_the_language_of_most_and_the_others():
    found = languages(texts(*[ESPERANTO] * 8, ENGLISH, GERMAN, GERMAN))
    assert (found["texts"], found["language"], found["others"]) == (11, "eo", 3)
    assert found["other_languages"] == {"de": 2, "en": 1}
    assert [example["where"] for example in found["examples"]] == ["line 8", "line 9", "line 10"]


def test_short_texts_and_numbers_have_no_language():
    assert languages(texts("Ja.", "Oui!", "12 34 56 78 90 12 34 56 78 90 12 34 56 78 90")) is None
