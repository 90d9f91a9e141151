"""The embedded log as services and commands find it: one shard, one ingest, one aggregator."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from schemas.record import Record
from storage.errors import UnavailableError
from storage.log import Place
from storage.log.sqlite import SqliteLogWriter, append_now, lock_ingest

_FACTS: Final = (
    "SELECT (SELECT value FROM facts WHERE name = 'name'), (SELECT seq FROM sqlite_sequence WHERE name = 'records')"
)


class SqliteLog:
    """The log in the SQLite file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def writer(self, max_queued_bytes: int) -> SqliteLogWriter:
        """Open ingest's end. Raises `LockedError`, `UnavailableError`."""
        return SqliteLogWriter(self.path, max_queued_bytes=max_queued_bytes)

    def append(self, record: Record, *, everywhere: bool = False) -> list[Place]:  # noqa: ARG002 - there is one shard
        """Append from a command, beside whichever ingest runs. Raises `UnavailableError`."""
        offset = append_now(self.path, [record])
        return [end._replace(offset=offset) for end in self.ends()]

    def ends(self) -> list[Place]:
        """Give the last offset ever appended (0: none); nothing where no log was made yet. Raises `UnavailableError`.

        Read-only, beside whoever owns the log.
        """
        if not self.path.exists():
            return []
        try:
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
                name, last = connection.execute(_FACTS).fetchone()
        except sqlite3.Error as error:
            raise UnavailableError(f"The log {self.path} cannot be read: {error}.") from error
        return [Place(name, 0, last or 0)]

    @contextmanager
    def without_ingest(self) -> Iterator[float]:
        """Hold ingest's lock: none runs, so that there is nothing to wait for. Raises `LockedError` while one does."""
        lock = lock_ingest(self.path)
        try:
            yield 0.0
        finally:
            lock.release()
