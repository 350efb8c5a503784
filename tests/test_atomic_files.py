import pytest

from lightning_nlp.atomic_files import write_whole
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
