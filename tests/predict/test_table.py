import io
import re

import pytest
from rich.console import Console

from lightning_nlp.predict.table import PredictionTable, printable

REVIEW = "A superb film, with a lovely cast and one dull scene. " * 5
RECORD = {"index": 0, "label": "pos", "probabilities": {"neg": 0.1, "pos": 0.9}}
WORDS = [["a", 0.01], ["superb", 1.0], ["film", -0.02], ["dull", -0.4]]


def printed(*windows, width=80, colour=False):
    console = Console(file=io.StringIO(), width=width, force_terminal=colour, no_color=not colour)
    table = PredictionTable(console)
    for window in windows:
        table.add([(record["index"], text) for text, record in window], [record for _, record in window])
    table.close()
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_texts_are_cut_to_the_width(width):
    lines = printed([(REVIEW, RECORD)], width=width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert [word in lines[0] for word in ("text", "label", "probability")] == [True] * 3
    assert "A superb"[: width - 35] in lines[2]
    assert "…" in lines[2]
    assert lines[2].rstrip().endswith("0.900")
    assert len(lines) == 5
    assert lines[-1] == "1 text: pos (1)."


@pytest.mark.parametrize("first", [REVIEW, "你好 " * 40, "short"])
def test_both_texts_of_a_pair_are_shown(first):
    line = printed([(f"{first}\x1fIt was dull.", RECORD)]).splitlines()[2]
    assert re.search(r"(A superb film.*…|你好.*…|0 +short) \| It was d", line)


def test_columns_stay_where_they_are_from_window_to_window():
    second = {"index": 123456, "label": "neg", "probabilities": {"neg": 0.8, "pos": 0.2}}
    lines = printed([(REVIEW, RECORD)], [("short", second)]).splitlines()
    assert lines[3].startswith("123456 ")
    assert lines[2].index("pos") == lines[3].index("neg") == lines[0].index("label")
    assert lines[2].index("A superb") == lines[3].index("short") == lines[0].index("text")
    assert lines[-1] == "2 texts: pos (1), neg (1)."


def test_driving_words_are_named_with_their_sign_and_marked_with_more_than_colour():
    record = RECORD | {"words": WORDS}
    lines = printed([(REVIEW, record)]).splitlines()
    assert "a superb film dull" in lines[2]
    assert "+superb  -dull" in lines[3]
    assert "film" not in lines[3]  # too little
    coloured = printed([(REVIEW, record)], colour=True)
    assert "\x1b[1;4;32msuperb" in coloured  # underlined
    assert "\x1b[3;31mdull" in coloured  # in italics


def test_a_long_text_is_shown_where_its_strongest_word_stands():
    words = [["word", 0.0]] * 100 + [["awful", -1.0]] + [["after", 0.0]] * 20
    shown = printed([("", RECORD | {"words": words})], width=100).splitlines()[2]
    assert "… word word" in shown
    assert "word awful after" in shown
    assert len(shown) <= 100


def test_a_text_cannot_steer_the_terminal_nor_the_table():
    assert printable("a\x1b[31mb\x07\n\tc\u202ed") == "a [31mb c d"
    out = printed([("[bold]x[/bold] \x1b]0;title\x07", RECORD)])
    assert "[bold]x[/bold]" in out
    assert "\x1b" not in out


ENTITY = {"type": "PER", "text": "Anna", "start": 0, "end": 4, "score": 0.9}
TAGGED = {"index": 0, "words": ["Anna"], "tags": ["B-PER"], "entities": [ENTITY]}
CHANCES = {"a": 0.75, "b": 0.625}
FILLINGS = [
    [{"token": "granda", "probability": 0.5}],
    [{"token": f"word{i}", "probability": 0.125} for i in range(9)],
]


@pytest.mark.parametrize(
    ("records", "patterns"),
    [
        ([], ["0 texts: nothing to predict"]),
        ([{"index": 0, "label": None, "reason": "the text has no words"}], ["the text has no words +none"]),
        ([RECORD | {"reached": ["neg", "pos"]}], ["reached *\n", r"pos +0\.900 +neg *\n +pos *\n"]),
        ([RECORD | {"reached": []}], [r"0\.900 +none *\n"]),
        ([TAGGED, TAGGED | {"entities": []}], ["Anna PER", "none", r"2 texts: tagged \(2\)"]),
        ([{"index": 2, "words": ["Anna"], "tags": ["NOUN"]}], ["Anna NOUN"]),
        (
            [{"index": i, "labels": [*CHANCES][:i], "probabilities": CHANCES} for i in (0, 1, 2)],
            [r"2 +text +a +0\.750 *\n +b +0\.625", r"3 texts: a \(2\), no label \(1\), b \(1\)\."],
        ),
        (
            [{"index": 0, "fillings": FILLINGS}],
            [r"granda 0\.500 *\n", *(rf"word{i} 0\.125" for i in range(9))],
        ),
    ],
    ids=["nothing", "no words", "reached", "none reached", "entities", "tags", "labels", "fillings"],
)
def test_each_kind_of_prediction_has_its_cells_and_is_counted(records, patterns):
    shown = printed([("text", record) for record in records], width=70)
    assert [pattern for pattern in patterns if not re.search(pattern, shown)] == []
