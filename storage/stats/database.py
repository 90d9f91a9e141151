"""Opening the SQL database, and its two kinds of transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Self

import sqlalchemy as sa

from storage.errors import StorageError, UnavailableError
from storage.stats import migrations
from storage.stats.engines import Mode, make_engine, modes_of

_KINDS: Final = "use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"


class Database:
    """The SQL database behind `url` (`sqlite:///PATH`, `postgresql://…`), its tables made where there are none.

    `migrate`: bring older tables up to date. Raises `StorageError` when the database was written by another version
    (an older one: only without `migrate`), `UnavailableError` when it does not answer.

    Whatever is asked of it raises `UnavailableError` where it cannot answer now (gone, full, too busy): then the
    transaction has done nothing, unless it was its COMMIT that failed, whose outcome is unknown.
    """

    def __init__(self, url: str, *, migrate: bool = False) -> None:
        try:
            self.url = sa.make_url(url)
            self.engine = make_engine(self.url)
        except (sa.exc.ArgumentError, KeyError) as error:
            raise StorageError(f"The address of the stats database is of no known kind: {_KINDS}.") from error
        self._engines = modes_of(self.engine)
        self._held: ContextVar[sa.Connection | None] = ContextVar("held", default=None)
        try:
            self._prepare(migrate=migrate)
        except BaseException:
            self.close()
            raise

    @property
    def is_remote(self) -> bool:
        """Whether an answer takes a round trip through a network: too long for an event loop to wait."""
        return self.url.get_backend_name() != "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give one snapshot. Copy out what is needed and leave: a long one keeps old rows from being cleaned up."""
        held = self._held.get()
        if held is not None:
            yield held
            return
        with _connect(self._engines[Mode.READING]) as connection, connection.begin():
            yield connection

    @contextmanager
    def one_snapshot(self) -> Iterator[None]:
        """Let all `reading` of this thread meanwhile be of one snapshot."""
        with self.reading() as connection:
            token = self._held.set(connection)
            try:
                yield
            finally:
                self._held.reset(token)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give one transaction; it commits unless an exception leaves it.

        SQLite has one writer at a time. On PostgreSQL writers begin with the row that keeps their rivals away: the
        shard's (`Shard.writing`), or that of the directory's version.
        """
        with _connect(self._engines[Mode.WRITING]) as connection, connection.begin():
            yield connection

    def statements(self) -> sa.Connection:
        """Give a connection for single statements: each sees what is committed, none keeps a transaction open."""
        return _connect(self._engines[Mode.STATEMENTS])

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, *, migrate: bool) -> None:
        with self.reading() as connection:
            stored = migrations.stored_version(connection)
        if not migrations.is_current(stored):
            with self.writing() as connection:
                migrations.prepare(connection, migrate=migrate)


def _connect(engine: sa.Engine) -> sa.Connection:
    try:
        return engine.connect()
    except sa.exc.TimeoutError as error:
        raise UnavailableError("The stats database is unavailable: every connection to it is in use.") from error
