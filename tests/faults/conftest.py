from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.attempts import Server
from tests.faults.cases import write_data


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A process that has imported everything, in whose forks the trainings run."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fault_data")
    write_data(folder)
    return folder
