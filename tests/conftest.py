"""Hypothesis profiles, and one running server that the end-to-end tests share."""

import contextlib
import functools
import os

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import SqliteFiles, databases, kinds_for, stats_url
from tests.kafka.broker import KafkaBroker
from tests.lakes import FolderPlace, S3Place
from tests.places import Distributed, Embedded
from tests.server import Server
from tests.servers.postgres import Postgres
from tests.servers.s3 import S3Server

__all__ = ["databases", "stats_url"]  # fixtures are found by their names here

EMBEDDED = Embedded()
_SLOW_FOLDERS = {"faults", "machine", "distributed"}
_ANYWHERE = {"places", "distributed", "new_world"}
"""Fixtures of tests whose data can lie anywhere."""

# Shared machines stall: a deadline for each example would fail for no reason of ours.
_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("ci", max_examples=100, **_COMMON)
settings.register_profile("soak", max_examples=5_000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser):
    parser.addoption(
        "--distributed",
        action="store_true",
        help="run the tests whose data can lie anywhere, and no others, all of them on Kafka, PostgreSQL and S3",
    )


def pytest_generate_tests(metafunc):
    """Run tests once for each kind of what they need: places of a server, an SQL database, a lake.

    What needs both database and lake runs on two mixtures.
    """
    if "places" in metafunc.fixturenames:
        on_both = metafunc.definition.get_closest_marker("distributed") and not metafunc.config.option.distributed
        if on_both:
            metafunc.parametrize("places", ("embedded", "distributed"), indirect=True, scope="session")
    elif "databases" in metafunc.fixturenames:
        metafunc.parametrize("databases", kinds_for(metafunc.module.__name__), indirect=True, scope="session")
    elif "lake_place" in metafunc.fixturenames:
        metafunc.parametrize("lake_place", ("folder", "s3"), indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave the soaks out unless markers were asked for, and what is not about the places that were asked for.

    Files that take minutes come first: who shares the work would else end with one of them, while the others rest.
    """
    left_out = {item for item in items if _is_left_out(item, config.option)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = sorted((item for item in items if item not in left_out), key=_is_quick)


def _is_quick(item):
    return item.path.parent.name not in _SLOW_FOLDERS


def _is_left_out(item, option):
    if item.get_closest_marker("soak") and not option.markexpr:
        return True
    if not option.distributed:
        return False
    return _ANYWHERE.isdisjoint(item.fixturenames) or bool(item.get_closest_marker("embedded"))


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL that all tests share, each with a database of its own."""
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def distributed(tmp_path_factory, postgres, s3_server):
    """The servers behind distributed places, with a broker of their own: some tests take the shared one down."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield Distributed(broker, postgres, s3_server)


@pytest.fixture(scope="session")
def places(request):
    """Where servers keep their data."""
    default = "distributed" if request.config.option.distributed else "embedded"
    return request.getfixturevalue("distributed") if getattr(request, "param", default) == "distributed" else EMBEDDED


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory):
    """A server on each kind of places, from when it is first needed to the end."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def on(places):
            return stack.enter_context(Server(tmp_path_factory.mktemp("heartline"), **places.new()))

        yield on


@pytest.fixture(scope="session")
def server(shared_servers, places):
    """A real `heartline up` on fresh places. Every test takes users of its own, so they can share it."""
    return shared_servers(places)


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
    """Show what the servers wrote beside the test that failed."""
    report = yield
    if report.failed:
        for made in getattr(item, "funcargs", {}).values():
            report.sections.extend(_outputs(made))
    return report


def _outputs(made):
    """Give the end of what a server, or each service of a cluster, wrote."""
    if isinstance(made, Server):
        return [("output of heartline up (its end)", made.output()[-8_000:])]
    services = getattr(getattr(made, "site", made), "services", ())
    return [(f"output of {service.log.stem} (its end)", service.output()[-4_000:]) for service in services]
