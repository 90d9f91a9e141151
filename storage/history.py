"""A user's single heartbeats, from tail and lake together."""

from collections.abc import Callable, Container, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple, TypeVar

import polars as pl
import sqlalchemy as sa

from schemas.calendars import DAY_US
from schemas.heartbeat import Heartbeat
from schemas.record import unpack_lines
from schemas.tables import FileState, lake_files, tail
from storage.errors import VanishedError
from storage.lake import Lake
from storage.lake.reading import MEASURED, read_measured, read_user
from storage.stats.database import Database

_ATTEMPTS: Final = 5
"""Snapshots tried when compaction keeps deleting the files that the one before named."""

_ROWS_AT_ONCE: Final = 200_000
"""Of lake files opened together: some 20 MB if all were one user's, and days enough to make opening them cheap."""

_FOREVER_US: Final = 1 << 62

_T = TypeVar("_T")
_Chunk = TypeVar("_Chunk", list[Heartbeat], pl.DataFrame)


class _TailRow(NamedTuple):
    min_us: int
    max_us: int
    value: bytes


class _File(NamedTuple):
    path: str
    date: int
    max_us: int
    rows: int


class History:
    """Reads heartbeats in the order (time, id). Each read is of one snapshot of the database.

    Every method raises `UnavailableError` when the lake is away or its files vanish faster than they can be read,
    `StorageError` when one is damaged. Intervals are half-open, microseconds since the epoch.

    `days`, where it is given: numbers of the UTC days on which the user has any. The catalog knows of a file between
    which users it is, and between many that is every file: those of other days are then not opened.
    """

    def __init__(self, database: Database, lake: Lake) -> None:
        self._database = database
        self._lake = lake

    def read(self, user_id: int, from_us: int, to_us: int) -> list[Heartbeat]:
        """Read a user's heartbeats of [from_us, to_us)."""

        def attempt() -> list[Heartbeat]:
            rows, files = self._snapshot(user_id, from_us, to_us)
            found = _of_tail((row.value for row in rows), from_us, to_us)
            return _ordered(found + self._of_lake(files, user_id, from_us, to_us))

        return _while_files_vanish(attempt)

    def read_days(self, user_id: int, days: AbstractSet[int]) -> list[Heartbeat]:
        """Read a user's heartbeats of some UTC days, by their numbers since 1970-01-01, and nothing in between."""
        from_us, to_us = min(days) * DAY_US, (max(days) + 1) * DAY_US

        def attempt() -> list[Heartbeat]:
            rows, files = self._snapshot(user_id, from_us, to_us)
            values = (row.value for row in rows if not days.isdisjoint(_days_of(row)))
            found = [h for h in _of_tail(values, from_us, to_us) if h.time_us // DAY_US in days]
            of_days = [file for file in files if file.date in days]
            return _ordered(found + self._of_lake(of_days, user_id, from_us, to_us))

        return _while_files_vanish(attempt)

    def newest(
        self, user_id: int, limit: int, to_us: int | None = None, days: Callable[[], Container[int]] | None = None
    ) -> list[Heartbeat]:
        """Read the last `limit` heartbeats before `to_us` (None: of all), ascending.

        `days` is asked for each day whose files would be opened, and thus not at all where the tail has enough.
        """
        end_us = _FOREVER_US if to_us is None else to_us

        def attempt() -> list[Heartbeat]:
            rows, files = self._newest_snapshot(user_id, limit, end_us)
            found = _of_tail((row.value for row in rows), -_FOREVER_US, end_us)
            for day, of_day in sorted(_by_date(files).items(), reverse=True):
                if sum(h.time_us >= (day + 1) * DAY_US for h in found) >= limit:
                    break
                if days is None or day in days():
                    found += self._of_lake(of_day, user_id, -_FOREVER_US, end_us)
            return _ordered(found)[-limit:] if limit > 0 else []

        return _while_files_vanish(attempt)

    def stream(
        self, user_id: int, from_us: int, to_us: int, days: Container[int] | None = None
    ) -> Iterator[list[Heartbeat]]:
        """Read the heartbeats of [from_us, to_us) in ascending chunks of at most a UTC day, none of them empty.

        When a file vanishes on the way, a new snapshot goes on after what was given.
        """
        return _going_on(lambda start_us: self._days(user_id, start_us, to_us, days), from_us)

    def stream_measured(
        self, user_id: int, from_us: int, to_us: int, days: Container[int] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Read columns of `MEASURED` in chunks of whole UTC days, one after the other, unordered within each.

        `days` may be fewer: all others are left out. A vanished file is as in `stream`.
        """
        return _going_on(lambda start_us: self._day_frames(user_id, start_us, to_us, days), from_us)

    def _days(
        self, user_id: int, from_us: int, to_us: int, days: Container[int] | None
    ) -> Iterator[tuple[int, list[Heartbeat]]]:
        rows, files = self._snapshot(user_id, from_us, to_us)
        packed, loose = _split_by_day(rows)
        dated = _by_date([file for file in files if days is None or file.date in days])
        for day in sorted(packed.keys() | loose.keys() | dated.keys()):
            found = _of_tail(packed.pop(day, ()), from_us, to_us)
            found += [h for h in loose.pop(day, ()) if from_us <= h.time_us < to_us]
            found += self._of_lake(dated.get(day, ()), user_id, from_us, to_us)
            yield (day + 1) * DAY_US, _ordered(found)

    def _day_frames(
        self, user_id: int, from_us: int, to_us: int, days: Container[int] | None
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        rows, files = self._snapshot(user_id, from_us, to_us)
        packed, loose = _split_by_day(rows)
        dated = _by_date(files)
        present = sorted(packed.keys() | loose.keys() | dated.keys())
        for together in _batches([day for day in present if days is None or day in days], dated):
            of_tail = [h for day in together for h in _of_tail(packed.pop(day, ()), from_us, to_us)]
            of_tail += [h for day in together for h in loose.pop(day, ()) if from_us <= h.time_us < to_us]
            paths = [file.path for day in together for file in dated.get(day, ())]
            of_lake = read_measured(self._lake, paths, user_id, from_us, to_us)
            yield (together[-1] + 1) * DAY_US, pl.concat([of_lake, _frame(of_tail)])

    def _snapshot(self, user_id: int, from_us: int, to_us: int) -> tuple[list[_TailRow], list[_File]]:
        with self._database.reading() as connection:
            return _tail_rows(connection, user_id, from_us, to_us), _files(connection, user_id, from_us, to_us)

    def _newest_snapshot(self, user_id: int, limit: int, to_us: int) -> tuple[list[_TailRow], list[_File]]:
        with self._database.reading() as connection:
            since_us = _enough_since(connection, user_id, limit, to_us)
            rows = _tail_rows(connection, user_id, since_us, to_us)
            return rows, _files(connection, user_id, since_us, to_us)

    def _of_lake(self, files: Sequence[_File], user_id: int, from_us: int, to_us: int) -> list[Heartbeat]:
        return read_user(self._lake, [file.path for file in files], user_id, from_us, to_us)


def _while_files_vanish(attempt: Callable[[], _T]) -> _T:
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except FileNotFoundError:
            continue  # compaction has deleted it since: a new snapshot names its successor
    try:
        return attempt()
    except FileNotFoundError as error:
        raise _vanishing(error) from error


def _going_on(chunks: Callable[[int], Iterator[tuple[int, _Chunk]]], from_us: int) -> Iterator[_Chunk]:
    """Give the chunks since `from_us` that are not empty; each comes with its end, from which a new attempt goes on."""
    start_us, failures = from_us, 0
    while True:
        try:
            for end_us, chunk in chunks(start_us):
                if len(chunk):
                    yield chunk
                start_us, failures = end_us, 0
        except FileNotFoundError as error:
            failures += 1
            if failures == _ATTEMPTS:
                raise _vanishing(error) from error
        else:
            return


def _batches(days: Sequence[int], dated: dict[int, list[_File]]) -> Iterator[list[int]]:
    """Group days to about `_ROWS_AT_ONCE` rows of lake files."""
    batch: list[int] = []
    rows = 0
    for day in days:
        batch.append(day)
        rows += sum(file.rows for file in dated.get(day, ()))
        if rows >= _ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _frame(heartbeats: list[Heartbeat]) -> pl.DataFrame:
    rows = [(h.time_us, h.project, h.language, h.category) for h in heartbeats]
    return pl.DataFrame(rows, schema=MEASURED, orient="row")


def _vanishing(error: FileNotFoundError) -> VanishedError:
    return VanishedError(f"Lake files that the database lists are missing: {error}.")


def _tail_rows(connection: sa.Connection, user_id: int, from_us: int, to_us: int) -> list[_TailRow]:
    found = connection.execute(
        sa.select(tail.c.min_us, tail.c.max_us, tail.c.value).where(
            tail.c.user_id == user_id, tail.c.max_us >= from_us, tail.c.min_us < to_us
        )
    )
    return [_TailRow(*row) for row in found]


def _files(connection: sa.Connection, user_id: int, from_us: int, to_us: int) -> list[_File]:
    found = connection.execute(
        sa.select(lake_files.c.path, lake_files.c.date, lake_files.c.max_us, lake_files.c.rows).where(
            lake_files.c.state == FileState.LIVE,
            lake_files.c.date.between(from_us // DAY_US, (to_us - 1) // DAY_US),
            lake_files.c.min_user <= user_id,
            lake_files.c.max_user >= user_id,
            lake_files.c.min_us < to_us,
            lake_files.c.max_us >= from_us,
        )
    )
    return [_File(*row) for row in found]


def _enough_since(connection: sa.Connection, user_id: int, limit: int, to_us: int) -> int:
    """Find an instant since which the tail alone has `limit` heartbeats before `to_us`, or the beginning of time."""
    rows = connection.execute(
        sa.select(tail.c.min_us, tail.c.max_us, tail.c.count)
        .where(tail.c.user_id == user_id, tail.c.min_us < to_us)
        .order_by(tail.c.max_us.desc())
        .limit(limit)
    )
    since_us: int = _FOREVER_US
    certain = 0
    for min_us, max_us, count in rows:
        since_us = min(since_us, min_us)
        certain += count if max_us < to_us else 1
        if certain >= limit:
            return since_us
    return -_FOREVER_US


def _of_tail(values: Iterator[bytes] | Sequence[bytes], from_us: int, to_us: int) -> list[Heartbeat]:
    return [h for value in values for h in unpack_lines(value) if from_us <= h.time_us < to_us]


def _days_of(row: _TailRow) -> range:
    return range(row.min_us // DAY_US, row.max_us // DAY_US + 1)


def _split_by_day(rows: list[_TailRow]) -> tuple[dict[int, list[bytes]], dict[int, list[Heartbeat]]]:
    """Group rows by UTC day without unpacking them; the few that span a midnight come as heartbeats."""
    packed: dict[int, list[bytes]] = {}
    loose: dict[int, list[Heartbeat]] = {}
    for row in rows:
        if row.min_us // DAY_US == row.max_us // DAY_US:
            packed.setdefault(row.min_us // DAY_US, []).append(row.value)
        else:
            for h in unpack_lines(row.value):
                loose.setdefault(h.time_us // DAY_US, []).append(h)
    return packed, loose


def _by_date(files: list[_File]) -> dict[int, list[_File]]:
    dated: dict[int, list[_File]] = {}
    for file in files:
        dated.setdefault(file.date, []).append(file)
    return dated


def _ordered(heartbeats: list[Heartbeat]) -> list[Heartbeat]:
    return sorted(heartbeats, key=lambda h: (h.time_us, h.id))
