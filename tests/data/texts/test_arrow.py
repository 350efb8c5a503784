import pyarrow as pa
import pytest

from lightning_nlp.data.texts.arrow import write_token_ids
from lightning_nlp.data.texts.splits import build_splits
from tests.data.texts.test_splits import contents, make_source, reviews


def test_long_texts_make_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.data.texts.arrow.WRITE_CHARACTERS", 25)  # two or three reviews
    splits, names, _ = build_splits(make_source(train=reviews(40), test=reviews(5, 100)), work_dir=tmp_path)
    rows = contents(splits, names)
    assert sorted(rows["train"] + rows["validation"]) == sorted(reviews(40))
    assert rows["test"] == reviews(5, 100)
    assert 8 < len(splits["train"].data.to_batches()) < 36


@pytest.mark.parametrize("labelled", [True, False])
def test_token_ids_come_back_as_written(tmp_path, labelled):
    batches = [[[5, 6, 7], [2**31 - 1]], [], [[], [8], []]]
    kinds = [pa.field("label", pa.int64()), pa.field("lists", pa.list_(pa.int32())), pa.field("value", pa.float64())]
    with write_token_ids(tmp_path / "a.arrow", kinds[: 3 * labelled]) as write:
        for rows in batches:
            lengths = [len(row) for row in rows]
            write(rows, {"value": [n / 3 for n in lengths], "label": lengths, "lists": [[n] * n for n in lengths]})
    with pa.memory_map(str(tmp_path / "a.arrow")) as file:
        table = pa.ipc.open_stream(file).read_all()
    rows = [row for batch in batches for row in batch]
    assert table.column("input_ids").to_pylist() == rows
    assert table.schema.field("input_ids").type == pa.list_(pa.int32())
    assert table.column_names == ["input_ids", "label", "lists", "value"][: 1 + 3 * labelled]
    if labelled:
        assert table.column("label").to_pylist() == [len(row) for row in rows]
        assert table.schema.field("label").type == pa.int64()
        assert table.column("lists").to_pylist() == [[len(row)] * len(row) for row in rows]
        assert table.column("value").to_pylist() == [len(row) / 3 for row in rows]
