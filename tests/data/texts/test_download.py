import gzip
import io
import random
import re
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants, file_download

from lightning_nlp.data.texts.download import leipzig_archive
from lightning_nlp.data.texts.sources import text_source
from lightning_nlp.errors import UserError
from lightning_nlp.hub import client as hub_client
from tests.conftest import full_disk
from tests.data.conftest import running

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


class Server(ThreadingHTTPServer):
    """Serves `content` at every address, in the ways that the tests set."""

    content = GOOD
    cut_at: int | None = None  # close the connection after so many bytes of the answer
    claims: int | None = None  # a Content-Length other than the true one
    ranges = True
    status: int | None = None
    status_later: int | None = None  # from the second request on

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/corpora/epo_x.tar.gz"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        assert "Authorization" not in self.headers
        server.requests.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        server.status = server.status_later
        body, status = server.content, 200
        if asked and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            body, status = body[start:], 206
            if not body:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(server.claims or len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_at])
        self.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)  # which is for the Hub alone
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # what is kept where the connection is cut
    monkeypatch.setattr(hub_client, "DELAYS", ())
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    with running(Server()) as server:
        yield server


def sentences(folder):
    assert [path.name for path in folder.iterdir()] == ["epo_x-sentences.txt"]
    return (folder / "epo_x-sentences.txt").read_bytes()


def test_whole_download_then_no_network(tmp_path, server, capfd):
    folder = leipzig_archive(server.url, tmp_path)
    assert sentences(folder) == SENTENCES
    assert server.requests == [None]
    assert not list(tmp_path.rglob("*.part"))
    server.status = 500
    assert leipzig_archive(server.url, tmp_path) == folder
    assert server.requests == [None]
    assert capfd.readouterr() == ("", "")  # no progress bar without a terminal


def test_a_download_that_is_cut_goes_on_where_it_stopped(tmp_path, server):
    server.cut_at = len(GOOD) // 2
    assert sentences(leipzig_archive(server.url, tmp_path)) == SENTENCES
    assert server.requests[:2] == [None, f"bytes={len(GOOD) // 200 * 100}-"]


def given_up(tmp_path, server, cut_at=500):
    """A download that could not go on after so many bytes, from a server that is well again."""
    server.cut_at, server.status_later = cut_at, 503
    with pytest.raises(UserError, match=r"answered 503 .*--data\.path FILE"):
        leipzig_archive(server.url, tmp_path)
    server.cut_at = server.status_later = server.status = None
    return next((tmp_path / "downloads").glob("*.part"))


def test_a_download_that_was_given_up_is_continued_by_the_next(tmp_path, server):
    part = given_up(tmp_path, server)
    assert part.read_bytes() == GOOD[:500]
    assert sentences(leipzig_archive(server.url, tmp_path)) == SENTENCES
    assert server.requests[-1] == "bytes=500-"
    assert not part.exists()


@pytest.mark.parametrize("found", [b"\0" * 500, GOOD + b"more"], ids=["another", "longer"])
def test_a_part_of_another_file_is_noticed_and_deleted(found, tmp_path, server):
    given_up(tmp_path, server).write_bytes(found)
    with pytest.raises(UserError, match=r"not a complete tar\.gz"):
        leipzig_archive(server.url, tmp_path)
    assert sentences(leipzig_archive(server.url, tmp_path)) == SENTENCES


@pytest.mark.parametrize("status", [403, 500])
def test_status_of_the_server(tmp_path, server, status):
    server.status = status
    with pytest.raises(UserError, match=rf"answered {status} .*{re.escape(server.url)}.*--data\.path FILE"):
        leipzig_archive(server.url, tmp_path)


def test_nobody_answers(tmp_path, server):
    with running(Server()) as gone:
        url = gone.url
    for address, why in ((url, "refused"), ("http://", "")):
        with pytest.raises(UserError, match=rf"Could not download {re.escape(address)} .*{why}.*--data\.path FILE"):
            leipzig_archive(address, tmp_path)


def test_a_full_disk_is_no_fault_of_the_network(tmp_path, server):
    with full_disk(), pytest.raises(UserError, match=r"Could not store .*File too large.*--data\.cache_dir"):
        leipzig_archive(server.url, tmp_path)


@pytest.mark.parametrize("content", [
    b"<html>Not here</html>",
    gzip.compress(b"no tar"),
    b"",
    GOOD[: len(GOOD) // 2],
    GOOD[:-8] + b"\0" * 8,  # the checksum at the end of the gzip
], ids=["html", "gz", "empty", "half", "checksum"])  # fmt: skip
def test_not_a_whole_archive(tmp_path, server, content):
    server.content = content
    with pytest.raises(UserError, match=rf"{re.escape(server.url)} is not a complete tar\.gz.*--data\.path FILE"):
        leipzig_archive(server.url, tmp_path)
    server.content = GOOD  # the bad download was not kept
    assert sentences(leipzig_archive(server.url, tmp_path)) == SENTENCES


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_malicious_members(tmp_path, server, kind):
    member = tarfile.TarInfo("x-sentences.txt")
    member.type, member.linkname = kind, "../../secret"
    server.content = archive(member)
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(UserError, match=r"has no \*-sentences\.txt"):
        leipzig_archive(server.url, cache)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("place", ["{outside}", "../..", "a/../../.."])
def test_names_that_lead_out_of_the_folder_stay_inside(tmp_path, server, place):
    server.content = archive((f"{place.format(outside=tmp_path / 'outside')}/epo_x-sentences.txt", SENTENCES))
    folder = leipzig_archive(server.url, tmp_path / "cache")
    assert sentences(folder) == SENTENCES
    assert [path.parent for path in tmp_path.rglob("*-sentences.txt")] == [folder]


@pytest.mark.parametrize("name", ["epo_x-sentences.txt", "skipped.bin"])
def test_too_large_archives(tmp_path, server, name, monkeypatch):
    monkeypatch.setattr("lightning_nlp.data.texts.download.MAX_UNPACKED_BYTES", 1_000_000)
    server.content = archive((name, b"\0" * 3_000_000))
    with pytest.raises(UserError, match="unpacks to more than 1,000,000 bytes"):
        leipzig_archive(server.url, tmp_path)
    server.content = GOOD + gzip.compress(b"\0" * 3_000_000)  # behind the end of the tar
    with pytest.raises(UserError, match="unpacks to more than 1,000,000 bytes"):
        leipzig_archive(server.url, tmp_path)


@pytest.mark.parametrize("given", [True, False])
def test_text_source_takes_an_address_and_without_one_the_leipzig_corpus(tmp_path, server, monkeypatch, given):
    monkeypatch.setattr("lightning_nlp.data.texts.file_source.LEIPZIG_ESPERANTO", server.url)
    source = text_source(server.url if given else None, cache_dir=tmp_path)
    assert (source.description, source.label_names) == ("epo_x-sentences.txt", None)
    rows = list(source.splits["train"]())
    assert [row.text for row in rows] == [line.split("\t")[1].strip() for line in SENTENCES.decode().splitlines()]
