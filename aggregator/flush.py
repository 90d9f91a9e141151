"""Flush: the tail becomes Parquet files, one for each UTC date (design.md, "The commit protocol", 2).

`begin_flush` and `finish_flush` are short transactions of the shard's owner; `write_files`, between them, takes the
time, holds no transaction of the shard and may run in a thread while counting goes on.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import polars as pl
import sqlalchemy as sa

from schemas.calendars import DAY_US
from schemas.record import unpack_lines
from schemas.tables import tail
from storage.errors import StorageError
from storage.lake import Lake, catalog
from storage.lake.catalog import LakeFile
from storage.lake.columns import PackedRecord, batches_of, compact_texts, frame_of
from storage.stats import Database
from storage.stats.shard import Shard

MAX_ROWS: Final = 500_000
"""Heartbeats of one flush: it holds them in memory, some 800 bytes each."""

_RECORDS_AT_ONCE: Final = 1_000  # copied out in one short read transaction
_ROWS_AT_ONCE: Final = 10_000  # parsed together: some 5 MB of JSON


class Flush(NamedTuple):
    """A flush under way: a stretch of the tail (`records` rows, `rows` heartbeats) and the files that it becomes."""

    log: str
    shard: int
    first_offset: int
    last_offset: int
    records: int
    rows: int
    files: tuple[LakeFile, ...]


class _Stretch(NamedTuple):
    first_offset: int
    last_offset: int
    records: int
    rows: int


class _Bounds(NamedTuple):
    """What a date's file will hold."""

    rows: int
    min_user: int
    max_user: int
    min_us: int
    max_us: int


def begin_flush(shard: Shard, max_rows: int = MAX_ROWS) -> Flush | None:
    """Choose the oldest tail rows, `max_rows` heartbeats at most (at least one record), and announce their files.

    What an earlier flush of this owner left unfinished is given up. None when the tail is empty. Raises `FencedError`.
    """
    with shard.database.reading() as connection:
        stretch = _choose(connection, shard, max_rows)
        if stretch is None:
            return None
        dates = _dates(connection, shard, stretch)
    files = tuple(_new_file(shard, stretch, date, bounds) for date, bounds in sorted(dates.items()))
    with shard.writing() as connection:
        catalog.give_up_writing(connection, shard.log, shard.number)
        catalog.announce(connection, shard, files)
    return Flush(shard.log, shard.number, *stretch, files)


def write_files(flush: Flush, database: Database, lake: Lake) -> None:
    """Write the announced files, each sorted by user, time and id.

    Raises `UnavailableError` when the disk refuses, `StorageError` when the tail is not what it was. What was written
    is deleted then, the tail is as before, and `begin_flush` may start again.
    """
    frame = pl.concat([compact_texts(frame_of(records)) for records in _parts(_records(database, flush))])
    frame = frame.with_columns(date=pl.col("time").cast(pl.Int64) // DAY_US).sort("date", "user_id", "time", "id")
    dates = frame["date"].rle().struct.unnest()
    if dates.rows() != [(file.rows, file.date) for file in flush.files]:
        raise StorageError("The tail changed while it was being flushed: the flush is given up.")
    rows = frame.drop("date")
    try:
        start = 0
        for file in flush.files:
            lake.write(file.path, batches_of(rows.slice(start, file.rows)))
            start += file.rows
    except BaseException:
        lake.delete(file.path for file in flush.files)
        raise


def finish_flush(shard: Shard, flush: Flush) -> None:
    """Let the files count and delete exactly the tail rows in them, in one transaction.

    Raises `StorageError`, with nothing changed, when either is not as it was announced; `FencedError`.
    """
    with shard.writing() as connection:
        catalog.publish(connection, shard, [file.path for file in flush.files])
        deleted = connection.execute(sa.delete(tail).where(*_within(flush))).rowcount
        if deleted != flush.records:
            raise StorageError(f"The flush wrote {flush.records} tail records, {deleted} are there: it is given up.")


def flush_tail(shard: Shard, lake: Lake, max_rows: int = MAX_ROWS) -> int:
    """Flush until the tail is empty, with nothing else going on; return how many heartbeats went."""
    flushed = 0
    while flush := begin_flush(shard, max_rows):
        write_files(flush, shard.database, lake)
        finish_flush(shard, flush)
        flushed += flush.rows
    return flushed


def _choose(connection: sa.Connection, shard: Shard, max_rows: int) -> _Stretch | None:
    mine = sa.and_(tail.c.log == shard.log, tail.c.shard == shard.number)
    total = sa.func.sum(tail.c.count).over(order_by=tail.c.offset).label("total")
    running = sa.select(tail.c.offset, total).where(mine).subquery()
    first = connection.scalar(sa.select(sa.func.min(tail.c.offset)).where(mine))
    if first is None:
        return None
    fitting = sa.select(sa.func.max(running.c.offset)).where(running.c.total <= max_rows)
    last = connection.scalar(fitting) or first
    records, rows = connection.execute(
        sa.select(sa.func.count(), sa.func.sum(tail.c.count)).where(mine, tail.c.offset <= last)
    ).one()
    return _Stretch(first, last, records, int(rows))


def _within(part: Flush) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        tail.c.log == part.log,
        tail.c.shard == part.shard,
        tail.c.offset.between(part.first_offset, part.last_offset),
    )


def _dates(connection: sa.Connection, shard: Shard, stretch: _Stretch) -> dict[int, _Bounds]:
    """Tell what each date's file will hold; only records that span a midnight are unpacked for it."""
    mine = sa.and_(
        tail.c.log == shard.log,
        tail.c.shard == shard.number,
        tail.c.offset.between(stretch.first_offset, stretch.last_offset),
    )
    first_day, last_day = tail.c.min_us // DAY_US, tail.c.max_us // DAY_US
    of_one_day = connection.execute(
        sa.select(
            first_day,
            sa.func.sum(tail.c.count),
            sa.func.min(tail.c.user_id),
            sa.func.max(tail.c.user_id),
            sa.func.min(tail.c.min_us),
            sa.func.max(tail.c.max_us),
        )
        .where(mine, first_day == last_day)
        .group_by(first_day)
    )
    parts = defaultdict(list, {day: [_Bounds(int(rows), *rest)] for day, rows, *rest in of_one_day})
    for user_id, value in connection.execute(
        sa.select(tail.c.user_id, tail.c.value).where(mine, first_day != last_day)
    ):
        for h in unpack_lines(value):
            parts[h.time_us // DAY_US].append(_Bounds(1, user_id, user_id, h.time_us, h.time_us))
    return {day: _joined(bounds) for day, bounds in parts.items()}


def _joined(parts: list[_Bounds]) -> _Bounds:
    rows, min_user, max_user, min_us, max_us = zip(*parts, strict=True)
    return _Bounds(sum(rows), min(min_user), max(max_user), min(min_us), max(max_us))


def _new_file(shard: Shard, stretch: _Stretch, date: int, bounds: _Bounds) -> LakeFile:
    offsets = (stretch.first_offset, stretch.last_offset)
    path = catalog.new_path(date, shard.log, shard.number, *offsets)
    return LakeFile(path, date, shard.log, shard.number, *offsets, *bounds)


def _parts(records: Iterator[PackedRecord]) -> Iterator[list[PackedRecord]]:
    """Group records to about `_ROWS_AT_ONCE` heartbeats."""
    part: list[PackedRecord] = []
    rows = 0
    for record in records:
        part.append(record)
        rows += record.rows
        if rows >= _ROWS_AT_ONCE:
            yield part
            part, rows = [], 0
    if part:
        yield part


def _records(database: Database, flush: Flush) -> Iterator[PackedRecord]:
    """Read the stretch, `_RECORDS_AT_ONCE` in each short transaction."""
    columns = (tail.c.offset, tail.c.user_id, tail.c.count, tail.c.value)
    after = flush.first_offset - 1
    while True:
        with database.reading() as connection:
            rows = connection.execute(
                sa.select(*columns)
                .where(*_within(flush._replace(first_offset=after + 1)))
                .order_by(tail.c.offset)
                .limit(_RECORDS_AT_ONCE)
            ).all()
        if not rows:
            return
        after = rows[-1][0]
        yield from (PackedRecord(user_id, count, value) for _, user_id, count, value in rows)
