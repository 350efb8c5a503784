"""Arrow streams of texts, labels and token ids, written and read a batch at a time so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

WRITE_ROWS, WRITE_CHARACTERS = 1000, 1 << 24


def _schema(labelled: bool, label_type: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    return pa.schema({"text": pa.string(), "label": label_type} if labelled else {"text": pa.string()})


def write_rows(path: Path, rows: Iterable[tuple[str, str | None]], labelled: bool) -> None:
    """Write texts and the labels' names to an Arrow stream, a batch at a time."""
    import pyarrow as pa

    schema = _schema(labelled, pa.string())
    texts: list[str] = []
    labels: list[str | None] = []
    characters = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:

        def flush() -> None:
            columns = [pa.array(texts, pa.string()), pa.array(labels, pa.string())][: len(schema)]
            writer.write_batch(pa.record_batch(columns, schema=schema))

        for text, label in rows:
            texts.append(text)
            labels.append(label)
            characters += len(text)
            if len(texts) == WRITE_ROWS or characters > WRITE_CHARACTERS:  # a column holds 2 GiB at most
                flush()
                texts, labels, characters = [], [], 0
        flush()


def label_ids(path: Path, label_names: list[str] | None) -> np.ndarray:
    """The label ids in a file of `write_rows`; zeros for texts without labels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        if label_names is None:
            return np.zeros(sum(batch.num_rows for batch in reader), dtype=np.int64)
        names = pa.array(label_names, pa.string())
        ids = [pc.index_in(batch.column("label"), value_set=names).to_numpy() for batch in reader]
    return np.concatenate(ids).astype(np.int64)


def write_split(source: Path, rows: np.ndarray, ids: np.ndarray, labelled: bool, path: Path) -> None:
    """Copy rows, ascending, from a file of `write_rows`, with ids as labels."""
    import pyarrow as pa

    schema = _schema(labelled, pa.int64())
    first = 0
    with (
        pa.memory_map(str(source)) as file,
        pa.ipc.open_stream(file) as reader,
        pa.OSFile(str(path), "wb") as output,
        pa.ipc.new_stream(output, schema) as writer,
    ):
        for batch in reader:
            chosen = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + batch.num_rows)]
            columns = [batch.column("text").take(pa.array(chosen - first)), pa.array(ids[chosen])][: len(schema)]
            if len(chosen):
                writer.write_batch(pa.record_batch(columns, schema=schema))
            first += batch.num_rows


@contextmanager
def write_token_ids(
    path: Path, labelled: bool
) -> Iterator[Callable[[Sequence[Sequence[int]], Sequence[int] | None], None]]:
    """An Arrow stream with the columns `input_ids`, lists of int32, and, if `labelled`, `label`, int64.

    Args:
        path: The file to write.
        labelled: Whether there are labels.

    Yields:
        A function that appends rows: the token ids of each, and their label ids or None.
    """
    import pyarrow as pa

    types = {"input_ids": pa.list_(pa.int32())} | ({"label": pa.int64()} if labelled else {})
    schema = pa.schema(types)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:

        def write(rows: Sequence[Sequence[int]], labels: Sequence[int] | None) -> None:
            # Through numpy: Arrow's own conversion of lists takes several times as long.
            ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
            ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=ends[-1])
            columns = [pa.ListArray.from_arrays(ends, ids, type=types["input_ids"])]
            if labelled:
                columns.append(pa.array(labels, pa.int64()))
            writer.write_batch(pa.record_batch(columns, schema=schema))

        yield write
