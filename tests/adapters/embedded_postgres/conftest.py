from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from tests.adapters.embedded_postgres.servers import Owners, ask


@pytest.fixture
def owners() -> Iterator[Owners]:
    owners = Owners()
    yield owners
    owners.end()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(settings={"max_connections": 37}) as server:
        yield server


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "new"


@pytest.fixture(scope="module")
def kept(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(data_dir) as server:
        yield server


@pytest.fixture(scope="module")
def stopped_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("stopped")
    with EmbeddedPostgres(data_dir) as server:
        ask(server.url(), "CREATE TABLE marks AS SELECT 7 AS mark")
    return data_dir
