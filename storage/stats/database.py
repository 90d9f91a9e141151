"""Opening the SQL database, and its two kinds of transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa

from schemas import tables
from storage.errors import StorageError, UnavailableError

_BUSY_TIMEOUT_MS: Final = 10_000
_MODE: Final = "heartline_mode"
_BEGIN: Final = {"reading": "BEGIN", "writing": "BEGIN IMMEDIATE", "statements": None}


class Database:
    """The SQL database behind `url` (`sqlite:///path`), its tables made where they are missing.

    Raises `StorageError` when it cannot be opened or was written by another version.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        if self.url.get_backend_name() != "sqlite":
            raise StorageError(f"The stats database {url!r} is of no known kind: use sqlite:///PATH.")
        self.engine = _sqlite_engine(self.url)
        try:
            self._create_schema()
        except sa.exc.OperationalError as error:
            raise UnavailableError(f"The stats database {url} cannot be opened: {error.orig}.") from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give one snapshot. Copy out what is needed and leave: a long one keeps the WAL from shrinking."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give one transaction that holds the write lock from its start; it commits unless an exception leaves it."""
        with self.engine.connect().execution_options(**{_MODE: "writing"}) as connection, connection.begin():
            yield connection

    def statements(self) -> sa.Connection:
        """Give a connection for single statements: each sees what is committed, none keeps a transaction open."""
        return self.engine.connect().execution_options(**{_MODE: "statements"})

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _create_schema(self) -> None:
        with self.writing() as connection:
            tables.metadata.create_all(connection)
            stored = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.name == "schema_version"))
            if stored is None:
                connection.execute(sa.insert(tables.meta), _first_facts())
            elif int(stored) != tables.SCHEMA_VERSION:
                raise StorageError(
                    f"{self.url} has schema version {stored}, this is version {tables.SCHEMA_VERSION}: "
                    "run the version of Heartline that wrote it, or move the folder away."
                )


def _first_facts() -> list[dict[str, str]]:
    facts = {
        "schema_version": str(tables.SCHEMA_VERSION),
        "tzdata_version": package_version("tzdata"),
        "directory_version": "0",
    }
    return [{"name": name, "value": value} for name, value in facts.items()]


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url,
        connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        hide_parameters=True,  # errors are logged, and parameters tell of people
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = _BEGIN[connection.get_execution_options().get(_MODE, "reading")]
    if begin:
        connection.exec_driver_sql(begin)
