"""The shipped yaml files, and a check of yaml files before the parser reads them."""

from pathlib import Path
from typing import Any

import yaml

import lightning_nlp
from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import PROGRAM, UserError, one_line

PACKAGE = Path(lightning_nlp.__file__).parent
# Inside the package in a wheel (setup.py), beside it in a clone.
SHIPPED = next(filter(Path.is_dir, (PACKAGE / "configs", PACKAGE.parent / "configs")), PACKAGE / "configs")


def configs() -> None:
    """Write the shipped yaml files into the current folder, for you to change; never replaces a file."""
    shipped = sorted(SHIPPED.glob("*.yaml"))
    names = ", ".join(path.name for path in shipped)
    if there := [path.name for path in shipped if Path(path.name).exists()]:
        raise UserError(
            f"Nothing is written, because {', '.join(there)} in {Path.cwd()} would be replaced: move or rename what is "
            "there, or run the command in another folder."
        )
    try:
        for path in shipped:
            text = path.read_text(encoding="utf-8")
            write_whole(
                Path(path.name), text.replace("python train.py fit --config configs/", f"{PROGRAM} fit --config ")
            )
    except OSError as error:
        raise UserError(f"{Path.cwd()} cannot be written ({error}): run the command in another folder.") from error
    print(f"Written: {names}. Change them as you like, then run: {PROGRAM} fit --config quickstart.yaml")


class UniqueKeys(yaml.SafeLoader):
    """YAML without repeated keys: a plain loader silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, or an error with the line of a repeated key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def check_yaml(path: Path) -> None:
    """Raise a UserError unless the file contains named settings, each once."""
    try:
        settings = UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not YAML ({one_line(error)}): correct it, or give another --config.") from error
    if not isinstance(settings, dict):
        content = "nothing" if settings is None else f"{type(settings).__name__} {str(settings)[:60]!r}"
        raise UserError(f"{path} contains no named settings, but {content}: correct it, or give another --config.")
    for key in settings:
        if not isinstance(key, str):
            raise UserError(f"{path} has the key {key!r}, which is not a name: correct it, or give another --config.")
