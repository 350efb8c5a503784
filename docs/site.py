"""What mkdocs adds to this folder's pages: pages from elsewhere in the repository, the API reference, their order."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

from lightning_nlp import PUBLIC

HOUSE = Path(__file__).parent.parent
ELSEWHERE = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
REFERENCE = """# API reference

```python
from lightning_nlp import {first}
```

Each name below is imported from `lightning_nlp` itself, and loaded when you use it. [Python](python.md) shows how they
work together; on the command line, the arguments of the models are `--model.NAME` and those of the data modules
`--data.NAME`.

"""


def on_config(config):
    """Lay out the navigation."""
    notebooks = [f"notebooks/{path.name}" for path in sorted((HOUSE / "docs" / "notebooks").glob("*.ipynb"))]
    config.nav = [
        {"Start": "index.md"},
        {"Guide": [f"{name}.md" for name in ("train", "data", "tasks", "use", "report-and-wandb", "python")]},
        *([{"Notebooks": notebooks}] if notebooks else []),
        {"API reference": "reference.md"},
        {"Background": ["promises.md", "design.md", "benchmarks.md"]},
        {"Project": ["contributing.md", "changelog.md"]},
    ]
    return config


def on_files(files, config):
    """Add the pages that are not in this folder."""
    for source, name in ELSEWHERE.items():
        text = (HOUSE / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=with_links(text, source)))
    page = (HOUSE / "docs" / "python.md").read_text(encoding="utf-8")
    names = sorted(PUBLIC, key=lambda name: page.find(f"`{name}`"))
    entries = [f"::: lightning_nlp.{PUBLIC[name]}.{name}" for name in names]
    reference = REFERENCE.format(first=names[0]) + "\n\n".join(entries)
    files.append(File.generated(config, "reference.md", content=reference))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links that leave this folder."""
    return markdown if page.file.generated_by else with_links(markdown, f"docs/{page.file.src_uri}")


def with_links(text, source):
    """A page's text with its links, as they are in the repository, turned into those of the site."""

    def link(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        return match[1] + ELSEWHERE.get(target, target.removeprefix("docs/"))

    return re.sub(r'(\]\(|srcset="|src=")(?![\w+.-]+:|#)([^)#\s"]+)', link, text)
