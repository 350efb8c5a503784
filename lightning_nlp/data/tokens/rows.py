"""The token ids of a split, read from the disk without copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class TokenRows:
    """An Arrow stream with columns `input_ids`, `hash` of the row's text and maybe `label` and `second`, memory-mapped.

    `label` is a class, a number or a list: the text's labels, or a tag for each token. Lists come with `tags`, a
    hash of it. Pairs have `second`, as in `encode`.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        table = self._table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        names = [name for name in ("input_ids", "label", "second") if name in table.column_names]
        lists = {name for name in names if pa.types.is_list(table.schema.field(name).type)}
        self._lists = {  # a list's offsets and values, by chunk; no copies
            name: [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in table.column(name).chunks]
            for name in lists
        }
        self._numbers = {name: table.column(name).to_numpy() for name in names if name not in lists}
        lengths = [np.diff(offsets) for offsets, _ in self._lists["input_ids"]]
        self._starts = np.cumsum([0, *map(len, lengths)])
        self.lengths = np.concatenate(lengths)

    def __reduce__(self) -> tuple[type[TokenRows], tuple[Path]]:
        return TokenRows, (self.path,)

    def __getitem__(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Some rows, for a collator: each column but the hashes, as an array of numbers or a list of arrays."""
        chunks = np.searchsorted(self._starts, numbers, side="right") - 1
        places = list(zip(chunks.tolist(), (numbers - self._starts[chunks]).tolist(), strict=True))
        columns: dict[str, Any] = {name: values[numbers] for name, values in self._numbers.items()}
        for name, parts in self._lists.items():
            cells = [(*parts[chunk], place) for chunk, place in places]
            columns[name] = [values[offsets[place] : offsets[place + 1]] for offsets, values, place in cells]
        return columns

    def id_counts(self, size: int) -> np.ndarray:
        """How often each of the ids below `size` occurs in the split, special tokens included."""
        ids = [np.bincount(values, minlength=size) for _, values in self._lists["input_ids"]]
        return sum(ids, np.zeros(size, dtype=np.int64))

    def digests(self) -> Iterator[bytes]:
        """A short hash of each row's token ids, to find equal rows."""
        for offsets, values in self._lists["input_ids"]:
            content, ends = memoryview(values.tobytes()), (offsets * values.itemsize).tolist()
            for start, end in pairwise(ends):
                yield hashlib.blake2b(content[start:end], digest_size=16).digest()

    def texts(self) -> dict[str, Tensor]:
        """The `hash` of each text, and its `label` or `tags` if there are any."""
        names = [name for name in ("hash", "tags") if name in self._table.column_names]
        columns = {name: self._table.column(name).to_numpy() for name in names}
        columns |= {name: values for name, values in self._numbers.items() if name == "label"}
        first = np.append(True, columns["hash"][1:] != columns["hash"][:-1])  # a long text may have several rows
        return {name: torch.from_numpy(column[first]) for name, column in columns.items()}
