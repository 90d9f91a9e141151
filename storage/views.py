"""The views of `heartline sql`: heartbeats, daily_stats and users, in a DuckDB of their own."""

from collections.abc import Iterator
from typing import Any, Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from schemas.calendars import LIFETIME, UTC_MONTHS
from schemas.dimensions import Dimension
from schemas.tables import segments, users
from storage.lake import Lake
from storage.lake.jobs import open_duckdb, show_heartbeats, take_snapshot
from storage.stats import Database

_ROWS_AT_ONCE: Final = 100_000  # of one read transaction: a few tenths of a second

_CREATE_STATS: Final = """
CREATE TEMP TABLE stored_segments (
    user_id BIGINT, calendar VARCHAR, day INTEGER, dimension SMALLINT, value VARCHAR,
    first_us BIGINT, last_us BIGINT, duration_us BIGINT, count BIGINT
)
"""

_CREATE_DAILY_STATS: Final = """
CREATE TEMP VIEW daily_stats AS
SELECT user_id, DATE '1970-01-01' + day AS date, calendar, dimensions.name AS dimension,
    CASE WHEN value = '' THEN NULL WHEN starts_with(value, '=') THEN substr(value, 2) ELSE value END AS value,
    duration_us / 1e6 AS seconds, count AS heartbeats
FROM stored_segments JOIN dimensions ON dimensions.number = stored_segments.dimension
"""

_CREATE_USERS: Final = """
CREATE TEMP VIEW users AS
SELECT * EXCLUDE (created_at_us, modified_at_us),
    make_timestamptz(created_at_us) AS created_at, make_timestamptz(modified_at_us) AS modified_at
FROM stored_users
"""


def connect(database: Database, lake: Lake) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB with the three views; close it after use. It shows what there is now, not what comes later.

    `heartbeats`: rows of `schemas.arrow.LAKE_SCHEMA`, tail and live files, each once. `daily_stats`: for each user,
    UTC day (calendar "UTC") or local day (calendar: the zone) and group its seconds; a pair's value is a JSON list.
    `users`: without their keys. A file that compaction deletes meanwhile fails the query: connect again.
    """
    duck = open_duckdb()
    with database.reading() as connection:
        snapshot = take_snapshot(connection)
        everyone = connection.execute(sa.select(users)).all()
    show_heartbeats(duck, lake, snapshot)
    duck.register("stored_users", _table(users, [tuple(row) for row in everyone]))
    duck.execute(_CREATE_USERS)
    duck.register("dimensions", pa.table({"number": list(Dimension), "name": [d.name.lower() for d in Dimension]}))
    duck.execute(_CREATE_STATS)
    for rows in _day_rows(database):
        duck.register("some_segments", _table(segments, rows))
        duck.execute("INSERT INTO stored_segments SELECT * FROM some_segments")
        duck.unregister("some_segments")
    duck.execute(_CREATE_DAILY_STATS)
    return duck


def _day_rows(database: Database) -> Iterator[list[tuple[Any, ...]]]:
    """Read the segments of days in parts, in the order of their key, each part in a transaction of its own."""
    key = sa.tuple_(*segments.primary_key.columns)
    of_days = sa.select(segments).where(segments.c.calendar.not_in([UTC_MONTHS, LIFETIME]))
    page = of_days.order_by(*segments.primary_key.columns).limit(_ROWS_AT_ONCE)
    following = page
    while True:
        with database.reading() as connection:
            rows = [tuple(row) for row in connection.execute(following)]
        if not rows:
            return
        yield rows
        following = page.where(key > rows[-1][: len(segments.primary_key.columns)])


def _table(table: sa.Table, rows: list[tuple[Any, ...]]) -> pa.Table:
    arrow_types = {sa.Text: pa.string(), sa.Boolean: pa.bool_()}
    types = [arrow_types.get(type(column.type), pa.int64()) for column in table.columns]
    columns = zip(*rows, strict=True) if rows else ([] for _ in types)
    arrays = [pa.array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in table.columns])
