"""Two finished trainings compared to the bit: checkpoints, export, metrics, and which files there are."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import torch

# What tells of time: how long the training took, how fast it was, a time limit, and with it what was typed.
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
    found = [f"missing file: {name}" for name in sorted(ours - theirs)]
    found += [f"stray file: {name}" for name in sorted(theirs - ours)]
    compared = 0
    for name in sorted(ours & theirs):
        one, other = whole / name, broken / name
        if one.is_dir():
            continue
        compared += 1
        if name.endswith(".ckpt"):
            pair = [torch.load(path, weights_only=True) for path in (one, other)]
            found += [f"{name}: {line}" for line in _values("", *pair, (str(whole), str(broken)))]
        elif name.endswith("metrics.csv"):
            found += [f"{name}: {line}" for line in _rows(one, other)]
        elif name.endswith("report.html"):
            continue  # made of the other files
        elif name.endswith("facts.json"):
            facts = [json.loads(path.read_text(encoding="utf-8")) for path in (one, other)]
            pair = [{key: value for key, value in part.items() if key not in TIMED_FACTS} for part in facts]
            found += _values(name, *pair, (str(whole), str(broken)))
        elif name.endswith((".md", ".yaml")):
            found += _texts(name, one, other, whole, broken)
        elif one.read_bytes() != other.read_bytes():
            found.append(f"{name}: other bytes")
    assert compared > 5, f"{whole} holds no finished run"
    return found


def _texts(name: str, one: Path, other: Path, whole: Path, broken: Path) -> list[str]:
    lines = [
        TIMED.sub("", path.read_text(encoding="utf-8").replace(str(root), "")).splitlines()
        for path, root in ((one, whole), (other, broken))
    ]
    return [f"{name}: {a!r} != {b!r}" for a, b in zip(*lines, strict=False) if a != b] + (
        [f"{name}: {len(lines[0])} != {len(lines[1])} lines"] if len(lines[0]) != len(lines[1]) else []
    )


def _rows(one: Path, other: Path) -> list[str]:
    """The metrics of each row, but speeds."""
    tables = []
    for path in (one, other):
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            tables.append([{k: v for k, v in row.items() if k is None or not k.startswith("perf/")} for row in rows])
    steps = [[row["step"] for row in table] for table in tables]
    if steps[0] != steps[1]:
        return [f"steps {' '.join(steps[0])} != {' '.join(steps[1])}"]
    return [
        f"step {a['step']}, {name}: {a.get(name)} != {b.get(name)}"
        for a, b in zip(*tables, strict=True)
        for name in sorted(a.keys() | b.keys(), key=str)
        if a.get(name) != b.get(name)
    ]


def _values(place: str, one: Any, other: Any, roots: tuple[str, str]) -> list[str]:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bits(one), _bits(other))
        return [] if same else [f"{place} differs"]
    if isinstance(one, str) and isinstance(other, str):
        one, other = one.replace(roots[0], ""), other.replace(roots[1], "")
    elif type(one) is type(other) and isinstance(one, dict):
        ours = {_name(key, roots[0]): value for key, value in one.items() if key != UNREAD}
        theirs = {_name(key, roots[1]): value for key, value in other.items() if key != UNREAD}
        lines = [f"{place}: {'/'.join(sorted(map(str, ours.keys() ^ theirs.keys())))} in one only"]
        lines = lines if ours.keys() != theirs.keys() else []
        return lines + [
            line for key in ours if key in theirs for line in _values(f"{place}/{key}", ours[key], theirs[key], roots)
        ]
    elif type(one) is type(other) and isinstance(one, list | tuple) and len(one) == len(other):
        return [
            line
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for line in _values(f"{place}/{i}", a, b, roots)
        ]
    return [] if type(one) is type(other) and one == other else [f"{place}: {one!r} != {other!r}"]


def _name(key: Any, root: str) -> Any:
    return key.replace(root, "") if isinstance(key, str) else key


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's bytes: NaN equals NaN, and 0 is not -0."""
    return tensor.detach().contiguous().view(-1).view(torch.uint8)
