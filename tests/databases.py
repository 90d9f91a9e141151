"""The two kinds of SQL database, for tests that must hold on both."""

import contextlib
import sqlite3

import pytest

KINDS = ("sqlite", "postgresql")

# Most answers are made from the same few reads: these modules of the read API's tests ask for each of them.
READS_ON_EVERY_KIND = {"test_statusbar", "test_stats", "test_heartbeats", "test_projects", "test_users", "test_streak"}


class SqliteFiles:
    """A file in each test's folder."""

    def new(self, folder, *, empty=False):  # noqa: ARG002 - a file is empty until it is opened
        return f"sqlite:///{folder}/stats.db"

    def drop(self, url):
        """Leave it to who deletes the folder."""

    def cut_off(self, url):
        """Let every question about users fail, until `let_in`."""
        self._run(url, "ALTER TABLE users RENAME TO hidden")

    def let_in(self, url):
        self._run(url, "ALTER TABLE hidden RENAME TO users")

    def refuse_inserts(self, connection, table):
        """Let every INSERT into a table fail, until `take_inserts`."""
        connection.exec_driver_sql(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )

    def take_inserts(self, connection, table):  # noqa: ARG002 - a trigger of SQLite has a name of its own
        connection.exec_driver_sql("DROP TRIGGER refuse")

    def _run(self, url, statement):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute(statement)


class PostgresDatabases:
    """A database of its own on the one server of the session."""

    def __init__(self, server):
        self._server = server

    def new(self, folder, *, empty=False):  # noqa: ARG002 - its data lies where the server keeps it
        return self._server.new_url(empty=empty)

    def drop(self, url):
        self._server.drop(url)

    def cut_off(self, url):
        self._server.cut_off(url)

    def let_in(self, url):
        self._server.let_in(url)

    def refuse_inserts(self, connection, table):
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE check_violation USING MESSAGE = 'no room'; END $$"
        )
        connection.exec_driver_sql(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()")

    def take_inserts(self, connection, table):
        connection.exec_driver_sql(f"DROP TRIGGER refuse ON {table}")


def kinds_for(module):
    """Say on which kinds the tests of a module run."""
    *_, folder, name = module.split(".")
    return KINDS[:1] if folder == "query_api" and name not in READS_ON_EVERY_KIND else KINDS


@pytest.fixture(scope="session")
def databases(request):
    """Where databases come from, for tests that need several; conftest.py runs each on the kinds for its module."""
    if request.param == "sqlite":
        return SqliteFiles()
    return PostgresDatabases(request.getfixturevalue("postgres"))


@pytest.fixture
def stats_url(databases, tmp_path):
    """The URL of a database of its own for each test, on each kind; its tables are made when it is opened."""
    url = databases.new(tmp_path)
    yield url
    databases.drop(url)
