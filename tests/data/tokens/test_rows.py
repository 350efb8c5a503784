import pickle

import numpy as np
import pyarrow as pa

from lightning_nlp.data.tokens.rows import TokenRows


def test_rows_are_read_across_chunks_without_a_copy(tmp_path):
    draw = np.random.default_rng(0)
    lists = [draw.integers(0, 1000, size=size).tolist() for size in draw.integers(1, 30, size=250)]
    schema = pa.schema({"input_ids": pa.list_(pa.int32()), "label": pa.int64()})
    path = tmp_path / "rows.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for start, end in ((0, 100), (100, 100), (100, 101), (101, 250)):
            writer.write_batch(pa.record_batch([lists[start:end], list(range(start, end))], schema=schema))
    before = pa.total_allocated_bytes()
    rows = TokenRows(path)
    assert pa.total_allocated_bytes() - before <= 64 + 250 * 8 < rows.lengths.sum(), "no more than the labels"
    assert rows.lengths.tolist() == list(map(len, lists))
    numbers = [249, 0, 99, 100, 101, 7, 7]
    for reader in (rows, pickle.loads(pickle.dumps(rows))):
        columns = reader[numbers]
        assert [ids.tolist() for ids in columns["input_ids"]] == [lists[number] for number in numbers]
        assert columns["label"].tolist() == numbers
        assert not any(ids.flags.owndata or ids.flags.writeable for ids in columns["input_ids"])
    assert len(pickle.dumps(rows)) < 500


def write(path, **columns):
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def test_each_text_has_its_hash_and_label_once(tmp_path):
    ids = pa.array([[1], [2, 3], [4], [5]], pa.list_(pa.int32()))
    write(tmp_path / "a.arrow", input_ids=ids, hash=[-7, 9, 9, 2**62], label=[1, 0, 0, 1])
    texts = TokenRows(tmp_path / "a.arrow").texts()
    assert {name: column.tolist() for name, column in texts.items()} == {"hash": [-7, 9, 2**62], "label": [1, 0, 1]}
    write(tmp_path / "a.arrow", input_ids=ids, hash=[1, 2, 3, 3])
    assert {name: len(column) for name, column in TokenRows(tmp_path / "a.arrow").texts().items()} == {"hash": 3}
