"""Compaction of closed days, and erasure: files are written anew and swapped (design.md, "The commit protocol", 3).

As with a flush, `begin_compaction` and `finish_compaction` are short transactions of the shard's owner; between them
`write_compacted` takes the time, and may run in a thread while counting goes on.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from aggregator.recompute import owned_by, rebuild
from aggregator.recover import discard, recover
from aggregator.verify import Difference, audit
from schemas.arrow import LAKE_SCHEMA, SORTED_BY
from schemas.calendars import DAY_US
from schemas.tables import lake_files, last_values, segments, tail
from storage.errors import StoppedError, StorageError, UnavailableError
from storage.lake import Lake, catalog
from storage.lake.catalog import LakeFile
from storage.lake.columns import ROW_GROUP_ROWS
from storage.lake.jobs import Scope, clear_errors, open_duckdb
from storage.stats import Database
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)

MIN_FILES: Final = 8
"""Small files of a day that are worth a rewrite: a reader of one user's day pays some 3 ms for each."""

_ONCE: Final = f"""
WHERE epoch_us(time) // {DAY_US} = {{date}}
QUALIFY row_number() OVER (PARTITION BY user_id, time, id ORDER BY created_at) = 1
"""

_FACTS_OF_DATES: Final = f"""
WITH instants AS (SELECT DISTINCT user_id, epoch_us(time) AS time_us, id FROM old)
SELECT time_us // {DAY_US}, count(*), min(user_id), max(user_id), min(time_us), max(time_us)
FROM instants GROUP BY 1 ORDER BY 1
"""

_SMALL_SHARE: Final = 5  # small files with more than a fifth of the rows are worth it too
_AUDIT_ROWS: Final = 100_000  # heartbeats audited in one go: about a second, after which a stop is noticed
_NEVER: Final = threading.Event()  # a stop that does not come


class Compaction(NamedTuple):
    """A rewrite under way: the files of a day, the one that takes their place, and whose stats may be audited."""

    old: tuple[LakeFile, ...]
    merged: LakeFile
    owned: Scope


def due_days(shard: Shard, *, min_files: int = MIN_FILES, now_s: float) -> list[list[LakeFile]]:
    """Find the closed days (UTC dates before that of `now_s`) that are worth a rewrite; the live files of each."""
    today = int(now_s // 86_400)
    mine = (lake_files.c.log == shard.log, lake_files.c.shard == shard.number, lake_files.c.date < today)
    with shard.database.reading() as connection:
        files = catalog.live_files(connection, *mine)
    days = [list(of_day) for _, of_day in groupby(files, key=attrgetter("date"))]
    return [of_day for of_day in days if is_due(of_day, min_files)]


def begin_compaction(shard: Shard, of_day: Sequence[LakeFile]) -> Compaction:
    """Announce the file that a day's files become; what was left unfinished before is given up.

    Raises `FencedError`.
    """
    merged = _successor(of_day, sum(file.rows for file in of_day), of=shard)
    with shard.writing() as connection:
        catalog.give_up_writing(connection, shard.log, shard.number)
        catalog.announce(connection, shard, [merged])
    return Compaction(tuple(of_day), merged, owned_by(shard))


def write_compacted(
    compaction: Compaction, database: Database, lake: Lake, stop: threading.Event = _NEVER
) -> list[Difference]:
    """Write the announced file, then audit the day: give the differences between its stats and its heartbeats.

    Raises `StoppedError` soon after `stop` is set; `StorageError`, `UnavailableError`. What was live is live still, and
    `give_up` deletes what was written.
    """
    merged = compaction.merged
    with clear_errors(), open_duckdb() as duck:
        _write_from(duck, lake, merged, lake.table(duck, _paths(compaction.old)), stop=stop)
        source = lake.table(duck, [merged.path])
        rows_of = duck.execute(f"SELECT user_id, count(*) FROM {source} GROUP BY user_id ORDER BY user_id").fetchall()
    owned = compaction.owned  # some may have been this shard's when their heartbeats came, and are no longer
    rows_of = [(user_id, rows) for user_id, rows in rows_of if user_id % owned.shards == owned.shard]
    differences: list[Difference] = []
    for user_ids in _in_slices(rows_of):
        _refuse_if(stop)
        differences += audit(database, lake, merged.date, user_ids)
    return differences


def finish_compaction(shard: Shard, lake: Lake, compaction: Compaction, differences: Sequence[Difference]) -> None:
    """Repair what differs, then let the new file count instead of the old ones: no later audit would look again.

    A difference is logged as an error; caches of stats are then wrong, also after a failure. Raises `FencedError`,
    `StorageError`.
    """
    for difference in differences:
        logger.error("ALARM: stats differ from the heartbeats and are repaired: %s", difference)
    for user_id in sorted({difference.user_id for difference in differences}):
        rebuild(shard, lake, user_id)
    with shard.writing() as connection:
        catalog.publish(connection, shard, [compaction.merged.path])
        catalog.retire(connection, [file.path for file in compaction.old])
    recover(shard, lake)


def give_up(shard: Shard, lake: Lake) -> None:
    """After a rewrite that failed: delete what there is of its files, unless they count by now."""
    shard.refresh()
    with shard.writing() as connection:
        # Only what is still `writing`: a COMMIT whose answer was lost has made the files live.
        catalog.give_up_writing(connection, shard.log, shard.number)
    recover(shard, lake)


def compact(
    shard: Shard, lake: Lake, *, min_files: int = MIN_FILES, now_s: float, stop: threading.Event = _NEVER
) -> int:
    """Compact all days that are due, with nothing else going on; return how many. Raises as its steps do."""
    recover(shard, lake)
    due = due_days(shard, min_files=min_files, now_s=now_s)
    for of_day in due:
        _refuse_if(stop)
        compaction = begin_compaction(shard, of_day)
        try:
            differences = write_compacted(compaction, shard.database, lake, stop)
            finish_compaction(shard, lake, compaction, differences)
        except Exception:
            give_up(shard, lake)
            raise
    return len(due)


def is_due(files: Sequence[LakeFile], min_files: int = MIN_FILES) -> bool:
    """Tell whether a day's files are worth a rewrite; all but the largest are small."""
    rows = [file.rows for file in files]
    small = sum(rows) - max(rows)
    return len(rows) - 1 >= min_files or small * _SMALL_SHARE > sum(rows)


def erase_user(shard: Shard, lake: Lake, user_id: int) -> int:
    """Delete a user's heartbeats and stats; return how many heartbeats there were.

    Files that hold some, other shards' and closed logs' too, are rewritten without them, as files of this shard; one
    transaction swaps the files and deletes the rest. Raises `FencedError`, `StorageError`, `UnavailableError`, with
    nothing erased.
    """
    with shard.database.reading() as connection:
        near = _near(connection, user_id)
    with clear_errors(), open_duckdb() as duck:
        held = _rows_of_user(duck, lake, near, user_id)
        old = [file for file in near if file.path in held]
        new = [_successor([file], file.rows - held[file.path], of=shard) for file in old]
        kept = [(file, [source]) for file, source in zip(new, old, strict=True) if file.rows]
        with shard.writing() as connection:
            catalog.announce(connection, shard, [file for file, _ in kept])
        try:
            for file, sources in kept:
                _write_from(duck, lake, file, lake.table(duck, _paths(sources)), f"WHERE user_id <> {int(user_id)}")
            with shard.writing() as connection:
                catalog.publish(connection, shard, [file.path for file, _ in kept])
                catalog.retire(connection, [file.path for file in old])
                in_tail = _delete_user(connection, user_id)
                _refuse_newer(near, _near(connection, user_id), known=new)
        except Exception:
            give_up(shard, lake)
            raise
    discard(shard, lake, [file.path for file in old])
    return sum(held.values()) + in_tail


def _near(connection: sa.Connection, user_id: int) -> list[LakeFile]:
    """List the files that may hold heartbeats of a user."""
    return catalog.live_files(connection, lake_files.c.min_user <= user_id, lake_files.c.max_user >= user_id)


def _refuse_newer(seen: Sequence[LakeFile], now: Sequence[LakeFile], known: Sequence[LakeFile]) -> None:
    """Raise `UnavailableError` where another shard has written a file since: it may hold what its tail had.

    With the tail's rows deleted in this transaction, no flush that has not ended yet can end.
    """
    if {file.path for file in now} - {file.path for file in (*seen, *known)}:
        raise UnavailableError("Other files were written meanwhile: they are to be looked at first.")


def rewrite(shard: Shard, lake: Lake, old: Sequence[LakeFile]) -> None:
    """Write the heartbeats of some files anew, each once and in the file of its date, with entries that are true.

    Repairs whatever is wrong with readable files: doubled rows, rows of other dates, other columns, false entries.
    Raises `FencedError`, `StorageError`, `UnavailableError`: what was live is live still.
    """
    if not old:
        return
    with clear_errors(), open_duckdb() as duck:
        # File by file: their columns may differ.
        columns = ", ".join(LAKE_SCHEMA.names)
        parts = [f"SELECT {columns} FROM {lake.table(duck, [file.path])}" for file in old]
        duck.execute(f"CREATE TEMP VIEW old AS {' UNION ALL '.join(parts)}")
        new = list(_true_entries(duck, old, shard))
        with shard.writing() as connection:
            catalog.announce(connection, shard, new)
        try:
            for file in new:
                _write_from(duck, lake, file, "old", _ONCE.format(date=file.date))
            with shard.writing() as connection:
                catalog.publish(connection, shard, [file.path for file in new])
                catalog.retire(connection, [file.path for file in old])
        except Exception:
            give_up(shard, lake)
            raise
    discard(shard, lake, [file.path for file in old])


def _true_entries(duck: duckdb.DuckDBPyConnection, old: Sequence[LakeFile], shard: Shard) -> Iterator[LakeFile]:
    """Describe the files, one for each date, that the view `old` becomes."""
    any_ = _successor(old, 0, of=shard)
    for date, *facts in duck.execute(_FACTS_OF_DATES).fetchall():
        path = catalog.new_path(date, any_.log, any_.shard, any_.first_offset, any_.last_offset)
        yield LakeFile(path, date, any_.log, any_.shard, any_.first_offset, any_.last_offset, *facts)


def _refuse_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise StoppedError("Told to stop: the rest of the compaction comes later.")


def _in_slices(rows_of: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Group users, given as (user id, heartbeats), to about `_AUDIT_ROWS` heartbeats."""
    users: list[int] = []
    rows = 0
    for user_id, count in rows_of:
        users.append(user_id)
        rows += count
        if rows >= _AUDIT_ROWS:
            yield users
            users, rows = [], 0
    if users:
        yield users


def _successor(old: Sequence[LakeFile], rows: int, *, of: Shard) -> LakeFile:
    """Describe the file of a shard that takes the place of others of one date.

    Offsets of other shards say nothing in this one: then its watermark stands for them.
    """
    own = [(file.log, file.shard) for file in old] == [(of.log, of.number)] * len(old)
    first, last = min(file.first_offset for file in old), max(file.last_offset for file in old)
    first, last = (first, last) if own else (of.offset, of.offset)
    date = old[0].date
    return LakeFile(
        catalog.new_path(date, of.log, of.number, first, last),
        date,
        of.log,
        of.number,
        first,
        last,
        rows,
        min(file.min_user for file in old),
        max(file.max_user for file in old),
        min(file.min_us for file in old),
        max(file.max_us for file in old),
    )


def _write_from(
    duck: duckdb.DuckDBPyConnection,
    lake: Lake,
    file: LakeFile,
    source: str,
    condition: str = "",
    stop: threading.Event = _NEVER,
) -> None:
    """Write those rows of a table expression that meet the condition. Raises `StorageError` for another number."""
    columns, order = ", ".join(LAKE_SCHEMA.names), ", ".join(SORTED_BY)
    rows = duck.sql(f"SELECT {columns} FROM {source} {condition} ORDER BY {order}")
    written = lake.write(file.path, _as_lake_batches(rows.to_arrow_reader(ROW_GROUP_ROWS), stop))
    if written != file.rows:
        raise StorageError(f"{written} rows were written where lake_files says {file.rows}: the old files stay.")


def _paths(files: Sequence[LakeFile]) -> list[str]:
    return [file.path for file in files]


def _as_lake_batches(reader: pa.RecordBatchReader, stop: threading.Event) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        _refuse_if(stop)
        yield batch.cast(LAKE_SCHEMA)


def _rows_of_user(
    duck: duckdb.DuckDBPyConnection, lake: Lake, files: Sequence[LakeFile], user_id: int
) -> dict[str, int]:
    held: dict[str, int] = {}
    for file in files:
        source = lake.table(duck, [file.path])
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
