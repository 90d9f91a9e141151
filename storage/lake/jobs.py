"""DuckDB over lake and tail: what the jobs, the audit and ad-hoc SQL read."""

import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from schemas.arrow import LAKE_SCHEMA
from schemas.calendars import DAY_US
from schemas.tables import lake_files, tail
from storage.errors import StorageError, UnavailableError, is_gone
from storage.lake import Lake, catalog
from storage.lake.columns import PackedRecord, batches_of, frame_of

MEMORY_LIMIT: Final = "512MB"
"""What does not fit is sorted in a temporary folder instead."""

_ATTEMPTS: Final = 100
"""Each fails at another file, which compaction has deleted: that ends with the days that wait for it."""

_FILE: Final = re.compile(r"date=[^'\"]+?\.parquet")
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",  # nothing is downloaded at run time
    "autoload_known_extensions": "false",
    "memory_limit": MEMORY_LIMIT,
}

_T = TypeVar("_T")


class Scope(NamedTuple):
    """Which heartbeats a job is about: users first_user..last_user, those of a shard, times [from_us, to_us)."""

    first_user: int = -(1 << 63)
    last_user: int = (1 << 63) - 1
    from_us: int = -(1 << 62)
    to_us: int = 1 << 62
    shard: int = 0
    shards: int = 1

    def users(self, user_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
        """Tell whether a row's user is in it."""
        in_range = user_id.between(self.first_user, self.last_user)
        return in_range if self.shards == 1 else sa.and_(in_range, user_id % self.shards == self.shard)

    def users_as_parameters(self) -> dict[str, int]:
        """Give what `USERS` asks for."""
        return {name: getattr(self, name) for name in ("first_user", "last_user", "shard", "shards")}


USERS: Final = "(user_id BETWEEN $first_user AND $last_user AND user_id % $shards = $shard)"
"""`Scope.users` for DuckDB."""


EVERYTHING: Final = Scope()


class Snapshot(NamedTuple):
    """Where the heartbeats of a scope are, and perhaps others: tail records, copied out, and lake files' paths."""

    records: list[PackedRecord]
    paths: list[str]


def open_duckdb() -> duckdb.DuckDBPyConnection:
    """Open a DuckDB of its own, in UTC and bounded in memory; its temporary folder goes when it is closed."""
    folder = Path(tempfile.gettempdir()) / f"heartline-duckdb-{secrets.token_hex(8)}"
    duck = duckdb.connect(config={**_CONFIG, "temp_directory": str(folder)})
    duck.execute("SET TimeZone='UTC'")
    return duck


def take_snapshot(connection: sa.Connection, scope: Scope = EVERYTHING) -> Snapshot:
    """Find a scope's heartbeats, in the caller's transaction, which can end before a file is opened."""
    records = connection.execute(
        sa.select(tail.c.user_id, tail.c.count, tail.c.value).where(
            scope.users(tail.c.user_id),
            tail.c.max_us >= scope.from_us,
            tail.c.min_us < scope.to_us,
        )
    )
    files = catalog.live_files(
        connection,
        lake_files.c.date.between(scope.from_us // DAY_US, (scope.to_us - 1) // DAY_US),
        lake_files.c.min_user <= scope.last_user,
        lake_files.c.max_user >= scope.first_user,
        lake_files.c.max_us >= scope.from_us,
        lake_files.c.min_us < scope.to_us,
    )
    return Snapshot([PackedRecord(*row) for row in records], [file.path for file in files])


def show_heartbeats(duck: duckdb.DuckDBPyConnection, lake: Lake, snapshot: Snapshot) -> None:
    """Make the view `heartbeats` of a snapshot: lake columns, each heartbeat once, in no order."""
    batches = batches_of(frame_of(snapshot.records)) if snapshot.records else ()
    duck.register("tail_heartbeats", pa.Table.from_batches(batches, schema=LAKE_SCHEMA))
    parts = ["SELECT * FROM tail_heartbeats"]
    if snapshot.paths:
        columns = ", ".join(LAKE_SCHEMA.names)  # whatever else a file that is not ours may have
        parts.append(f"SELECT {columns} FROM {lake.table(duck, snapshot.paths)}")
    duck.execute(f"CREATE OR REPLACE TEMP VIEW heartbeats AS {' UNION ALL '.join(parts)}")


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what DuckDB raises into `UnavailableError`, where a file cannot be had, or else `StorageError`."""
    try:
        yield
    except duckdb.Error as error:
        what = str(error).partition("\n")[0]  # the rest shows our SQL
        kind = UnavailableError if _is_of_files(error) else StorageError
        raise kind(f"DuckDB failed on the lake: {what}.") from error


def while_files_vanish(attempt: Callable[[], _T]) -> _T:
    """Run a job that takes a snapshot and reads it, again where compaction deleted a file in between.

    Raises `UnavailableError` when that does not end, or a file stays away; `StorageError` when one cannot be read.
    """
    error: StorageError | None = None
    for _ in range(_ATTEMPTS):
        try:
            with clear_errors():
                return attempt()
        except UnavailableError as failed:
            if not _is_gone(failed.__cause__):
                raise
            if error is not None and _file_of(failed) == _file_of(error):
                break  # the new snapshot names it too, so it was not compaction that deleted it
            error = failed
    raise UnavailableError(f"Lake files that the database lists cannot be read: {error}.") from error


def _file_of(error: StorageError) -> str:
    """Find which file an error is about; all that it says where it names none."""
    named = _FILE.search(str(error))
    return named[0] if named else str(error)


# Where Arrow reads for DuckDB, what it raised comes as text alone.


def _is_of_files(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.IOException) or "failed: IOError: " in str(error)


def _is_gone(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, duckdb.IOException) or is_gone(error))
