"""A yaml file of settings, checked before the parser reads it."""

from pathlib import Path
from typing import Any

import yaml

from lightning_nlp.errors import UserError, one_line


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
