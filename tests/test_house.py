"""The checks beside the tests: style, types, the direction of imports, and what must not stand in the repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_check(command):
    program = Path(sys.executable).parent / command[0]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
    result = subprocess.run([program, *command[1:]], cwd=HOUSE, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


def package_files():
    files = sorted((HOUSE / "lightning_nlp").rglob("*.py"))
    assert len(files) > 20
    return files


def test_the_engine_is_lightning_not_the_hf_trainer():
    forbidden = re.compile(
        r"import accelerate|from accelerate|transformers\.Trainer|import .*\bTrainingArguments\b"
        r"|trust_remote_code=True|load.*weights_only=False|\bpickle\.load|estimated_stepping_batches\b(?!`)"
    )
    found = [
        f"{path.relative_to(HOUSE)}: {line.strip()}"
        for path in package_files()
        for line in path.read_text(encoding="utf-8").splitlines()
        if forbidden.search(line)
    ]
    assert found == []


def test_each_module_has_its_test_file():
    # errors.py is tested by whatever raises or turns one, data/base.py through the data modules that are made of it
    missing = [
        str(path.relative_to(HOUSE))
        for path in package_files()
        if path.name not in ("__init__.py", "errors.py", "base.py")
        and not (HOUSE / "tests" / path.relative_to(HOUSE / "lightning_nlp").with_name(f"test_{path.name}")).is_file()
    ]
    assert missing == []
