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

    Of pairs `second` is as in `encode`.
    Of tagged sentences `label` has a number for each token, and `tags` is a hash of the sentence's tags.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        table = self._table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        lists = table.column("input_ids").chunks
        self._chunks = [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in lists]  # no copies
        self._starts = np.cumsum([0, *map(len, lists)])
        tagged, labelled = "tags" in table.column_names, "label" in table.column_names
        self._tags = [chunk.values.to_numpy() for chunk in table.column("label").chunks] if tagged else None
        self._labels = table.column("label").to_numpy() if labelled and not tagged else None
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
            if self._tags is not None:
                columns.setdefault("label", []).append(self._tags[chunk][offsets[place] : offsets[place + 1]])
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
        columns |= {} if self._tags is None else {"tags": self._table.column("tags").to_numpy()}
        return {name: torch.from_numpy(column[first]) for name, column in columns.items()}
