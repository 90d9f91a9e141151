"""The embedded log: an SQLite file of its own, one fsync for all requests that wait (group commit)."""

import asyncio
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from schemas.record import Record, StoredRecord
from storage.errors import GapError, UnavailableError
from storage.lock import FileLock
from storage.log.doorbell import Bell, Doorbell

_BUSY_TIMEOUT_S: Final = 10.0
_ROWS_PER_INSERT: Final = (64, 16, 4, 1)  # few sizes, so that their statements stay prepared
_TRIM_CHUNK: Final = 500  # records; a delete holds the write lock that ingest waits for

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    "offset" INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    version INTEGER NOT NULL,
    appended_at_us INTEGER NOT NULL,
    value BLOB NOT NULL
);
"""

_Row = tuple[int, int, int, int, bytes]


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        connection.execute("INSERT OR IGNORE INTO facts VALUES ('name', ?)", (uuid.uuid4().hex,))
        _sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise UnavailableError(f"The log {path} cannot be opened: {error}.") from error
    return connection


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rows(records: Sequence[Record]) -> list[_Row]:
    now_us = time.time_ns() // 1000
    return [(r.user_id, int(r.kind), r.version, now_us, r.value) for r in records]


def _insert(connection: sqlite3.Connection, rows: Sequence[_Row]) -> int:
    """Append all rows in one transaction; return the last offset.

    Each statement carries many rows: fewer hand-overs of the interpreter lock between this thread and the event loop's.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        last, start = 0, 0
        while start < len(rows):
            size = next(n for n in _ROWS_PER_INSERT if n <= len(rows) - start)
            values = ",".join(["(?,?,?,?,?)"] * size)
            cursor = connection.execute(
                f"INSERT INTO records (user_id, kind, version, appended_at_us, value) VALUES {values}",
                [field for row in rows[start : start + size] for field in row],
            )
            last = cursor.lastrowid or 0
            start += size
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return last


def append_now(path: Path, records: Sequence[Record]) -> int:
    """Append from a command, beside whichever ingest runs; return the last offset. Raises `UnavailableError`."""
    connection = _open(path)
    try:
        offset = _insert(connection, _rows(records))
    except sqlite3.Error as error:
        raise UnavailableError(f"The log {path} cannot be written: {error}.") from error
    finally:
        connection.close()
    bell = Bell(_doorbell_path(path))
    bell.ring()
    bell.close()
    return offset


def _doorbell_path(path: Path) -> Path:
    return path.with_name(path.name + "-doorbell")


def lock_ingest(path: Path) -> FileLock:
    """Be the one ingest of the log. Raises `LockedError`."""
    return FileLock(path.with_name(path.name + "-ingest.lock"), "the embedded log takes one ingest; more need Kafka.")


class _Waiting:
    """A request that waits for its records to be durable."""

    __slots__ = ("done", "rows", "size")

    def __init__(self, rows: list[_Row], size: int, done: "asyncio.Future[int]") -> None:
        self.rows = rows
        self.size = size
        self.done = done


class SqliteLogWriter:
    """Ingest's end of the log; one process at a time. Must be made within a running event loop.

    Raises `LockedError` when another ingest has it and `UnavailableError` when it cannot be opened.
    """

    def __init__(self, path: Path, *, max_queued_bytes: int) -> None:
        self._lock = lock_ingest(path)
        self._connection = _open(path)
        self._bell = Bell(_doorbell_path(path))
        self._loop = asyncio.get_running_loop()
        self._max_queued_bytes = max_queued_bytes
        self._queued_bytes = 0
        self._queue: list[_Waiting] = []
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="log-writer", daemon=True)
        self._thread.start()

    async def append(self, records: Sequence[Record]) -> int:
        """Return the last record's offset when all are durable. Raises `UnavailableError`: nothing is acknowledged."""
        size = sum(len(r.value) for r in records)
        if self._queued_bytes + size > self._max_queued_bytes:
            raise UnavailableError("The log's queue is full: send again in a few seconds.")
        waiting = _Waiting(_rows(records), size, self._loop.create_future())
        with self._wake:
            if self._closing:
                raise UnavailableError("The server is stopping: send again in a few seconds.")
            self._queued_bytes += size
            self._queue.append(waiting)
            self._wake.notify()
        return await waiting.done

    async def close(self) -> None:
        """Make durable what is queued, then let go of the log."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)
        self._connection.close()
        self._bell.close()
        self._lock.release()

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                last = _insert(self._connection, [row for waiting in batch for row in waiting.rows])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it, and later ones be served
                reason = UnavailableError(f"The log cannot be written: {error}.")
                self._loop.call_soon_threadsafe(self._refuse, batch, reason)
            else:
                self._bell.ring()
                self._loop.call_soon_threadsafe(self._acknowledge, batch, last)

    def _next_batch(self) -> list[_Waiting]:
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closing)
            batch, self._queue = self._queue, []
            return batch

    def _acknowledge(self, batch: list[_Waiting], last: int) -> None:
        offset = last - sum(len(waiting.rows) for waiting in batch)
        for waiting in batch:
            offset += len(waiting.rows)
            self._queued_bytes -= waiting.size
            if not waiting.done.done():
                waiting.done.set_result(offset)

    def _refuse(self, batch: list[_Waiting], reason: UnavailableError) -> None:
        for waiting in batch:
            self._queued_bytes -= waiting.size
            if not waiting.done.done():
                waiting.done.set_exception(reason)


class SqliteLogReader:
    """The aggregator's end of the log; one process at a time: `LockedError`, `BusyError` while it is a command's."""

    def __init__(self, path: Path, *, for_a_command: bool = False) -> None:
        self._lock = FileLock(
            path.with_name(path.name + "-aggregate.lock"),
            "the embedded log takes one aggregator; more need Kafka.",
            for_a_command=for_a_command,
        )
        self._connection = _open(path)
        self._doorbell = Doorbell(_doorbell_path(path))
        self.shard = 0
        self.shards = 1
        self.name: str = self._scalar("SELECT value FROM facts WHERE name = 'name'")

    def read(self, after: int, max_bytes: int) -> list[StoredRecord]:
        """Read records whose offsets are above `after`, in order, about `max_bytes` of values (at least one record).

        Raises `UnavailableError`, and `GapError` where the next one is gone: transactions that are rolled back give
        their offsets back, so every offset up to `end` was a record once.
        """
        records = self._follow(after, max_bytes)
        if not records and (end := self.end()) > after:
            records = self._follow(after, max_bytes)  # appended in between, unless it is gone
            if not records:
                raise GapError(after + 1, end)
        return records

    def _follow(self, after: int, max_bytes: int) -> list[StoredRecord]:
        """Read on from `after` without a hole. Raises `GapError` where there is one at once."""
        records: list[StoredRecord] = []
        size = 0
        with self._reading():
            found = self._connection.execute(
                'SELECT "offset", user_id, kind, version, value FROM records WHERE "offset" > ? ORDER BY "offset"',
                (after,),
            )
            for row in found:
                if row[0] != after + len(records) + 1:
                    if not records:
                        raise GapError(after + 1, row[0] - 1)
                    break
                records.append(StoredRecord(*row))
                size += len(row[4])
                if size >= max_bytes:
                    break
            found.close()
        return records

    def end(self) -> int:
        """Give the last offset ever appended (0: none)."""
        with self._reading():
            row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
        return row[0] if row else 0

    def wait(self, timeout_s: float) -> None:
        """Return when something was appended, or after `timeout_s`."""
        self._doorbell.wait(timeout_s)

    def trim(self, upto: int, older_than_us: int) -> int:
        """Delete a chunk of records at or below offset `upto` that were appended before `older_than_us`."""
        with self._reading():
            deleted = self._connection.execute(
                'DELETE FROM records WHERE "offset" IN (SELECT "offset" FROM records '
                'WHERE "offset" <= ? AND appended_at_us < ? ORDER BY "offset" LIMIT ?)',
                (upto, older_than_us, _TRIM_CHUNK),
            )
        return deleted.rowcount

    def close(self) -> None:
        """Let go of the log."""
        self._connection.close()
        self._doorbell.close()
        self._lock.release()

    def _scalar(self, query: str) -> str:
        with self._reading():
            value: str = self._connection.execute(query).fetchone()[0]
        return value

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UnavailableError(f"The log cannot be read: {error}.") from error
