"""The checks beside the tests: style, types, the direction of imports, and what must not stand in the repository."""

import json
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
    result = subprocess.run([program, *command[1:]], cwd=HOUSE, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def package_files():
    files = sorted((HOUSE / "lightning_nlp").rglob("*.py"))
    assert len(files) > 20
    return files


def test_the_engine_is_lightning_and_nothing_unpickles_or_runs_remote_code():
    forbidden = re.compile(
        r"import accelerate|from accelerate|transformers\.Trainer|import .*\bTrainingArguments\b"
        r"|trust_remote_code=True|torch\.load\((?!.*weights_only=True)|import pickle|yaml\.load\("
        r"|estimated_stepping_batches\b(?!`)"
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


# --- how much there is to read: a figure falls with any commit, and rises only in one that says why

PACKAGE, CORE, TESTS = 16_429, 5_461, 17_969  # lines
MODULES_AT_THE_TOP = 8
LINES_OF_A_FILE = 250
LINE_LENGTH, SHARE_OF_LONGER_LINES = 110, 0.046
STEP, STEP_WITHOUT_CALLBACKS = 2_846, 2_090  # lines
LOADED, LOADED_FIRST = 6_393, 8_190  # lines, with and without a token cache
# what trains: networks, steps, batches, tokens and what watches each run
CORE_ROOMS = "models callbacks training data/batches data/tokens data/base.py data/datamodules.py data/mlm.py".split()


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


def total(paths):
    return sum(len(lines_of(path)) for path in paths)


def test_the_house_does_not_grow():
    package = HOUSE / "lightning_nlp"
    core = [path for path in package_files() if str(path.relative_to(package)).startswith(tuple(CORE_ROOMS))]
    modules = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    found = (total(package_files()), total(core), total((HOUSE / "tests").rglob("*.py")), len(modules))
    ceilings = (PACKAGE, CORE, TESTS, MODULES_AT_THE_TOP)
    assert all(number <= most for number, most in zip(found, ceilings, strict=True)), f"{found}, at most {ceilings}"


def test_files_and_lines_can_be_read():
    package = HOUSE / "lightning_nlp"
    sizes = {path.relative_to(package).as_posix(): len(lines_of(path)) for path in package_files()}
    assert {name: size for name, size in sizes.items() if size > LINES_OF_A_FILE} == {}
    lines = [line for path in package_files() for line in lines_of(path)]
    longer = sum(len(line) > LINE_LENGTH for line in lines) / len(lines)
    assert longer <= SHARE_OF_LONGER_LINES, f"{longer:.2%} of the lines have over {LINE_LENGTH} columns"


def test_what_one_reads_and_loads_for_a_step_gets_no_longer(tmp_path):
    """In quickstart.yaml; `python tests/trace_step.py FOLDER` prints the files, a second time with a token cache."""
    command = [sys.executable, HOUSE / "tests" / "trace_step.py", tmp_path]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    first, second = (json.loads(output.splitlines()[-1]) for output in outputs)
    assert not any("/streaming/" in name for name in first["loaded"]), "who trains from a cache loads no stream"
    step = sum(second["path"].values())
    callbacks = sum(lines for name, lines in second["path"].items() if "/callbacks/" in name)
    found = (step, step - callbacks, *(sum(run["loaded"].values()) for run in (second, first)))
    ceilings = (STEP, STEP_WITHOUT_CALLBACKS, LOADED, LOADED_FIRST)
    assert all(number <= most for number, most in zip(found, ceilings, strict=True)), (
        f"{found}, at most {ceilings}; a step runs through {second['path']}"
    )
