"""Adds configs/ to a wheel, as lightning_nlp/configs; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """In a clone that is installed with `-e`, configs/ is found where it is."""

    def run(self):
        """Build as usual, then copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "lightning_nlp", "configs")
            target.mkdir(exist_ok=True)
            for path in Path("configs").glob("*.yaml"):
                shutil.copy(path, target)


setup(cmdclass={"build_py": BuildWithConfigs})
