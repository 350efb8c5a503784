import contextlib

import pytest

from lightning_nlp.atomic_files import atomic_path, write_whole
from tests.conftest import full_disk


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "folder" / "a.json"
    write_whole(path, "ĝis")
    write_whole(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_on_a_full_disk_the_earlier_file_stays(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("earlier")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write_whole(path, b"x" * 100_000)
    assert path.read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_replaces_a_folder_and_never_a_part_of_it(tmp_path):
    for number in range(2):
        with atomic_path(tmp_path / "a") as unfinished:
            unfinished.mkdir()
            (unfinished / str(number)).touch()
        assert [entry.name for entry in (tmp_path / "a").iterdir()] == [str(number)]
    with contextlib.suppress(KeyboardInterrupt), atomic_path(tmp_path / "a") as unfinished:
        (unfinished / "b").mkdir(parents=True)
        raise KeyboardInterrupt
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/1"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    """It was killed between the two renames that replace a folder, and the next one left a half."""
    for name in ("a.replaced/old", "a.unfinished/half"):
        (tmp_path / name).mkdir(parents=True)
    with contextlib.suppress(KeyboardInterrupt), atomic_path(tmp_path / "a"):
        raise KeyboardInterrupt
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/old"]


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "a", "text")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/b"]
