"""Verify: the stats as stored against the stats as lake and tail give them (design.md, rule 2)."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import sqlalchemy as sa

from aggregator.recompute import compute, scopes, take_inputs
from schemas.calendars import DAY_US, UTC_DAYS, date_of
from schemas.dimensions import Dimension
from schemas.tables import last_values, segments
from storage.lake import Lake
from storage.lake.jobs import Scope, open_duckdb, while_files_vanish
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
        return f"{calendar} {date_of(day)} {Dimension(dimension).name.lower()} {value!r}"


def verify(database: Database, lake: Lake, user_id: int | None = None) -> Iterator[Difference]:
    """Give the differences of a user's stats, or of everyone's, in ranges of users, each in one snapshot.

    It is right while services run. Raises `UnavailableError`, `StorageError`.
    """
    wanted = scopes(database, lake) if user_id is None else [Scope(user_id, user_id)]
    for scope in wanted:
        yield from _verify_scope(database, lake, scope)


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


def _verify_scope(database: Database, lake: Lake, scope: Scope) -> list[Difference]:
    def attempt() -> list[Difference]:
        with database.reading() as connection:
            inputs = take_inputs(connection, scope)
            stored = {table: _stored(connection, table, scope) for table in (segments, last_values)}
        with open_duckdb() as duck:
            compute(duck, lake, inputs, scope)
            return [
                *_compare(duck, segments, stored[segments], "computed"),
                *_compare(duck, last_values, stored[last_values], "computed_values"),
            ]

    return while_files_vanish(attempt)


def _stored(connection: sa.Connection, table: sa.Table, scope: Scope) -> list[tuple[Any, ...]]:
    rows = connection.execute(sa.select(table).where(table.c.user_id.between(scope.first_user, scope.last_user)))
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
