"""Downloads an archive of the Leipzig Corpora Collection and extracts its sentences."""

import gzip
import hashlib
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import IO, cast

from lightning_nlp.data.cache import cached_folder
from lightning_nlp.data.texts.lines import max_unpacked
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.hub.client import be_patient

MAX_UNPACKED_BYTES = 4 << 30  # against archives made to fill the disk


def leipzig_archive(url: str, cache_dir: Path) -> Path:
    """The folder with only the `*-sentences.txt` of a Leipzig tar.gz, downloaded and unpacked once.

    An interrupted download is kept as `<cache_dir>/downloads/*.part`, in pieces of 10 MB, and continued by
    the next call. Processes wait for each other at a lock; the folder gets its name when it is complete.

    Raises:
        UserError: If the download fails, or the archive is damaged, unsafe, too large or without sentences.
    """
    downloads = cache_dir / "downloads"
    part = downloads / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}.part"

    def build(folder: Path) -> None:
        try:
            _download(url, part)
            try:
                _unpack(url, part, folder)
            except UserError:
                part.unlink()  # another download may be better
                raise
        except OSError as error:
            raise UserError(
                f"Could not store {url} in {downloads} ({error.strerror or error}): free some space, or give another "
                "--data.cache_dir."
            ) from error
        part.unlink()

    return cached_folder(downloads, {"url": url}, build)


def _download(url: str, part: Path) -> None:
    """Fetch `url` into `part`, continuing an earlier download; test_download.py checks `http_get`, undocumented."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    be_patient()
    try:
        with part.open("ab") as file:
            # identity: the archive itself, not what a client unpacks on the way
            http_get(url, file, resume_size=file.tell(), headers={"Accept-Encoding": "identity"})
    except HfHubHTTPError as error:
        if error.response.status_code == 416:  # nothing left to fetch: the checksum decides
            return
        answer = f"{error.response.status_code} {error.response.reason_phrase}"
        raise UserError(
            f"The server answered {answer} for {url}: correct the address, or give a downloaded --data.path FILE."
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        if getattr(error, "errno", None) is not None:  # the disk's
            raise
        raise UserError(
            f"Could not download {url} ({one_line(error) or type(error).__name__}): check the network and start again, "
            f"which continues after {part.stat().st_size:,} bytes, or give a downloaded --data.path FILE."
        ) from error


def _unpack(url: str, archive: Path, folder: Path) -> None:
    most, size = min(MAX_UNPACKED_BYTES, max_unpacked(archive)), 0
    wrong = ": it was deleted; correct the address, or give another --data.path FILE."
    try:
        with gzip.open(archive) as packed:  # to its end, where the checksum is
            while chunk := packed.read(1 << 20):
                size += len(chunk)
                if size > most:
                    raise UserError(f"{url} unpacks to more than {most:,} bytes{wrong}")
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.isreg() and member.name.endswith("-sentences.txt"):
                    # only the last part of the name: an archive must not choose folders
                    with (folder / Path(member.name).name).open("wb") as file:
                        shutil.copyfileobj(cast(IO[bytes], tar.extractfile(member)), file)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{url} is not a complete tar.gz ({error}){wrong}") from error
    if not any(folder.iterdir()):
        raise UserError(f"{url} has no *-sentences.txt{wrong}")
