"""Checkpoints are written whole or not at all, and straight to the disk."""

import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_nlp.atomic_files import whole_file
from lightning_nlp.errors import UserError, one_line, warn_user
from lightning_nlp.privacy import leaves, paths_expanded, paths_with_tilde

# Writing a checkpoint is tried again for ten minutes, in which somebody may make room, unless waiting cannot help.
RETRY_AFTER_S = (5.0, 15.0, 40.0, *[60.0] * 9)
HOPELESS = (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, syncs it to the disk, and renames it; waits if the disk is full.

    Lightning's own builds the whole file in memory first: another 1 GiB and some seconds for a DistilBERT and its
    optimizer. Addresses, e.g. `s3://`, are left to it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint; a UserError if it cannot be written, even after ten minutes."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        content = checkpoint | {"callbacks": paths_with_tilde(checkpoint.get("callbacks", {}))}
        for wait in (*RETRY_AFTER_S, None):
            try:
                # not its parents: a run's directory that was deleted stays deleted
                target.parent.mkdir(exist_ok=True)
                with whole_file(target) as file:
                    torch.save(content, file)
                return
            except (OSError, RuntimeError) as error:  # torch's writer turns some errors of the disk into its own
                problem = (
                    f"The checkpoint {target} cannot be written ({getattr(error, 'strerror', None) or error}); its "
                    f"tensors take {tensor_bytes(checkpoint) / 2**20:,.1f} MiB, and {free_space(target)} Free some"
                )
                if wait is None or isinstance(error, HOPELESS):
                    cure = "." if (target.parent / "last.ckpt").is_file() else ", or give another --runs_dir."
                    raise UserError(f"{problem} space{cure}", can_go_on=True) from error
                if wait == RETRY_AFTER_S[0]:
                    minutes = sum(RETRY_AFTER_S) / 60
                    warn_user(f"{problem} space: the training waits, and tries again for {minutes:.0f} minutes.")
                time.sleep(wait)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint; `~` in its paths becomes this user's home folder."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *args, **kwargs)
        return checkpoint | {"callbacks": paths_expanded(checkpoint.get("callbacks", {}))}


def damage(path: Path) -> str | None:
    """Why a checkpoint cannot be trusted, in a clause; None for a sound file."""
    try:  # it is a zip archive, whose checksums torch writes but does not check
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
        if member is not None:
            return f"the checksum of {member} is wrong"
        # reads fields of the headers that zipfile skips
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a flipped byte in the directory makes zipfile raise nearly anything
        return one_line(error) or type(error).__name__  # its EOFError has no message
    return None


def tensor_bytes(content: Any) -> int:
    """The bytes of all tensors in nested dictionaries, lists and tuples: nearly all of a checkpoint."""
    tensors = [leaf for _, leaf in leaves(content) if isinstance(leaf, torch.Tensor)]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())  # tied weights are written once


def free_space(path: Path) -> str:
    """How much room is left beside a file, in a sentence."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return f"{path.parent} cannot be reached."
    return f"{free / 2**20:,.0f} MiB are free there."
