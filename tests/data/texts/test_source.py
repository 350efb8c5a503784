import pytest

from lightning_nlp.data.texts.columns import Row
from lightning_nlp.data.texts.source import Source
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError


def source(**settings):
    return Source("a.csv", "0", {}, labelled=True, **settings)


def test_a_class_has_a_name_or_is_missing():
    assert source().label_name(Row("a", "1", "row 1")) == "1"
    assert source().label_name(Row("a", "n/a", "row 1")) is None
    assert source(form=LabelForm(missing=("1",))).label_name(Row("a", "1", "row 1")) is None
    assert source(label_names=("n/a", "b"), form=LabelForm(missing=())).label_name(Row("a", "n/a", "row 1")) == "n/a"
    with pytest.raises(UserError, match="The label 'c' is none of a, b: row 1"):
        source(label_names=("a", "b")).label_name(Row("a", "c", "row 1"))


def test_several_labels_and_numbers_are_as_they_were_read_and_announced():
    several = source(form=LabelForm("labels"), label_names=("a", "b"))
    assert several.label_name(Row("a", '["a"]', "row 1")) == '["a"]'
    assert several.label_name(Row("a", None, "row 1")) is None
    assert several.lines() == ["A text may have several labels (--data.problem)."]
    assert source().lines() == []
