import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightning_nlp.data.cache import cached_folder
from lightning_nlp.errors import UserError

KEY = {"source": "abc", "cleaning": {"clean": True, "max_train_samples": None}, "max_length": 128, "truncation": "head"}


def writer(calls, content="whole"):
    """A build function that notes each call."""

    def build(folder):
        calls.append(folder)
        assert list(folder.iterdir()) == []
        (folder / "inner").mkdir()
        (folder / "inner" / "data.txt").write_text(content)

    return build


def names(cache):
    return sorted(path.name for path in cache.iterdir() if path.suffix not in (".lock", ".sizes"))


def test_built_once_and_then_found(tmp_path):
    calls = []
    folder = cached_folder(tmp_path / "new" / "cache", KEY, writer(calls))
    assert (folder / "inner" / "data.txt").read_text() == "whole"
    assert cached_folder(tmp_path / "new" / "cache", dict(reversed(KEY.items())), writer(calls)) == folder
    assert len(calls) == 1
    assert calls[0] != folder, "it was built in its own place, where a killed process leaves half of it"
    assert names(tmp_path / "new" / "cache") == [folder.name]


@pytest.mark.parametrize("harm", ["missing", "truncated", "flipped bit", "no sizes", "half of the sizes"])
def test_a_damaged_folder_is_made_anew(tmp_path, harm, caplog):
    folder = cached_folder(tmp_path, KEY, writer([]))
    data, sizes = folder / "inner" / "data.txt", folder.with_name(f"{folder.name}.sizes")
    match harm:
        case "missing":
            data.unlink()
        case "truncated":
            os.truncate(data, 3)
        case "flipped bit":
            data.write_text("whome")  # one bit of the l
        case "no sizes":
            sizes.unlink()
        case _:
            os.truncate(sizes, 3)
    calls = []
    assert cached_folder(tmp_path, KEY, writer(calls)) == folder
    assert len(calls) == 1
    assert f"The cache {folder} is damaged" in caplog.text
    assert data.read_text() == "whole"
    assert cached_folder(tmp_path, KEY, writer(calls)) == folder
    assert len(calls) == 1
    assert names(tmp_path) == [folder.name]


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "half.txt")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError("no"), RuntimeError, "no"),
        (KeyboardInterrupt("no"), KeyboardInterrupt, "no"),
        (FULL, UserError, r"No space left on device: half\.txt.*--data\.cache_dir"),
    ],
)
def test_a_build_that_raises_leaves_nothing(tmp_path, error, kind, words):
    def build(folder):
        (folder / "half.txt").write_text("half")
        raise error

    with pytest.raises(kind, match=words):
        cached_folder(tmp_path, KEY, build)
    assert names(tmp_path) == []
    assert (cached_folder(tmp_path, KEY, writer([])) / "inner" / "data.txt").is_file()


def test_a_second_one_waits_for_the_first(tmp_path):
    calls, begun = [], threading.Event()

    def build(folder):
        calls.append(folder)
        begun.set()
        time.sleep(0.3)  # the other one now finds neither a folder nor a free lock
        writer([])(folder)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cached_folder, tmp_path, KEY, build)
        assert begun.wait(30)
        assert cached_folder(tmp_path, KEY, build) == first.result()
    assert len(calls) == 1


def test_a_file_in_the_place_of_the_cache(tmp_path):
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=rf"{tmp_path / 'file'}.*--data\.cache_dir"):
            cached_folder(cache, KEY, writer([]))


@pytest.mark.parametrize("method", ["is_dir", "mkdir"])
def test_a_folder_that_may_not_be_read_or_written(tmp_path, monkeypatch, method):
    """For root each folder is open, so the refusal is played."""

    def refuse(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(UserError, match=r"Permission denied.*--data\.cache_dir"):
        cached_folder(tmp_path / "locked", KEY, writer([]))


def test_a_complete_folder_needs_no_right_to_write(tmp_path, monkeypatch):
    folder = cached_folder(tmp_path, KEY, writer([]))
    monkeypatch.setattr(Path, "mkdir", lambda *args, **kwargs: pytest.fail("wrote"))
    monkeypatch.setattr("filelock.FileLock", lambda *args: pytest.fail("locked"))
    assert cached_folder(tmp_path, KEY, writer([])) == folder
