"""Two finished trainings compared to the bit: checkpoints, export, metrics, and which files there are."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import torch

# How long the training took, how fast it was, a time limit, and with it the command that was typed.
TIMED = re.compile(
    r"(?:, the last [\d,]+ of them)? in \d+ s\b|, [\d,]+ tokens/s|^(# )?python train\.py fit .*|^  max_time:.*",
    re.MULTILINE,
)
TIMED_FACTS = ("command", "seconds", "since_step", "tokens_per_s", "mfu", "peak_memory_gib")

# The score that ModelCheckpoint saw last. Lightning writes it and does not restore it; it serves for no decision, only
# as a label of the newest file where the WandbLogger is to upload checkpoints.
UNREAD = "current_score"


def differences(whole: Path, broken: Path) -> list[str]:
    """What differs between two directories in which the same command was run; empty if nothing does.

    Times, and the speeds that follow from them, may differ. The directories' own names count as equal.
    """
    ours, theirs = ({str(path.relative_to(root)) for path in root.rglob("*")} for root in (whole, broken))
    found = [f"{name} in one only" for name in sorted(ours ^ theirs)]
    shared = [name for name in sorted(ours & theirs) if (whole / name).is_file()]
    assert len(shared) > 5, f"{whole} holds no finished run"
    for name in shared:
        found += _values(name, *(_relative(_content(root / name), str(root)) for root in (whole, broken)))
    return found


def _content(path: Path) -> Any:
    """What a file says without times."""
    if path.suffix == ".ckpt":
        return torch.load(path, weights_only=True)
    if path.name == "report.html":
        return None  # it is made of the other files
    if path.name == "metrics.csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: v for k, v in row.items() if not str(k).startswith("perf/")} for row in csv.DictReader(file)]
        return {"steps": " ".join(row["step"] for row in rows)} | {row["step"]: row for row in rows}
    if path.name == "facts.json":
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {key: value for key, value in facts.items() if key not in TIMED_FACTS}
    if path.suffix in (".md", ".yaml"):
        return path.read_text(encoding="utf-8")
    return path.read_bytes()


def _relative(value: Any, root: str) -> Any:
    """The value with all texts in it freed of times and of the directory's own name."""
    if isinstance(value, str):
        return TIMED.sub("", value.replace(root, ""))
    if isinstance(value, dict):
        return {_relative(key, root): _relative(item, root) for key, item in value.items() if key != UNREAD}
    if isinstance(value, list | tuple):
        return [_relative(item, root) for item in value]
    return value


def _values(place: str, one: Any, other: Any) -> list[str]:
    if type(one) is not type(other):
        return [f"{place}: {one!r} != {other!r}"]
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bits(one), _bits(other))
        return [] if same else [f"{place} differs"]
    if isinstance(one, dict):
        lines = [f"{place}/{key} in one only" for key in one.keys() ^ other.keys()]
        return lines + [line for key in one if key in other for line in _values(f"{place}/{key}", one[key], other[key])]
    if isinstance(one, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for i, pair in pairs for line in _values(f"{place}/{i}", *pair)]
    return [] if one == other else [f"{place}: {str(one)[:200]!r} != {str(other)[:200]!r}"]


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's bytes: NaN equals NaN, and 0 is not -0."""
    return tensor.detach().contiguous().view(-1).view(torch.uint8)
