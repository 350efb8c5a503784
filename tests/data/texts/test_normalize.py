import pytest

from lightning_nlp.data.texts.normalize import clean_text


@pytest.mark.parametrize(("text", "expected"), [
    ("a<br />b", "a\nb"),
    ("a<br>b<BR/>c<br/ >d</br>e< br / >f", "a\nb\nc\nd\ne\nf"),
    ('a<br clear="all" />b', "a\nb"),
    ("a<br /><br />b", "a\nb"),
    ("a <br /> <br /> b", "a\nb"),
    ("<brand> <break> <b>bold</b> a < b r > c", "<brand> <break> <b>bold</b> a < b r > c"),
    ("  a \t b\u00a0\u3000c  ", "a b c"),
    ("a\r\n\r\n  b\rc\u2028d\x85e\x0cf", "a\nb\nc\nd\ne\nf"),
    ("a\x00b\x07c\x7fd\x9fe", "abcde"),
    ("a \x00 b", "a b"),
    ("a<b\x00r>b", "a\nb"),
    ("emoji \ud83d cut", "emoji cut"),
    ("emoji \U0001f600 whole", "emoji \U0001f600 whole"),
    ("g\u0302is Ŭ", "ĝis Ŭ"),
    ("naïve ‘quotes’ — dash", "naïve ‘quotes’ — dash"),
    ("", ""), (" \n<br />\x00 ", ""),
])  # fmt: skip
def test_clean_text(text, expected):
    assert clean_text(text) == expected


def test_clean_text_is_linear():
    for text in ("< " * 500_000, "<" + " " * 1_000_000, "<br" + " x" * 500_000, "<br " * 250_000, "<" * 1_000_000):
        assert clean_text(text)  # minutes, were the pattern quadratic: the suite's time limit would end it
