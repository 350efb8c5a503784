import pytest
import yaml

from tests.conftest import HOUSE, invoke

SWEEPS = HOUSE / "configs" / "sweeps"


def values(parameter):
    return [str(value) for value in parameter.get("values") or (parameter["min"], parameter["max"])]


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_parameter_is_one_of_fit(path):
    sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert sweep["metric"]["name"] == "val/best"
    assert sweep["early_terminate"]["type"] == "hyperband"
    command = sweep["command"]
    assert command[:3] == ["${env}", "${interpreter}", "${program}"]
    assert command[-1] == "${args}"
    arguments = command[3:-1]
    config = yaml.safe_load((HOUSE / arguments[-1]).read_text(encoding="utf-8"))
    assert config["checkpoint"]["mode"] == {"maximize": "max", "minimize": "min"}[sweep["metric"]["goal"]]
    parameters = {name: values(parameter) for name, parameter in sweep["parameters"].items()}
    for i in range(max(map(len, parameters.values()))):
        chosen = {name: given[i % len(given)] for name, given in parameters.items()}
        outcome = invoke(*arguments, *(f"--{name}={value}" for name, value in chosen.items()), "--print_config")
        assert outcome.code == 0, outcome.err
        printed = yaml.safe_load(outcome.out)
        for name, value in chosen.items():
            section, key = name.split(".")
            assert str(printed[section]["init_args"][key]) == value
