"""Stats computed again from lake and tail, by DuckDB: for `rebuild`, a change of zone, `verify` and the audit.

Shares no code with the live path (`aggregator.counter`): each checks the other. Days and lifetimes are measured
with window functions over the heartbeats; months are merges of UTC days.
"""

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from schemas.calendars import DAY_US, LIFETIME, UTC_DAYS, UTC_MONTHS, Period, day_period, local_calendar, month_of
from schemas.dimensions import Dimension
from schemas.placeholders import LastValues
from schemas.segment import CAP_US
from schemas.tables import last_values, segments, shards, tail, users
from storage.errors import StorageError
from storage.lake import Lake, catalog
from storage.lake.jobs import (
    EVERYTHING,
    USERS,
    Scope,
    Snapshot,
    open_duckdb,
    show_heartbeats,
    take_snapshot,
    while_files_vanish,
)
from storage.stats import Database
from storage.stats.segments import save_groups, save_last_values
from storage.stats.shard import Shard

_CHUNK_ROWS: Final = 100_000
"""Heartbeats computed, and their rows replaced, in one go: some 1 s in which nothing is counted."""

_ROWS_AT_ONCE: Final = 10_000

_ZONES_REACH_US: Final = 2 * DAY_US
"""A local day lies within this much of the UTC day of the same date, in every zone there has been."""

_VALUES: Final[dict[Dimension, str]] = {
    Dimension.TOTAL: "''",
    Dimension.PROJECT: "text_of(project)",
    Dimension.LANGUAGE: "text_of(language)",
    Dimension.EDITOR: "text_of(editor)",
    Dimension.OPERATING_SYSTEM: "text_of(operating_system)",
    Dimension.MACHINE: "text_of(machine)",
    Dimension.CATEGORY: "text_of(category)",
    Dimension.PROJECT_LANGUAGE: "'[' || json_of(project) || ',' || json_of(language) || ']'",
    Dimension.ACTIVE: "''",
}
"""How SQL writes what `schemas.dimensions.encode_value` does."""

# Eight bytes: other letters that lower() turns into ASCII do not count for Python's lower() either.
_IS_ACTIVE: Final = "NOT (strlen(category) = 8 AND lower(category) = 'browsing')"

# One end of a sequence has no gap; least() alone would give it the cap.
_CAPPED_GAPS: Final = f"coalesce(sum(least(gap_us, {CAP_US})) FILTER (WHERE gap_us IS NOT NULL), 0)"

_CREATE_COMPUTED: Final = """
CREATE OR REPLACE TEMP TABLE computed (
    user_id BIGINT, calendar VARCHAR, day INTEGER, dimension SMALLINT, value VARCHAR,
    first_us BIGINT, last_us BIGINT, duration_us BIGINT, count BIGINT
)
"""

_CREATE_BEATS: Final = f"""
CREATE OR REPLACE TEMP TABLE beats AS
SELECT user_id, epoch_us(time) AS time_us, (epoch_us(time) // {DAY_US})::INTEGER AS utc_day, id,
    project, language, branch, editor, operating_system, machine, category
FROM heartbeats
WHERE {USERS}
    AND time >= make_timestamptz($from_us) AND time < make_timestamptz($to_us)
QUALIFY row_number() OVER (PARTITION BY user_id, time, id ORDER BY created_at) = 1
"""
# What lies in the lake twice, by damage, still counts once.

_CREATE_PLACED: Final = f"""
CREATE OR REPLACE TEMP VIEW placed AS
SELECT beats.*, '{UTC_DAYS}' AS calendar, utc_day AS day FROM beats
UNION ALL
SELECT here.* EXCLUDE (start_us), periods.day
FROM (SELECT beats.*, zones.calendar, time_us AS start_us FROM beats JOIN zones USING (user_id)) AS here
ASOF JOIN periods ON here.calendar = periods.calendar AND here.time_us >= periods.start_us
"""

_MEASURE: Final = f"""
INSERT INTO computed
WITH valued AS (SELECT user_id, calendar, day, {{value}} AS value, time_us FROM placed WHERE {{condition}}),
gaps AS (
    SELECT *, time_us - lag(time_us) OVER (PARTITION BY user_id, calendar, day, value ORDER BY time_us) AS gap_us
    FROM valued
)
SELECT user_id, calendar, day, {{dimension}}, value,
    min(time_us), max(time_us), {_CAPPED_GAPS}, count(*)
FROM gaps GROUP BY user_id, calendar, day, value
"""

# Each gap counts for the project of the heartbeat before it, in the days of the user's own zone.
_MEASURE_FOLLOWED: Final = f"""
INSERT INTO computed
WITH gaps AS (
    SELECT *, lead(time_us) OVER (PARTITION BY user_id, day ORDER BY time_us, id) - time_us AS gap_us
    FROM placed WHERE calendar <> '{UTC_DAYS}' OR user_id NOT IN (SELECT user_id FROM zones)
)
SELECT user_id, calendar, day, {int(Dimension.FOLLOWED)}, text_of(project),
    min(time_us), max(time_us), {_CAPPED_GAPS}, count(*)
FROM gaps GROUP BY user_id, calendar, day, project
"""

_FIRST_OF_MONTH: Final = (
    "date_diff('day', DATE '1970-01-01', date_trunc('month', DATE '1970-01-01' + day)::DATE)::INTEGER"
)

_MERGE_MONTHS: Final = f"""
INSERT INTO computed
WITH days AS (SELECT *, {_FIRST_OF_MONTH} AS month FROM computed WHERE calendar = '{UTC_DAYS}'),
gaps AS (
    SELECT *, first_us - lag(last_us) OVER (PARTITION BY user_id, month, dimension, value ORDER BY day) AS gap_us
    FROM days
)
SELECT user_id, '{UTC_MONTHS}', month, dimension, value,
    min(first_us), max(last_us), sum(duration_us) + {_CAPPED_GAPS}, sum(count)
FROM gaps GROUP BY user_id, month, dimension, value
"""

# From the heartbeats themselves: a scope may be a few days, a lifetime never is.
_MEASURE_LIFETIMES: Final = f"""
INSERT INTO computed
WITH instants AS (
    SELECT DISTINCT user_id, id, epoch_us(time) AS time_us FROM heartbeats
    WHERE {USERS}
),
gaps AS (SELECT *, time_us - lag(time_us) OVER (PARTITION BY user_id ORDER BY time_us) AS gap_us FROM instants)
SELECT user_id, '{LIFETIME}', 0, {int(Dimension.TOTAL)}, '', min(time_us), max(time_us), {_CAPPED_GAPS}, count(*)
FROM gaps GROUP BY user_id
"""

# At one instant the greater text counts, so that the order of arrival does not.
_CREATE_COMPUTED_VALUES: Final = """
CREATE OR REPLACE TEMP TABLE computed_values AS
WITH newest AS (
    SELECT user_id, project,
        max({'at_us': time_us, 'text': language}) FILTER (WHERE is_real(language)) AS language,
        max({'at_us': time_us, 'text': branch}) FILTER (WHERE is_real(branch)) AS branch
    FROM beats WHERE is_real(project) GROUP BY user_id, project
)
SELECT user_id, project, language.text AS language, language.at_us AS language_at_us,
    branch.text AS branch, branch.at_us AS branch_at_us
FROM newest WHERE language IS NOT NULL OR branch IS NOT NULL
"""


class Days(NamedTuple):
    """The days `first` to `last`, both included, of any calendar: days since 1970-01-01."""

    first: int
    last: int


class Inputs(NamedTuple):
    """One snapshot of what stats derive from. `zones`: user → calendar of local days, where these are not UTC's."""

    snapshot: Snapshot
    zones: dict[int, str]


def take_inputs(connection: sa.Connection, scope: Scope = EVERYTHING) -> Inputs:
    """Copy out what the stats of a scope derive from, in the caller's transaction."""
    rows = connection.execute(
        sa.select(users.c.user_id, users.c.timezone).where(scope.users(users.c.user_id), users.c.timezone != "UTC")
    )
    zones = {user_id: local_calendar(zone) for user_id, zone in rows}
    local = {user_id: calendar for user_id, calendar in zones.items() if calendar != UTC_DAYS}
    return Inputs(take_snapshot(connection, scope), local)


def compute(duck: duckdb.DuckDBPyConnection, lake: Lake, inputs: Inputs, scope: Scope = EVERYTHING) -> None:
    """Compute a scope's rows of `segments` and `last_values`, as the temporary tables `computed`, `computed_values`.

    Where the scope is a stretch of time, only its whole days and months are what they are in the tables, and the
    lifetimes as far as the inputs reach.
    """
    duck.execute(_MACROS)
    show_heartbeats(duck, lake, inputs.snapshot)
    duck.execute(_CREATE_BEATS, scope._asdict())
    _place_in_days(duck, inputs.zones)
    duck.execute(_CREATE_COMPUTED)
    for dimension, value in _VALUES.items():
        condition = _IS_ACTIVE if dimension is Dimension.ACTIVE else "true"
        duck.execute(_MEASURE.format(value=value, dimension=int(dimension), condition=condition))
    duck.execute(_MERGE_MONTHS)
    duck.execute(_MEASURE_LIFETIMES, scope.users_as_parameters())
    duck.execute(_MEASURE_FOLLOWED)  # last: months have none
    duck.execute(_CREATE_COMPUTED_VALUES)


def rebuild(shard: Shard, lake: Lake, user_id: int | None = None, days: Days | None = None) -> int:
    """Replace the stats of a user, or of everyone, by what lake and tail say; return how many users have heartbeats.

    With `days`, those of every calendar, and the months and lifetimes that contain them; last values have no day and
    stay. Runs where the shard is owned, with nothing being counted meanwhile; caches of stats are wrong afterwards.
    Raises `FencedError`; `StorageError` or `UnavailableError`, with nothing changed for those not yet done.
    """
    wanted = scopes(shard.database, lake, within=owned_by(shard)) if user_id is None else [Scope(user_id, user_id)]
    return sum(rebuild_scope(shard, lake, scope, days) for scope in wanted)


def local_segments(database: Database, lake: Lake, user_id: int, calendar: str) -> list[tuple[Any, ...]]:
    """Compute a user's rows of `segments` in days of `calendar`, as if they were the user's own.

    Columns are in the order of the table.
    """
    scope = Scope(user_id, user_id)
    zones = {} if calendar == UTC_DAYS else {user_id: calendar}

    def attempt() -> list[tuple[Any, ...]]:
        with database.reading() as connection:
            snapshot = take_snapshot(connection, scope)
        with open_duckdb() as duck:
            compute(duck, lake, Inputs(snapshot, zones), scope)
            return duck.execute("SELECT * FROM computed WHERE calendar = ?", [calendar]).fetchall()

    return while_files_vanish(attempt)


def owned_by(shard: Shard) -> Scope:
    """Give all users of a shard: only these may its owner compute again."""
    return Scope(shard=shard.number, shards=shard.shards)


def scopes(database: Database, lake: Lake, without: Container[str] = (), *, within: Scope = EVERYTHING) -> list[Scope]:
    """Divide all users, those without heartbeats included, into ranges of ids with about 100,000 heartbeats each.

    `without`: paths of lake files that cannot be read.
    """
    rows_of = while_files_vanish(lambda: rows_of_users(database, lake, without))
    ends: list[int] = []
    rows = 0
    for user_id in sorted(u for u in rows_of if u % within.shards == within.shard):
        rows += rows_of[user_id]
        if rows >= _CHUNK_ROWS:
            ends.append(user_id)
            rows = 0
    starts = [EVERYTHING.first_user, *(end + 1 for end in ends)]
    parts = zip(starts, [*ends, EVERYTHING.last_user], strict=True)
    return [within._replace(first_user=first, last_user=last) for first, last in parts]


def rows_of_users(database: Database, lake: Lake, without: Container[str] = ()) -> dict[int, int]:
    """Count the heartbeats of each user in tail and lake. Raises what DuckDB does when a file is gone."""
    with database.reading() as connection:
        in_tail = sa.select(tail.c.user_id, sa.func.sum(tail.c.count)).group_by(tail.c.user_id)
        rows_of = {user_id: int(rows) for user_id, rows in connection.execute(in_tail)}
        paths = [file.path for file in catalog.live_files(connection) if file.path not in without]
    if paths:
        with open_duckdb() as duck:
            found = duck.execute(f"SELECT user_id, count(*) FROM {lake.table(duck, paths)} GROUP BY user_id")
            for user_id, rows in found.fetchall():
                rows_of[user_id] = rows_of.get(user_id, 0) + rows
    return rows_of


def rebuild_scope(shard: Shard, lake: Lake, users_of: Scope, days: Days | None = None) -> int:
    """Do what `rebuild` does for a range of users (a scope of all times), all of it in one transaction."""

    def attempt() -> int:
        with shard.database.reading() as connection:
            inputs = take_inputs(connection, users_of)
            offset = _watermark(connection, shard)
        with open_duckdb() as duck:
            compute(duck, lake, inputs, users_of if days is None else _around(users_of, days))
            with shard.writing() as connection:
                if offset != shard.offset:
                    raise StorageError("Heartbeats were counted while stats were being rebuilt: nothing was replaced.")
                _replace_segments(connection, duck, users_of, days)
                if days is None:
                    _replace_last_values(connection, duck, users_of)
            (found,) = duck.execute("SELECT count(DISTINCT user_id) FROM beats").fetchall()
            return int(found[0])

    return while_files_vanish(attempt)


def _watermark(connection: sa.Connection, shard: Shard) -> int | None:
    return connection.scalar(
        sa.select(shards.c.offset).where(shards.c.log == shard.log, shards.c.shard == shard.number)
    )


def _around(users_of: Scope, days: Days) -> Scope:
    """Give the stretch of time that decides `days` in every zone, and the months that contain them."""
    first, last = month_of(days.first), month_of(days.last)
    return users_of._replace(from_us=first.start_us - _ZONES_REACH_US, to_us=last.end_us + _ZONES_REACH_US)


def _within(days: Days | None) -> sa.ColumnElement[bool]:
    """Tell which rows of `segments` a rebuild of `days` replaces."""
    if days is None:
        return sa.true()
    c = segments.c
    return sa.or_(
        c.calendar == LIFETIME,
        sa.and_(c.calendar == UTC_MONTHS, c.day.between(month_of(days.first).day, month_of(days.last).day)),
        sa.and_(c.calendar.not_in([LIFETIME, UTC_MONTHS]), c.day.between(days.first, days.last)),
    )


def _replace_segments(
    connection: sa.Connection, duck: duckdb.DuckDBPyConnection, users_of: Scope, days: Days | None
) -> None:
    within = _within(days)
    connection.execute(sa.delete(segments).where(_of_users(segments, users_of), within))
    condition = within.compile(compile_kwargs={"literal_binds": True})  # numbers and names of ours
    found = duck.execute(
        f"SELECT * FROM computed AS segments WHERE {condition} ORDER BY user_id, calendar, day, dimension, value"
    )
    for rows in _in_parts(found):
        save_groups(connection, rows)


def _replace_last_values(connection: sa.Connection, duck: duckdb.DuckDBPyConnection, users_of: Scope) -> None:
    connection.execute(sa.delete(last_values).where(_of_users(last_values, users_of)))
    for rows in _in_parts(duck.execute("SELECT * FROM computed_values")):
        save_last_values(connection, [(user_id, project, LastValues(*rest)) for user_id, project, *rest in rows])


def _of_users(table: sa.Table, users_of: Scope) -> sa.ColumnElement[bool]:
    return users_of.users(table.c.user_id)


def _in_parts(result: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[Any, ...]]]:
    while rows := result.fetchmany(_ROWS_AT_ONCE):
        yield rows


def _place_in_days(duck: duckdb.DuckDBPyConnection, zones: Mapping[int, str]) -> None:
    """Make the view `placed`: each heartbeat once for its UTC day, and once for its local day where that differs."""
    owners = {"user_id": pa.array(zones.keys(), pa.int64()), "calendar": pa.array(zones.values(), pa.string())}
    duck.register("zones", pa.table(owners))
    days = duck.execute("SELECT DISTINCT calendar, utc_day FROM beats JOIN zones USING (user_id)").fetchall()
    near = {(calendar, day + shift) for calendar, day in days for shift in (-2, -1, 0, 1, 2)}
    periods = [day_period(calendar, day) for calendar, day in sorted(near)]
    # A day that its zone skipped is empty; it starts where the next one does.
    duck.register("periods", _table_of([period for period in periods if period.start_us < period.end_us]))
    duck.execute(_CREATE_PLACED)


def _table_of(periods: list[Period]) -> pa.Table:
    schema = pa.schema(
        [("calendar", pa.string()), ("day", pa.int32()), ("start_us", pa.int64()), ("end_us", pa.int64())]
    )
    return pa.Table.from_pylist([period._asdict() for period in periods], schema=schema)


def _macros() -> str:
    """Make `text_of` and `json_of`, which write a value as `encode_value` does, and `is_real` of placeholders."""
    escaped = "v"
    for character in ("\\", '"', *map(chr, range(1, 32))):  # no text has NUL characters
        written = json.dumps(character)[1:-1]
        escaped = f"replace({escaped}, chr({ord(character)}), '{written}')"
    return f"""
        CREATE OR REPLACE TEMP MACRO text_of(v) AS CASE WHEN v IS NULL THEN '' ELSE '=' || v END;
        CREATE OR REPLACE TEMP MACRO json_of(v) AS CASE
            WHEN v IS NULL THEN 'null'
            WHEN regexp_matches(v, '[\\x01-\\x1f"\\\\]') THEN '"' || {escaped} || '"'
            ELSE '"' || v || '"' END;
        CREATE OR REPLACE TEMP MACRO is_real(v) AS
            trim(v, ' ' || chr(9) || chr(10) || chr(13)) <> ''
            AND v NOT IN ('<<LAST_LANGUAGE>>', '<<LAST_BRANCH>>', '<<LAST_PROJECT>>');
    """


_MACROS: Final = _macros()
