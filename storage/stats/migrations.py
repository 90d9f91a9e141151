"""The schema's versions: tables are made where there are none; older ones are brought up to date, step by step.

A change of `schemas.tables` adds 1 to `SCHEMA_VERSION` there, and its step here. A step is plain SQL for both
databases, and knows nothing of the tables as they are today: it must do the same in ten years.
"""

from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa

from schemas import tables
from storage.errors import StorageError

Step = Callable[[sa.Connection], None]


def _to_2(connection: sa.Connection) -> None:
    """Add alarms and closed logs; shards know their tzdata. Stats get the sums by the earlier heartbeat's project."""
    for statement in (
        """CREATE TABLE IF NOT EXISTS alarms (log TEXT NOT NULL, shard INTEGER NOT NULL, reason TEXT NOT NULL,
        raised_at_us BIGINT NOT NULL, gap_end BIGINT, accepted BOOLEAN NOT NULL, PRIMARY KEY (log, shard))""",
        "CREATE TABLE logs (log TEXT NOT NULL, closing_at_us BIGINT NOT NULL, closed_at_us BIGINT, PRIMARY KEY (log))",
        "ALTER TABLE shards ADD COLUMN tzdata_version TEXT",
        "DELETE FROM meta WHERE name = 'tzdata_version'",
    ):
        connection.exec_driver_sql(statement)


STEPS: Final[Mapping[int, Step]] = {2: _to_2}
"""The version that a step makes, from the one before → the step. Version 1 is the first."""

_ADVISORY_LOCK: Final = 0x48454152  # "HEAR": of everyone who makes or changes tables


def stored_version(connection: sa.Connection) -> int | None:
    """Read the version of the tables; None where there are none."""
    if not sa.inspect(connection).has_table(tables.meta.name):
        return None
    stored = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.name == "schema_version"))
    return None if stored is None else int(stored)


def is_current(stored: int | None) -> bool:
    """Tell whether the tables are what this version of Heartline works with. Raises `StorageError` for newer ones."""
    if stored is not None and stored > tables.SCHEMA_VERSION:
        raise StorageError(
            f"The stats database has schema version {stored}, this is version {tables.SCHEMA_VERSION}: "
            "run the version of Heartline that wrote it."
        )
    return stored == tables.SCHEMA_VERSION


def prepare(connection: sa.Connection, *, migrate: bool) -> None:
    """Make the tables where there are none; bring older ones up to date if `migrate`. All of it or nothing.

    Runs in the caller's write transaction. Raises `StorageError` for newer tables, and for older ones unless `migrate`.
    """
    _lock(connection)
    stored = stored_version(connection)
    if is_current(stored):
        return  # somebody else was faster
    if stored is None:
        tables.metadata.create_all(connection)
        connection.execute(sa.insert(tables.meta), _first_facts())
        return
    if not migrate:
        raise StorageError(
            f"The stats database has schema version {stored}, this is version {tables.SCHEMA_VERSION}: "
            "run `heartline migrate`."
        )
    for number in range(stored + 1, tables.SCHEMA_VERSION + 1):
        STEPS[number](connection)
    is_version = tables.meta.c.name == "schema_version"
    connection.execute(sa.update(tables.meta).where(is_version).values(value=str(tables.SCHEMA_VERSION)))


def _lock(connection: sa.Connection) -> None:
    """Let one process at a time see to the tables; a write transaction of SQLite does by itself."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _first_facts() -> list[dict[str, str]]:
    facts = {
        "schema_version": str(tables.SCHEMA_VERSION),
        "directory_version": "0",
    }
    return [{"name": name, "value": value} for name, value in facts.items()]
