"""The notebooks in docs: kept with all outputs, small, without paths of whoever made them; and they run."""

import ast
import json
import re
import runpy
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
NOTEBOOKS = sorted((HOUSE / "docs" / "notebooks").glob("*.ipynb"))
BY_NAME = {"argnames": "notebook", "argvalues": NOTEBOOKS, "ids": lambda path: path.stem}
LARGEST = 600_000  # bytes


def cells(notebook, kind):
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def kinds(cell):
    """What a cell's outputs are: image/png, text/html, stderr, ..."""
    assert not [output for output in cell["outputs"] if output["output_type"] == "error"]
    return {kind for output in cell["outputs"] for kind in output.get("data", [output.get("name")])}


@pytest.mark.parametrize(**BY_NAME)
def test_all_outputs_are_kept(notebook):
    code = cells(notebook, "code")
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)], "run from top to bottom"
    ends = [ast.parse("".join(cell["source"])).body[-1] for cell in code]
    shown = [i for i, (cell, end) in enumerate(zip(code, ends, strict=True)) if isinstance(end, ast.Expr | ast.For)]
    assert [i for i in shown if not kinds(code[i])] == []
    assert sum("image/png" in kinds(cell) for cell in code) >= 2
    assert notebook.stat().st_size < LARGEST


@pytest.mark.parametrize(**BY_NAME)
def test_outputs_name_no_place_of_a_machine_and_no_bar_is_drawn_over_and_over(notebook):
    for cell in cells(notebook, "code"):
        for output in cell["outputs"]:
            shown = {kind: text for kind, text in output.get("data", {}).items() if kind != "image/png"}
            text = json.dumps([shown, output.get("text")])
            assert re.findall(r"/(?:work|tmp|root|home|Users|var)\b.{0,40}", text) == []
            assert r"\r" not in text


@pytest.mark.parametrize(**BY_NAME)
def test_links_lead_somewhere(notebook):
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    headings = {heading.replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for name, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text)):
        assert name or anchor in headings
        assert (notebook.parent / name).exists()


@pytest.mark.acceptance
@pytest.mark.timeout(900)
@pytest.mark.parametrize(**BY_NAME)
def test_it_runs_without_an_error_and_no_output_is_missing(notebook, tmp_path):
    execute = runpy.run_path(str(notebook.with_name("make.py")))["execute"]
    again = [cell for cell in execute(notebook, tmp_path).cells if cell["cell_type"] == "code"]
    for now, kept in zip(again, cells(notebook, "code"), strict=True):
        assert kinds(kept) <= kinds(now), now["source"]
