"""Verify: everything that is stored against what it derives from (design.md, rule 2)."""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import duckdb
import msgspec
import pyarrow as pa
import sqlalchemy as sa

from aggregator.checks.finding import REBUILD, Finding
from aggregator.checks.lake import Double, check_files, check_states, check_strangers, double_findings, doubles
from aggregator.checks.tables import check_owners, check_tables
from aggregator.checks.tail import check_tail
from aggregator.recompute import Inputs, compute, rows_of_users, scopes, take_inputs
from schemas.calendars import DAY_US, UTC_DAYS, date_of
from schemas.dimensions import Dimension
from schemas.tables import lake_files, last_values, segments, tail
from storage.lake import Lake
from storage.lake.jobs import EVERYTHING, Scope, open_duckdb, while_files_vanish
from storage.stats import Database

_USERS_AT_ONCE: Final = 500  # databases bound the parameters of a statement

_COMPARE: Final = """
SELECT {keys}, {stored_values}, {computed_values}, stored.user_id IS NOT NULL, computed.user_id IS NOT NULL
FROM stored_rows AS stored FULL JOIN {computed} AS computed USING ({keys})
WHERE stored.user_id IS NULL OR computed.user_id IS NULL OR row({stored_values}) IS DISTINCT FROM row({computed_values})
ORDER BY {keys}
"""


class Difference(msgspec.Struct, frozen=True):
    """A row of `table` that is not what lake and tail give; None: there is no such row.

    `key` and the values have the columns of the table, in its order; `key` begins with the user's id.
    """

    table: str
    key: tuple[Any, ...]
    stored: tuple[Any, ...] | None
    computed: tuple[Any, ...] | None

    @property
    def user_id(self) -> int:
        """The user whose row it is."""
        return int(self.key[0])

    def __str__(self) -> str:
        return f"user {self.user_id}, {self._place()}: stored {self.stored}, computed {self.computed}"

    def _place(self) -> str:
        if self.table == last_values.name:
            return f"last values of project {self.key[1]!r}"
        _, calendar, day, dimension, value = self.key
        return f"{calendar} {date_of(day)} {_name(dimension)} {value!r}"

    def finding(self) -> Finding:
        """Say it to people."""
        if self.table == last_values.name:
            return Finding(self.table, f"project {self.key[1]!r}: {self._both()}", REBUILD, self.user_id)
        _, calendar, day, dimension, value = self.key
        what = f"{_name(dimension)} {value!r}: {self._both()}"
        return Finding(self.table, what, REBUILD, self.user_id, *_when(calendar, day))

    def _both(self) -> str:
        stored = "not there" if self.stored is None else f"stored {self.stored}"
        return f"{stored}, {'must not be there' if self.computed is None else f'computed {self.computed}'}"


class Unreadable(NamedTuple):
    """What cannot be read: paths of lake files, and the users, as ranges, whose stats nobody can compute therefore."""

    paths: frozenset[str] = frozenset()
    users: tuple[tuple[int, int], ...] = ()

    def concerns(self, user_id: int) -> bool:
        """Tell whether some of the user's heartbeats may be missing."""
        return any(first <= user_id <= last for first, last in self.users)

    def left_out_of(self, inputs: Inputs) -> Inputs:
        """Give the inputs without it."""
        records, paths = inputs.snapshot
        readable = [record for record in records if not self.concerns(record.user_id)]
        return inputs._replace(
            snapshot=inputs.snapshot._replace(records=readable, paths=[p for p in paths if p not in self.paths])
        )


def findings(database: Database, lake: Lake, user_id: int | None = None) -> Iterator[Finding]:
    """Check tail, lake, stats and the small tables, of a user or of everyone; give what is wrong.

    It is right while services run. Raises `UnavailableError`, `StorageError`.
    """
    scope = EVERYTHING if user_id is None else Scope(user_id, user_id)
    of_user = (lake_files.c.min_user <= scope.last_user, lake_files.c.max_user >= scope.first_user)
    files = list(check_files(database, lake, *of_user))
    records = list(check_tail(database, scope.users(tail.c.user_id)))
    unreadable = Unreadable(
        frozenset(damage.file.path for damage in files if not damage.readable),
        (
            *((damage.file.min_user, damage.file.max_user) for damage in files if not damage.readable),
            *((damage.user_id, damage.user_id) for damage in records),
        ),
    )
    yield from (damage.finding() for damage in files)
    yield from (damage.finding() for damage in records)
    for first, last in unreadable.users:
        yield Finding(segments.name, f"users {first} to {last} are not compared", "repair what cannot be read first")
    if user_id is None:
        yield from check_strangers(database, lake)
        yield from _check_small_tables(database, lake, unreadable)
    for in_scope in _scopes(database, lake, user_id, unreadable):
        doubled, differences = _check_scope(database, lake, in_scope, unreadable)
        yield from double_findings(doubled)
        yield from (difference.finding() for difference in differences)


def verify(database: Database, lake: Lake, user_id: int | None = None) -> Iterator[Difference]:
    """Give the differences of a user's stats, or of everyone's, in ranges of users, each in one snapshot.

    It is right while services run. Raises `UnavailableError`, `StorageError`.
    """
    for scope in _scopes(database, lake, user_id, Unreadable()):
        yield from _check_scope(database, lake, scope, Unreadable())[1]


def audit(database: Database, lake: Lake, day: int, user_ids: Sequence[int]) -> list[Difference]:
    """Give the differences of some users' segments of one UTC day. Raises `UnavailableError`, `StorageError`."""
    if not user_ids:
        return []
    scope = Scope(min(user_ids), max(user_ids), day * DAY_US, (day + 1) * DAY_US)

    def attempt() -> list[Difference]:
        with database.reading() as connection:
            inputs = take_inputs(connection, scope)
            stored = _stored_of_day(connection, day, user_ids)
        with open_duckdb() as duck:
            compute(duck, lake, inputs, scope)
            duck.register("audited", pa.table({"user_id": pa.array(user_ids, pa.int64())}))
            duck.execute(
                "CREATE TEMP TABLE computed_day AS SELECT * FROM computed SEMI JOIN audited USING (user_id) "
                f"WHERE calendar = '{UTC_DAYS}'"
            )
            return list(_compare(duck, segments, stored, "computed_day"))

    return while_files_vanish(attempt)


def _check_small_tables(database: Database, lake: Lake, unreadable: Unreadable) -> Iterator[Finding]:
    owners = while_files_vanish(lambda: rows_of_users(database, lake, unreadable.paths))
    with database.reading() as connection:
        found = [*check_tables(connection), *check_states(connection)]
        found += check_owners(connection, owners, time.time_ns() // 1000)
    yield from found


def _scopes(database: Database, lake: Lake, user_id: int | None, unreadable: Unreadable) -> list[Scope]:
    return scopes(database, lake, unreadable.paths) if user_id is None else [Scope(user_id, user_id)]


def _check_scope(
    database: Database, lake: Lake, scope: Scope, unreadable: Unreadable
) -> tuple[list[Double], list[Difference]]:
    def attempt() -> tuple[list[Double], list[Difference]]:
        with database.reading() as connection:
            inputs = take_inputs(connection, scope)
            stored = {table: _stored(connection, table, scope) for table in (segments, last_values)}
        with open_duckdb() as duck:
            compute(duck, lake, unreadable.left_out_of(inputs), scope)
            found = [
                *_compare(duck, segments, stored[segments], "computed"),
                *_compare(duck, last_values, stored[last_values], "computed_values"),
            ]
            differences = [difference for difference in found if not unreadable.concerns(difference.user_id)]
            return doubles(duck, scope), differences

    return while_files_vanish(attempt)


def _stored(connection: sa.Connection, table: sa.Table, scope: Scope) -> list[tuple[Any, ...]]:
    rows = connection.execute(sa.select(table).where(scope.users(table.c.user_id)))
    return [tuple(row) for row in rows]


def _stored_of_day(connection: sa.Connection, day: int, user_ids: Sequence[int]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(user_ids), _USERS_AT_ONCE):
        of_day = sa.select(segments).where(
            segments.c.user_id.in_(user_ids[start : start + _USERS_AT_ONCE]),
            segments.c.calendar == UTC_DAYS,
            segments.c.day == day,
        )
        rows += [tuple(row) for row in connection.execute(of_day)]
    return rows


def _when(calendar: str, day: int) -> tuple[dt.date | None, str]:
    """Give a row's date and calendar, also of a day that no date can be: what is damaged may be a key."""
    try:
        return date_of(day), calendar
    except OverflowError:
        return None, f"{calendar} day {day}"


def _name(dimension: int) -> str:
    """Name a dimension, also one that there is not."""
    return Dimension(dimension).name.lower() if dimension in set(Dimension) else f"dimension {dimension}"


def _compare(
    duck: duckdb.DuckDBPyConnection, table: sa.Table, stored: list[tuple[Any, ...]], computed: str
) -> Iterator[Difference]:
    keys = [column.name for column in table.primary_key.columns]
    values = [column.name for column in table.columns if not column.primary_key]
    duck.register("stored_rows", _arrow_table(table, stored))
    found = duck.execute(
        _COMPARE.format(
            keys=", ".join(keys),
            stored_values=", ".join(f"stored.{name}" for name in values),
            computed_values=", ".join(f"computed.{name}" for name in values),
            computed=computed,
        )
    )
    for *row, is_stored, is_computed in found.fetchall():
        key, rest = tuple(row[: len(keys)]), row[len(keys) :]
        ours, theirs = tuple(rest[: len(values)]), tuple(rest[len(values) :])
        yield Difference(table.name, key, ours if is_stored else None, theirs if is_computed else None)


def _arrow_table(table: sa.Table, rows: list[tuple[Any, ...]]) -> pa.Table:
    types = [pa.string() if isinstance(column.type, sa.Text) else pa.int64() for column in table.columns]
    columns = zip(*rows, strict=True) if rows else ([] for _ in types)
    arrays = [pa.array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in table.columns])
