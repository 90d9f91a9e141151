"""Compaction of closed days, and erasure: files are written anew and swapped (design.md, "The commit protocol", 3)."""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from aggregator.recompute import rebuild
from aggregator.recover import recover
from aggregator.verify import audit
from schemas.arrow import LAKE_SCHEMA, SORTED_BY
from schemas.tables import lake_files, last_values, segments, tail
from storage.errors import StorageError
from storage.lake import Lake, catalog
from storage.lake.catalog import LakeFile
from storage.lake.columns import ROW_GROUP_ROWS
from storage.lake.jobs import clear_errors, open_duckdb, parquet_source
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)

MIN_FILES: Final = 8
"""Small files of a day that are worth a rewrite: a reader of one user's day pays some 3 ms for each."""

_SMALL_SHARE: Final = 5  # small files with more than a fifth of the rows are worth it too


def compact(shard: Shard, lake: Lake, *, min_files: int = MIN_FILES, now_s: float) -> int:
    """Rewrite closed days (UTC dates before that of `now_s`) as one file each where it pays, and audit their stats.

    Each day is a step of its own, in the thread of the shard's owner; return how many. A difference between a day's
    stats and its heartbeats is logged as an error and repaired; caches of stats are then wrong. Raises `FencedError`,
    `StorageError`, `UnavailableError`: what was live is live still.
    """
    recover(shard, lake)
    today = int(now_s // 86_400)
    mine = (lake_files.c.log == shard.log, lake_files.c.shard == shard.number, lake_files.c.date < today)
    with shard.database.reading() as connection:
        files = catalog.live_files(connection, *mine)
    days = [list(of_day) for _, of_day in groupby(files, key=attrgetter("date"))]
    due = [of_day for of_day in days if is_due(of_day, min_files)]
    for of_day in due:
        merged = _compact_day(shard, lake, of_day)
        _audit_day(shard, lake, merged)
    return len(due)


def is_due(files: Sequence[LakeFile], min_files: int = MIN_FILES) -> bool:
    """Tell whether a day's files are worth a rewrite; all but the largest are small."""
    rows = [file.rows for file in files]
    small = sum(rows) - max(rows)
    return len(rows) - 1 >= min_files or small * _SMALL_SHARE > sum(rows)


def erase_user(shard: Shard, lake: Lake, user_id: int) -> int:
    """Delete a user's heartbeats and stats; return how many heartbeats there were.

    Files that hold some are rewritten without them; one transaction swaps the files and deletes the rest. Raises
    `FencedError`, `StorageError`, `UnavailableError`, with nothing erased.
    """
    with shard.database.reading() as connection:
        near = catalog.live_files(connection, lake_files.c.min_user <= user_id, lake_files.c.max_user >= user_id)
    with clear_errors(), open_duckdb() as duck:
        held = _rows_of_user(duck, lake, near, user_id)
        old = [file for file in near if file.path in held]
        new = [_successor([file], file.rows - held[file.path]) for file in old]
        kept = [(file, [source]) for file, source in zip(new, old, strict=True) if file.rows]
        with _Rewrite(shard, lake, [file for file, _ in kept]):
            for file, sources in kept:
                _write_from(duck, lake, file, sources, f"WHERE user_id <> {int(user_id)}")
            with shard.writing() as connection:
                catalog.publish(connection, [file.path for file, _ in kept])
                catalog.retire(connection, [file.path for file in old])
                in_tail = _delete_user(connection, user_id)
    recover(shard, lake)
    return sum(held.values()) + in_tail


class _Rewrite:
    """Announces files; where they do not come to count, deletes what there is of them and their entries."""

    def __init__(self, shard: Shard, lake: Lake, files: Sequence[LakeFile]) -> None:
        self._shard = shard
        self._lake = lake
        self._files = files
        self._paths = [file.path for file in files]

    def __enter__(self) -> None:
        with self._shard.writing() as connection:
            catalog.announce(connection, self._shard.epoch, self._files)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, Exception):
            return  # what a killed process leaves, the next owner recovers
        self._shard.refresh()
        with self._shard.writing() as connection:
            # Only what is still `writing`: a COMMIT whose answer was lost has made the files live.
            catalog.give_up_writing(connection, self._shard.log, self._shard.number)
        recover(self._shard, self._lake)


def _compact_day(shard: Shard, lake: Lake, old: Sequence[LakeFile]) -> LakeFile:
    merged = _successor(old, sum(file.rows for file in old))
    with _Rewrite(shard, lake, [merged]):
        with clear_errors(), open_duckdb() as duck:
            _write_from(duck, lake, merged, old)
        with shard.writing() as connection:
            catalog.publish(connection, [merged.path])
            catalog.retire(connection, [file.path for file in old])
    recover(shard, lake)
    return merged


def _audit_day(shard: Shard, lake: Lake, file: LakeFile) -> None:
    with clear_errors(), open_duckdb() as duck:
        found = duck.execute(f"SELECT DISTINCT user_id FROM {parquet_source([lake.absolute(file.path)])}").fetchall()
    differences = audit(shard.database, lake, file.date, [user_id for (user_id,) in found])
    for difference in differences:
        logger.error("ALARM: stats differ from the heartbeats and are repaired: %s", difference)
    for user_id in sorted({difference.user_id for difference in differences}):
        rebuild(shard, lake, user_id)


def _successor(old: Sequence[LakeFile], rows: int) -> LakeFile:
    """Describe the file that takes the place of others of one date, log and shard."""
    first, last = min(file.first_offset for file in old), max(file.last_offset for file in old)
    date, log, shard = old[0].date, old[0].log, old[0].shard
    return LakeFile(
        catalog.new_path(date, log, shard, first, last),
        date,
        log,
        shard,
        first,
        last,
        rows,
        min(file.min_user for file in old),
        max(file.max_user for file in old),
        min(file.min_us for file in old),
        max(file.max_us for file in old),
    )


def _write_from(
    duck: duckdb.DuckDBPyConnection, lake: Lake, file: LakeFile, sources: Sequence[LakeFile], condition: str = ""
) -> None:
    """Write those rows of other files that meet the condition. Raises `StorageError` when they are not as many."""
    columns, order = ", ".join(LAKE_SCHEMA.names), ", ".join(SORTED_BY)
    source = parquet_source([lake.absolute(path.path) for path in sources])
    rows = duck.sql(f"SELECT {columns} FROM {source} {condition} ORDER BY {order}")
    written = lake.write(file.path, _as_lake_batches(rows.to_arrow_reader(ROW_GROUP_ROWS)))
    if written != file.rows:
        raise StorageError(f"{written} rows were written where lake_files says {file.rows}: the old files stay.")


def _as_lake_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch.cast(LAKE_SCHEMA)


def _rows_of_user(
    duck: duckdb.DuckDBPyConnection, lake: Lake, files: Sequence[LakeFile], user_id: int
) -> dict[str, int]:
    held: dict[str, int] = {}
    for file in files:
        source = parquet_source([lake.absolute(file.path)])
        (rows,) = duck.execute(f"SELECT count(*) FROM {source} WHERE user_id = ?", [user_id]).fetchall()[0]
        if rows:
            held[file.path] = rows
    return held


def _delete_user(connection: sa.Connection, user_id: int) -> int:
    """Delete a user's tail and stats; return how many heartbeats the tail held."""
    in_tail = connection.scalar(sa.select(sa.func.sum(tail.c.count)).where(tail.c.user_id == user_id))
    for table in (tail, segments, last_values):
        connection.execute(sa.delete(table).where(table.c.user_id == user_id))
    return int(in_tail or 0)
