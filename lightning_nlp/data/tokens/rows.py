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
    """An Arrow stream of `input_ids`, `hash` of each row's text and maybe `label` and `second`, memory-mapped.

    `label` is a class, a number, or a list: of several labels, or of tags with one for each token. Where it is a list,
    `tags` is a hash of it.
    Of pairs `second` is as in `encode`.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        table = self._table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        lists = table.column("input_ids").chunks
        self._chunks = [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in lists]  # no copies
        self._starts = np.cumsum([0, *map(len, lists)])
        labels = [table.column("label")] if "label" in table.column_names else []
        of_lists = "tags" in table.column_names
        self._labels = labels[0].to_numpy() if labels and not of_lists else None
        self._lists = [(c.offsets.to_numpy(), c.values.to_numpy()) for c in labels[0].chunks] if of_lists else None
        self._second = table.column("second").to_numpy() if "second" in table.column_names else None
        self.lengths = np.concatenate([np.diff(offsets) for offsets, _ in self._chunks])

    def __reduce__(self) -> tuple[type[TokenRows], tuple[Path]]:
        return TokenRows, (self.path,)

    def __getitem__(self, numbers: Sequence[int]) -> dict[str, Any]:
        """The columns of some rows: `input_ids`, an array each, and `label`, as in the file, if there are any.

        Of pairs there is `second` too.
        """
        chunks = np.searchsorted(self._starts, numbers, side="right") - 1
        columns: dict[str, Any] = {"input_ids": []}
        for chunk, place in zip(chunks.tolist(), (numbers - self._starts[chunks]).tolist(), strict=True):
            offsets, values = self._chunks[chunk]
            columns["input_ids"].append(values[offsets[place] : offsets[place + 1]])
            if self._lists is not None:
                offsets, values = self._lists[chunk]
                columns.setdefault("label", []).append(values[offsets[place] : offsets[place + 1]])
        if self._labels is not None:
            columns["label"] = self._labels[numbers]
        if self._second is not None:
            columns["second"] = self._second[numbers]
        return columns

    def id_counts(self, size: int) -> np.ndarray:
        """How often each of the ids below `size` occurs in the split, special tokens included."""
        return sum((np.bincount(ids, minlength=size) for _, ids in self._chunks), np.zeros(size, dtype=np.int64))

    def digests(self) -> Iterator[bytes]:
        """A short hash of each row's token ids, to find equal rows by."""
        for offsets, values in self._chunks:
            content, ends = memoryview(values.tobytes()), (offsets * values.itemsize).tolist()
            for start, end in pairwise(ends):
                yield hashlib.blake2b(content[start:end], digest_size=16).digest()

    def texts(self) -> dict[str, Tensor]:
        """The `hash` and, if there are, the `label` or `tags` of each text; empty in a cache without hashes."""
        if "hash" not in self._table.column_names:
            return {}
        hashes = self._table.column("hash").to_numpy()
        first = np.append(True, hashes[1:] != hashes[:-1])  # a long text may have several rows
        columns = {"hash": hashes} | ({} if self._labels is None else {"label": self._labels})
        columns |= {} if self._lists is None else {"tags": self._table.column("tags").to_numpy()}
        return {name: torch.from_numpy(column[first]) for name, column in columns.items()}
