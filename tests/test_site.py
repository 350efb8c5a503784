"""The docs as a site: it builds without a warning, and its pages load nothing from elsewhere."""

import os
import re
import subprocess
import sys

import pytest

import lightning_nlp
from tests.conftest import HOUSE

LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|srcset|href)=["']?((?:https?:)?//[^\s"'>]+)"""
)


@pytest.mark.acceptance
def test_the_site_builds_and_needs_no_network(tmp_path):
    pytest.importorskip("mkdocs", reason="needs pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=HOUSE, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.html")}
    ours = {f"{path.stem}.html" for path in (HOUSE / "docs").glob("*.md")}
    ours |= {f"notebooks/{path.stem}.html" for path in (HOUSE / "docs" / "notebooks").glob("*.ipynb")}
    assert ours | {"index.html", "reference.html", "benchmarks.html"} <= set(pages)
    assert ours - set(re.findall(r'<a href="([^"]+)" class="md-nav__link"', pages["index.html"])) == set()
    assert {name: found for name, page in pages.items() if (found := LOADED.findall(page))} == {}
    named = set(re.findall(r'<h2 id="lightning_nlp\.(?:\w+\.)*(\w+)"', pages["reference.html"]))
    assert named == set(lightning_nlp.__all__)
