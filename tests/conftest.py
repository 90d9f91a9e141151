"""Hypothesis profiles, and one running server that the end-to-end tests share."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import databases, kinds_for, stats_url
from tests.kafka.broker import KafkaBroker
from tests.server import Server
from tests.servers.postgres import Postgres

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
    """Run what needs an SQL database on each kind."""
    if "databases" in metafunc.fixturenames:
        metafunc.parametrize("databases", kinds_for(metafunc.module.__name__), indirect=True, scope="session")


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the server wrote beside the test that failed."""
    report = yield
    running = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(running, Server):
        report.sections.append(("output of heartline up (its end)", running.output()[-8_000:]))
    return report
