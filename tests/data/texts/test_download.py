import gzip
import io
import random
import re
import tarfile

import pytest
from huggingface_hub import constants, file_download

from lightning_nlp.data.texts.download import leipzig_archive
from lightning_nlp.data.texts.sources import text_source
from lightning_nlp.errors import UserError
from lightning_nlp.hub import client as hub_client
from tests.conftest import full_disk
from tests.data.conftest import running
from tests.hub.server import Hub

RNG = random.Random(0)
SENTENCES = "".join(f"{i}\t{''.join(RNG.choices('abcĉĝ ', k=60))}.\n" for i in range(1, 3000)).encode()


def archive(*members):
    """A tar.gz of (name, content) pairs or TarInfos."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


GOOD = archive(
    ("epo_x/epo_x-words.txt", b"1\ta\n"),
    ("epo_x/epo_x-sentences.txt", SENTENCES),
    ("epo_x/epo_x-import.sql", b"drop table"),
)


class Server(Hub):
    """Serves one archive at every address."""

    archive = GOOD

    def content(self, path):
        return 200, self.archive, {}

    @property
    def address(self):
        return f"{self.url}/corpora/epo_x.tar.gz"

    def ranges(self):
        return [headers.get("Range") for headers in self.headers]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)  # which is for the Hub alone
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # what is kept where the connection is cut
    monkeypatch.setattr(hub_client, "DELAYS", ())
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    with running(Server({})) as server:
        yield server
    assert not any("Authorization" in headers for headers in server.headers)


def sentences(folder):
    assert [path.name for path in folder.iterdir()] == ["epo_x-sentences.txt"]
    return (folder / "epo_x-sentences.txt").read_bytes()


def test_whole_download_then_no_network(tmp_path, server, capfd):
    folder = leipzig_archive(server.address, tmp_path)
    assert sentences(folder) == SENTENCES
    assert not list(tmp_path.rglob("*.part"))
    server.fault = lambda request: 500
    assert leipzig_archive(server.address, tmp_path) == folder
    assert server.ranges() == [None]
    assert capfd.readouterr() == ("", "")  # no progress bar without a terminal


HALF = len(GOOD) // 200 * 100


def cut_and_then(fault):
    faults = iter(["cut"])
    return lambda request: next(faults, fault)


def given_up(tmp_path, server):
    """Half a download, from a server that is well again."""
    server.fault = cut_and_then(503)
    with pytest.raises(UserError, match=r"answered 503 .*--data\.path FILE"):
        leipzig_archive(server.address, tmp_path)
    server.fault = lambda request: ""
    return next((tmp_path / "downloads").glob("*.part"))


@pytest.mark.parametrize("again", [False, True])
def test_a_download_that_is_cut_is_continued_at_once_or_by_the_next(again, tmp_path, server):
    server.fault = cut_and_then("")
    assert not again or given_up(tmp_path, server).read_bytes() == GOOD[:HALF]
    assert sentences(leipzig_archive(server.address, tmp_path)) == SENTENCES
    assert server.ranges()[-1] == f"bytes={HALF}-"
    assert not list(tmp_path.rglob("*.part"))


def test_a_server_that_refuses_or_is_gone(tmp_path, server):
    server.fault = lambda request: 403
    with running(Server({})) as gone:
        pass
    for address, why in (
        (server.address, "answered 403"),
        (gone.address, "refused"),
        ("http://", "Could not download"),
    ):
        with pytest.raises(UserError, match=rf"{why}.*--data\.path FILE") as caught:
            leipzig_archive(address, tmp_path)
        assert address in str(caught.value)


@pytest.mark.parametrize("found", [b"\0" * 500, GOOD + b"more"], ids=["another", "longer"])
def test_a_part_of_another_file_is_noticed_and_deleted(found, tmp_path, server):
    given_up(tmp_path, server).write_bytes(found)
    with pytest.raises(UserError, match=r"not a complete tar\.gz"):
        leipzig_archive(server.address, tmp_path)
    assert sentences(leipzig_archive(server.address, tmp_path)) == SENTENCES


def test_a_full_disk_is_no_fault_of_the_network(tmp_path, server):
    with full_disk(), pytest.raises(UserError, match=r"Could not store .*File too large.*--data\.cache_dir"):
        leipzig_archive(server.address, tmp_path)


@pytest.mark.parametrize("content", [
    b"<html>Not here</html>",
    gzip.compress(b"no tar"),
    b"",
    GOOD[: len(GOOD) // 2],
    GOOD[:-8] + b"\0" * 8,  # the checksum at the end of the gzip
], ids=["html", "gz", "empty", "half", "checksum"])  # fmt: skip
def test_not_a_whole_archive(tmp_path, server, content):
    server.archive = content
    with pytest.raises(UserError, match=rf"{re.escape(server.address)} is not a complete tar\.gz.*--data\.path FILE"):
        leipzig_archive(server.address, tmp_path)
    server.archive = GOOD  # the bad download was not kept
    assert sentences(leipzig_archive(server.address, tmp_path)) == SENTENCES


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_malicious_members(tmp_path, server, kind):
    member = tarfile.TarInfo("x-sentences.txt")
    member.type, member.linkname = kind, "../../secret"
    server.archive = archive(member)
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(UserError, match=r"has no \*-sentences\.txt"):
        leipzig_archive(server.address, cache)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("place", ["{outside}", "../..", "a/../../.."])
def test_names_that_lead_out_of_the_folder_stay_inside(tmp_path, server, place):
    server.archive = archive((f"{place.format(outside=tmp_path / 'outside')}/epo_x-sentences.txt", SENTENCES))
    folder = leipzig_archive(server.address, tmp_path / "cache")
    assert sentences(folder) == SENTENCES
    assert [path.parent for path in tmp_path.rglob("*-sentences.txt")] == [folder]


@pytest.mark.parametrize("name", ["epo_x-sentences.txt", "skipped.bin"])
def test_too_large_archives(tmp_path, server, name, monkeypatch):
    monkeypatch.setattr("lightning_nlp.data.texts.download.MAX_UNPACKED_BYTES", 1_000_000)
    server.archive = archive((name, b"\0" * 3_000_000))
    with pytest.raises(UserError, match="unpacks to more than 1,000,000 bytes"):
        leipzig_archive(server.address, tmp_path)
    server.archive = GOOD + gzip.compress(b"\0" * 3_000_000)  # behind the end of the tar
    with pytest.raises(UserError, match="unpacks to more than 1,000,000 bytes"):
        leipzig_archive(server.address, tmp_path)


@pytest.mark.parametrize("given", [True, False])
def test_text_source_takes_an_address_and_without_one_the_leipzig_corpus(tmp_path, server, monkeypatch, given):
    monkeypatch.setattr("lightning_nlp.data.texts.file_source.LEIPZIG_ESPERANTO", server.address)
    source = text_source(server.address if given else None, cache_dir=tmp_path)
    assert (source.description, source.label_names) == ("epo_x-sentences.txt", None)
    rows = list(source.splits["train"]())
    assert [row.text for row in rows] == [line.split("\t")[1].strip() for line in SENTENCES.decode().splitlines()]
