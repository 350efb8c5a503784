"""Arrow streams of texts, labels and token ids, written and read in batches so that memory stays flat."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

WRITE_ROWS, WRITE_CHARACTERS = 1000, 1 << 24


def write_texts(path: Path, rows: Iterable[str]) -> None:
    """Write texts to an Arrow stream."""
    import pyarrow as pa

    schema = pa.schema({"text": pa.string()})
    texts: list[str] = []
    characters = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for text in rows:
            texts.append(text)
            characters += len(text)
            if len(texts) == WRITE_ROWS or characters > WRITE_CHARACTERS:  # a column holds 2 GiB at most
                writer.write_batch(pa.record_batch([pa.array(texts, pa.string())], schema=schema))
                texts, characters = [], 0
        writer.write_batch(pa.record_batch([pa.array(texts, pa.string())], schema=schema))


def write_split(source: Path, rows: np.ndarray, columns: dict[str, np.ndarray], path: Path) -> None:
    """Copy rows, in ascending order, from a file of `write_texts`; `columns`, for all, are int64 or arrays of int32."""
    import pyarrow as pa

    lists, number = pa.list_(pa.int32()), pa.int64()
    kinds = {name: lists if values.dtype == object else number for name, values in columns.items()}
    schema = pa.schema({"text": pa.string(), **kinds})
    first = 0
    with (
        pa.memory_map(str(source)) as file,
        pa.ipc.open_stream(file) as reader,
        pa.OSFile(str(path), "wb") as output,
        pa.ipc.new_stream(output, schema) as writer,
    ):
        for batch in reader:
            chosen = rows[slice(*np.searchsorted(rows, [first, first + batch.num_rows]))]
            texts = batch.column("text").take(pa.array(chosen - first))
            if len(chosen):
                numbers = [pa.array(values[chosen], kinds[name]) for name, values in columns.items()]
                writer.write_batch(pa.record_batch([texts, *numbers], schema=schema))
            first += batch.num_rows


@contextmanager
def write_token_ids(
    path: Path, columns: Sequence[str], *, lists: Sequence[str] = ()
) -> Iterator[Callable[[Sequence[Sequence[int]], dict[str, Sequence[Any]]], None]]:
    """Yields a function that appends rows to an Arrow stream: `input_ids` in int32, other columns in int64.

    Args:
        lists: Columns with a number for each token, in int32.
    """
    import pyarrow as pa

    ids_type = pa.list_(pa.int32())
    lists_too = dict.fromkeys(("input_ids", *lists), ids_type)
    schema = pa.schema(lists_too | dict.fromkeys(columns, pa.int64()))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:

        def write(rows: Sequence[Sequence[int]], numbers: dict[str, Sequence[Any]]) -> None:
            # through numpy: Arrow's own conversion of lists takes several times as long
            ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
            arrays = []
            for cells in (rows, *(numbers[name] for name in lists)):
                values = np.fromiter(chain.from_iterable(cells), dtype=np.int32, count=ends[-1])
                arrays.append(pa.ListArray.from_arrays(ends, values, type=ids_type))
            arrays += [pa.array(numbers[name], pa.int64()) for name in columns]
            writer.write_batch(pa.record_batch(arrays, schema=schema))

        yield write
