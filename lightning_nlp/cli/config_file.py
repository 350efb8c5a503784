"""The shipped yaml files, and a check of any before the parser reads it."""

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
    """Write the shipped yaml files into the current folder, where you can change them; a file is never replaced."""
    shipped = sorted(SHIPPED.glob("*.yaml"))
    names = ", ".join(path.name for path in shipped)
    if there := [path.name for path in shipped if Path(path.name).exists()]:
        raise UserError(
            f"Nothing is written, because {', '.join(there)} would be replaced in {Path.cwd()}: move or rename what is "
            "there, or give the command in another folder."
        )
    try:
        for path in shipped:
            text = path.read_text(encoding="utf-8")
            write_whole(
                Path(path.name), text.replace("python train.py fit --config configs/", f"{PROGRAM} fit --config ")
            )
    except OSError as error:
        raise UserError(f"{Path.cwd()} cannot be written ({error}): give the command in another folder.") from error
    print(f"Here now: {names}. Change them as you like, then: {PROGRAM} fit --config quickstart.yaml")


class UniqueKeys(yaml.SafeLoader):
    """YAML without repeated keys, of which a loader silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, or an error with the line of a repeated key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def check_yaml(path: Path) -> None:
    """Raise a UserError unless the file holds settings by name, each once."""
    try:
        settings = UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not YAML ({one_line(error)}): correct it, or give another --config.") from error
    if not isinstance(settings, dict):
        found = "nothing" if settings is None else f"{type(settings).__name__} {str(settings)[:60]!r}"
        raise UserError(f"{path} holds no settings by name, but {found}: correct it, or give another --config.")
    for key in settings:
        if not isinstance(key, str):
            raise UserError(f"{path} has the key {key!r}, which is not a name: correct it, or give another --config.")
