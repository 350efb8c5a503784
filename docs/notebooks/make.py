"""Runs the notebooks of this folder and keeps their outputs: python docs/notebooks/make.py [fine_tuning ...]."""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
HOUSE = FOLDER.parents[1]
LONGEST = 1200  # seconds for a cell
BAR = "application/vnd.jupyter.widget-view+json"  # of progress: only alive in the kernel


def execute(notebook: Path, workplace: Path) -> nbformat.NotebookNode:
    """The notebook with new outputs; its runs and caches go to `workplace`."""
    found = nbformat.read(notebook, as_version=4)
    paths = filter(None, [str(HOUSE), os.environ.get("PYTHONPATH")])
    environment = {"HOME": str(workplace), "PYTHONPATH": os.pathsep.join(paths)}
    client = NotebookClient(
        found,
        timeout=LONGEST,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(workplace)}},
    )
    client.execute(env={**os.environ, **environment})
    for cell in found.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if BAR not in output.get("data", {})]
    found.metadata = {  # no version of this machine's Python
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return found


def main(names: list[str]) -> None:
    """Run all notebooks, or those that are named."""
    for notebook in sorted(FOLDER.glob("*.ipynb")):
        if names and notebook.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as workplace:
            found = execute(notebook, Path(workplace))
        nbformat.validate(found)
        text = nbformat.writes(found).replace(f"{workplace}/", "")  # which is gone
        notebook.write_text(text + "\n", encoding="utf-8")
        print(f"{notebook.name}: {notebook.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
