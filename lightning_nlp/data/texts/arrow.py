"""Arrow streams of texts, labels and token ids, written and read in batches so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

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
    """Copy rows, in ascending order, from a file of `write_texts`.

    Args:
        columns: Further columns, covering all rows of the file: numbers, or arrays of int32.
    """
    import pyarrow as pa

    kinds = {
        name: pa.list_(pa.int32()) if values.dtype == object else pa.from_numpy_dtype(values.dtype)
        for name, values in columns.items()
    }
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
    path: Path, others: Iterable[pa.Field]
) -> Iterator[Callable[[Sequence[Sequence[int]], dict[str, Sequence[Any]]], None]]:
    """Yields a function that appends rows to an Arrow stream: `input_ids`, and other columns as in their schema."""
    import pyarrow as pa

    schema = pa.schema([pa.field("input_ids", pa.list_(pa.int32())), *others])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:

        def write(rows: Sequence[Sequence[int]], columns: dict[str, Sequence[Any]]) -> None:
            cells = {"input_ids": rows, **columns}
            writer.write_batch(pa.record_batch([_column(cells[f.name], f.type) for f in schema], schema=schema))

        yield write


def _column(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if not pa.types.is_list(kind):
        return pa.array(cells, kind)
    # through numpy: Arrow's own conversion of lists takes several times as long
    ends = np.cumsum([0, *map(len, cells)], dtype=np.int32)
    values = np.fromiter(chain.from_iterable(cells), dtype=kind.value_type.to_pandas_dtype(), count=ends[-1])
    return pa.ListArray.from_arrays(ends, values, type=kind)
