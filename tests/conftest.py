"""Hypothesis profiles, and one running server that the end-to-end tests share."""

import contextlib
import os

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import SqliteFiles, databases, kinds_for, stats_url
from tests.kafka.broker import KafkaBroker
from tests.lakes import FolderPlace, S3Place
from tests.server import Server
from tests.servers.postgres import Postgres
from tests.servers.s3 import S3Server

__all__ = ["databases", "stats_url"]  # fixtures are found by their names here

# Shared machines stall: a deadline for each example would fail for no reason of ours.
_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("ci", max_examples=100, **_COMMON)
settings.register_profile("soak", max_examples=5_000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_generate_tests(metafunc):
    """Run what needs an SQL database on each kind, and a lake in each place; what needs both, on two mixtures."""
    if "databases" in metafunc.fixturenames:
        metafunc.parametrize("databases", kinds_for(metafunc.module.__name__), indirect=True, scope="session")
    elif "lake_place" in metafunc.fixturenames:
        metafunc.parametrize("lake_place", ("folder", "s3"), indirect=True)


def pytest_collection_modifyitems(config, items):
    """Leave the soaks out unless markers were asked for."""
    if config.option.markexpr:
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=soaks)
    items[:] = [item for item in items if item not in soaks]


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL that all tests share, each with a database of its own."""
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real `heartline up` on a fresh folder. Every test takes users of its own, so they can share it."""
    with Server(tmp_path_factory.mktemp("heartline")) as running:
        yield running


@pytest.fixture
def account(server):
    """A user of their own for each test, in UTC."""
    return server.new_account()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory):
    """A real Kafka broker. Every test takes topics of its own; one that takes it down starts it again."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """moto's S3 server. Every test takes a bucket of its own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def bucket(s3_server):
    """An empty bucket."""
    with contextlib.closing(s3_server.new_bucket()) as made:
        yield made


@pytest.fixture
def lake_place(request, tmp_path):
    """An empty lake, once in a folder and once on S3; beside a database: SQLite and folder, PostgreSQL and S3."""
    where = getattr(request, "param", None)
    if where is None:
        where = "folder" if isinstance(request.getfixturevalue("databases"), SqliteFiles) else "s3"
    if where == "folder":
        return FolderPlace(tmp_path / "lake")
    return S3Place(request.getfixturevalue("bucket"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the server wrote beside the test that failed."""
    report = yield
    running = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(running, Server):
        report.sections.append(("output of heartline up (its end)", running.output()[-8_000:]))
    return report
