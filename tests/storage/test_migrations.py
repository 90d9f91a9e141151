from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from schemas import tables
from storage.errors import StorageError
from storage.stats import Database, migrations

OLDER = tables.SCHEMA_VERSION - 1


@pytest.fixture
def empty_url(databases, tmp_path):
    """The URL of a database without any table."""
    url = databases.new(tmp_path, empty=True)
    yield url
    databases.drop(url)


def plant(url, version, *statements):
    """Let a database be of another version, and different by some statements."""
    with Database(url) as database, database.writing() as connection:
        is_version = tables.meta.c.name == "schema_version"
        connection.execute(sa.update(tables.meta).where(is_version).values(value=str(version)))
        for statement in statements:
            connection.exec_driver_sql(statement)


def state(url):
    """The stored version, and the columns of the table that the tests change."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        version = connection.scalar(sa.text("SELECT value FROM meta WHERE name = 'schema_version'"))
        columns = {column["name"] for column in sa.inspect(connection).get_columns("api_keys")}
    engine.dispose()
    return int(version), columns


def step(*statements):
    def run(connection):
        for statement in statements:
            connection.exec_driver_sql(statement)

    return run


@pytest.fixture
def older_url(stats_url, monkeypatch):
    """A database of the version before, in which keys have no hints yet; and the step that adds them."""
    plant(stats_url, OLDER, "ALTER TABLE api_keys DROP COLUMN hint")
    add_hints = step("ALTER TABLE api_keys ADD COLUMN hint TEXT NOT NULL DEFAULT ''")
    monkeypatch.setattr(migrations, "STEPS", {tables.SCHEMA_VERSION: add_hints})
    return stats_url


def test_whoever_opens_an_empty_database_first_makes_its_tables(empty_url):
    with ThreadPoolExecutor(4) as threads:
        for database in list(threads.map(Database, [empty_url] * 4)):
            database.close()
    assert state(empty_url) == (tables.SCHEMA_VERSION, {c.name for c in tables.api_keys.columns})


def test_an_older_database_is_refused_and_left_as_it_is(older_url):
    with pytest.raises(StorageError, match="run `heartline migrate`"):
        Database(older_url)
    assert state(older_url) == (OLDER, {"key_hash", "user_id", "created_at_us"})


def test_an_older_database_is_migrated_on_demand_and_then_open_to_all(older_url):
    Database(older_url, migrate=True).close()
    assert state(older_url) == (tables.SCHEMA_VERSION, {"key_hash", "user_id", "created_at_us", "hint"})
    Database(older_url).close()


def test_of_several_who_migrate_at_once_one_does(older_url):
    with ThreadPoolExecutor(4) as threads:
        for database in list(threads.map(lambda url: Database(url, migrate=True), [older_url] * 4)):
            database.close()
    assert state(older_url) == (tables.SCHEMA_VERSION, {"key_hash", "user_id", "created_at_us", "hint"})


def test_a_migration_that_fails_changes_nothing(older_url, monkeypatch):
    failing = step("ALTER TABLE api_keys ADD COLUMN hint TEXT", "ALTER TABLE no_such_table ADD COLUMN hint TEXT")
    monkeypatch.setattr(migrations, "STEPS", {tables.SCHEMA_VERSION: failing})
    with pytest.raises(Exception, match="no_such_table"):
        Database(older_url, migrate=True)
    assert state(older_url) == (OLDER, {"key_hash", "user_id", "created_at_us"})


def test_every_step_from_the_first_version_to_this_one_is_there():
    assert set(migrations.STEPS) == set(range(2, tables.SCHEMA_VERSION + 1))


@pytest.mark.parametrize("migrate", [False, True])
def test_a_newer_database_is_refused(stats_url, migrate):
    plant(stats_url, tables.SCHEMA_VERSION + 1)
    with pytest.raises(StorageError, match="run the version of Heartline that wrote it"):
        Database(stats_url, migrate=migrate)
    assert state(stats_url)[0] == tables.SCHEMA_VERSION + 1
