"""Writes checkpoints whole or not at all, straight to the disk."""

import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_nlp.atomic_files import whole_file
from lightning_nlp.errors import UserError, one_line, warn_user
from lightning_nlp.privacy import paths_expanded, paths_with_tilde

# A failed write is retried for ten minutes, in case somebody frees space, unless waiting cannot help.
RETRY_AFTER_S = (5.0, 15.0, 40.0, *[60.0] * 9)
HOPELESS = (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, syncs and renames it; waits if the disk is full.

    Lightning's own builds the file in memory first: 1 GiB more for a DistilBERT and its optimizer. It still handles
    URLs, e.g. `s3://`.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint, or raise a UserError after ten minutes."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        content = checkpoint | {"callbacks": paths_with_tilde(checkpoint.get("callbacks", {}))}
        for wait in (*RETRY_AFTER_S, None):
            try:
                target.parent.mkdir(exist_ok=True)  # without parents: a deleted run directory stays deleted
                with whole_file(target) as file:
                    torch.save(content, file)
                return
            except (OSError, RuntimeError) as error:  # torch's writer turns some disk errors into its own
                reason = getattr(error, "strerror", None) or error
                problem = f"The checkpoint {target} cannot be written ({reason}): free some space"
                if wait is None or isinstance(error, HOPELESS):
                    cure = "." if (target.parent / "last.ckpt").is_file() else ", or give another --runs_dir."
                    raise UserError(problem + cure, can_go_on=True) from error
                if wait == RETRY_AFTER_S[0]:
                    minutes = sum(RETRY_AFTER_S) / 60
                    warn_user(f"{problem}. The training waits and retries for {minutes:.0f} minutes.")
                time.sleep(wait)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint, and expand `~` in its paths."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *args, **kwargs)
        return checkpoint | {"callbacks": paths_expanded(checkpoint.get("callbacks", {}))}


def damage(path: Path) -> str | None:
    """Why a checkpoint cannot be trusted, as a clause; None for an intact file."""
    try:  # it is a zip archive, whose checksums torch writes but does not verify
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
        if member is not None:
            return f"the checksum of {member} is wrong"
        # checks header fields that zipfile skips
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a flipped byte makes zipfile raise almost anything
        return one_line(error) or type(error).__name__  # its EOFError has no message
    return None
