"""Where the worlds of these tests keep their data."""

import contextlib
import tempfile
from pathlib import Path

import pytest

from tests.aggregator.world import World
from tests.databases import KINDS, PostgresDatabases, SqliteFiles


def pytest_generate_tests(metafunc):
    """Run what needs a world on each kind of database beside files, or on Kafka, PostgreSQL and S3."""
    if "new_world" in metafunc.fixturenames:
        kinds = ("distributed",) if metafunc.config.option.distributed else KINDS
        metafunc.parametrize("new_world", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def new_world(request):
    """Makes worlds, each for a `with`: `new_world(zone, cache_rows)`."""
    if request.param == "distributed":
        return request.getfixturevalue("new_distributed_world")
    is_file = request.param == "sqlite"
    return _worlds(SqliteFiles() if is_file else PostgresDatabases(request.getfixturevalue("postgres")))


@pytest.fixture(scope="session")
def new_distributed_world(distributed, postgres):
    """As `new_world`, on several shards of Kafka and on S3."""
    return _worlds(PostgresDatabases(postgres), distributed)


def _worlds(databases, distributed=None):
    @contextlib.contextmanager
    def new_world(zone, cache_rows=1_000_000):
        elsewhere = {} if distributed is None else {"log": distributed.new_log(), "lake": distributed.new_lake()}
        with tempfile.TemporaryDirectory() as folder:
            stats_url = databases.new(folder)
            world = World(Path(folder), stats_url, zone, cache_rows, **elsewhere)
            try:
                yield world
            finally:
                world.close()
                databases.drop(stats_url)

    return new_world
