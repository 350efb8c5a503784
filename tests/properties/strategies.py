"""Texts as nobody writes them, lengths and labels."""

from hypothesis import strategies as st

# What trips programs up: marks, the direction of writing, breaks of all kinds, markup, quotation marks.
ODD = [
    *"\0\a\b\t\n\v\f\r\x1b\x1c\x1d\x7f\x80\x85\x9f\u00a0\u00ad\u0301\u0316\u0338\u0344\u0345\u0591\u061c\u0958\u1161",
    *"\u11a8\u200b\u200d\u200f\u202e\u2028\u2029\u2066\u3000\ufe0f\ufeff\ufffd\ufffe\U0001f600\U0001d160\U000e0001",
    *"aĝßİשلا北̀가<>/\"',;[]{}#0",
    *("<br", "<br />", "< / br >", "[MASK]", "[PAD]", "e\u0301", "e\u0301" * 40, "\u0301\u0316" * 40, "a" * 101, "  "),
]
HALVES = ["\ud800", "\udc00", "\udfff"]
# UTF-8 holds these, and all files do.
texts = st.lists(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=30).map("".join)
# Python's strings and JSON's escapes hold these as well.
any_texts = st.lists(st.sampled_from([*ODD, *HALVES]) | st.characters(), max_size=30).map("".join)
labels = st.one_of(texts.map(str.strip).filter(bool), st.integers(), st.integers(-3, 3).map(str), st.booleans())
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60)
