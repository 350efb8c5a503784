from lightning_nlp.report.mistakes import MOST_WORDS, confused, confusion, mistake


def entry(words):
    return {"row": 3, "text": "", "label": "a", "prediction": "b", "probability": 0.9, "words": words}


def test_words_are_marked_by_their_share_and_their_side():
    found = mistake(entry([["great", 1.0], ["not", -0.5], ["the", 0.02]]))
    assert [(part["strength"], part["side"]) for part in found["marked"][:2]] == [(4, "for"), (2, "against")]
    assert found["marked"][2]["strength"] == 0
    assert found["drove"] == [("great", 1.0)]
    assert not found["cut"]


def test_a_long_text_is_cut_and_its_driving_words_are_not():
    found = mistake(entry([["word", 0.0]] * MOST_WORDS + [["end", 1.0]]))
    assert (len(found["marked"]), found["cut"], found["drove"]) == (MOST_WORDS, True, [("end", 1.0)])


def test_the_matrix_has_counts_and_shares_of_the_rows():
    rows = confusion({"labels": ["a", "b"], "confusion": [[3, 1], [0, 0]]})
    assert [[cell["count"] for cell in row["cells"]] for row in rows] == [[3, 1], [0, 0]]
    assert [[cell["share"] for cell in row["cells"]] for row in rows] == [[0.75, 0.25], [0, 0]]


def test_of_many_classes_the_pairs_that_are_confused_most():
    record = {"labels": ["a", "b", "c"], "confusion": [[9, 1, 0], [5, 9, 2], [0, 0, 9]]}
    assert confused(record) == [("b", "a", 5), ("b", "c", 2), ("a", "b", 1)]
