import json

import pytest

from lightning_nlp.data.texts.columns import as_label, as_row, name_columns
from lightning_nlp.data.texts.readers import read_table
from tests.data.texts.test_readers import write_parquet


def test_cells_that_are_missing_or_no_strings(tmp_path):
    records = [{"text": None, "label": 1}, {"text": 5, "label": None}, {"text": "b", "label": 2.0}, {"text": "c"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    rows = list(read_table(tmp_path / "a.jsonl", "text", "label"))
    assert [(row.text, row.label) for row in rows] == [("", "1"), ("5", None), ("b", "2"), ("c", None)]
    write_parquet(tmp_path / "a.parquet", text=["a", None], label=[1.0, float("nan")])
    assert [(r.text, r.label) for r in read_table(tmp_path / "a.parquet", "text", "label")] == [("a", "1"), ("", None)]
    assert as_label("  ", "x") is None
    assert as_label(" pos ", "x") == "pos"
    assert as_label(True, "x") == "True"


@pytest.mark.parametrize(
    ("cell", "group"),
    [
        *[("eva", "eva"), (" eva\n", "eva"), (7, "7"), (7.0, "7"), (0.5, "0.5"), (True, "True"), (["a"], "['a']")],
        *[("\ud83d", "?"), (None, None), (float("nan"), None), ("", None), ("  ", None)],
    ],
)
def test_groups_have_one_name_in_each_format(cell, group):
    columns = name_columns("text", None, "who")
    assert as_row(columns, ["a film", cell], "row 1") == ("a film", None, "row 1", group)
