"""The aggregator's statements: segments, last values and tail, many rows at once.

Statements are SQLAlchemy's, compiled once and run by the driver: building them for each micro-batch would cost more
than the database does. PostgreSQL takes them in its own ways (`storage.stats.copying`).
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from schemas.dimensions import GroupKey, decode_value, encode_value
from schemas.placeholders import LastValues
from schemas.tables import last_values, segments, tail
from storage.stats.copying import Row, copy_in, put_over

Groups = dict[GroupKey, list[int]]
"""The segments of one period: group → [first_us, last_us, duration_us, count]."""

_SQLITE: Final = sqlite.dialect()
_POSTGRES: Final = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call] # it has no annotations


def _upsert(table: sa.Table) -> str:
    """Insert a row of all columns, or replace what the row with its key has."""
    insert = sqlite.insert(table).values({c.name: sa.bindparam(c.name) for c in table.columns})
    keys = list(table.primary_key.columns)
    changed = {c.name: insert.excluded[c.name] for c in table.columns if not c.primary_key}
    return str(insert.on_conflict_do_update(index_elements=keys, set_=changed).compile(dialect=_SQLITE))


_UPSERTS: Final = {table.name: _upsert(table) for table in (segments, last_values)}
_INSERT_TAIL: Final = str(
    sa.insert(tail).values({c.name: sa.bindparam(c.name) for c in tail.columns}).compile(dialect=_SQLITE)
)

_ONE_PERIOD: Final = sa.select(
    segments.c.dimension,
    segments.c.value,
    segments.c.first_us,
    segments.c.last_us,
    segments.c.duration_us,
    segments.c.count,
).where(
    segments.c.user_id == sa.bindparam("user_id"),
    segments.c.calendar == sa.bindparam("calendar"),
    segments.c.day == sa.bindparam("day"),
)
_ONE_GROUP: Final = _ONE_PERIOD.where(
    segments.c.dimension == sa.bindparam("dimension"), segments.c.value == sa.bindparam("value")
)


class _Reads(NamedTuple):
    """How a dialect reads a period: so many of its segments, or one of them."""

    some: str
    one: str


_READS: Final = {
    dialect.name: _Reads(
        f"{_ONE_PERIOD.compile(dialect=dialect)} LIMIT {placeholder}", str(_ONE_GROUP.compile(dialect=dialect))
    )
    for dialect, placeholder in ((_SQLITE, "?"), (_POSTGRES, "%s"))
}


class _LargePeriod(dict[GroupKey, list[int]]):
    """A period with more segments than memory is to hold: `get` reads each when it is asked for first."""

    def __init__(self, connection: sa.Connection, user_id: int, calendar: str, day: int) -> None:
        super().__init__()
        self._connection = connection
        self._period = (user_id, calendar, day)

    def get(self, key: GroupKey) -> list[int] | None:  # type: ignore[override] # nobody asks with a default
        if key not in self:
            mine = (*self._period, key[0], encode_value(key[1]))
            read = _READS[self._connection.dialect.name].one
            found = self._connection.exec_driver_sql(read, mine).one_or_none()
            if found is None:
                return None
            self[key] = list(found[2:])
        return self[key]


def is_whole(groups: Groups) -> bool:
    """Tell whether all segments of the period are in memory."""
    return not isinstance(groups, _LargePeriod)


def load_groups(connection: sa.Connection, user_id: int, calendar: str, day: int, max_rows: int) -> Groups:
    """Give the segments of one period of a user; above `max_rows` they are read when `get` asks for them.

    `connection` is one for single statements, and stays open as long as the segments are used.
    """
    read = _READS[connection.dialect.name].some
    rows = connection.exec_driver_sql(read, (user_id, calendar, day, max_rows + 1)).all()
    if len(rows) > max_rows:
        return _LargePeriod(connection, user_id, calendar, day)
    return {(d, decode_value(v)): [first, last, us, n] for d, v, first, last, us, n in rows}


def save_groups(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Write segments; `rows` as `segment_rows` gives them."""
    _save(connection, segments, rows)


def segment_rows(user_id: int, calendar: str, day: int, groups: Groups, keys: Iterable[GroupKey]) -> Iterable[Row]:
    """Give the rows of some groups of a period, columns in the order of the table."""
    for key in keys:
        yield (user_id, calendar, day, key[0], encode_value(key[1]), *groups[key])


def load_last_values(connection: sa.Connection, user_id: int, project: str) -> LastValues | None:
    """Read the newest language and branch of a project."""
    c = last_values.c
    row = connection.execute(
        sa.select(c.language, c.language_at_us, c.branch, c.branch_at_us).where(
            c.user_id == user_id, c.project == project
        )
    ).one_or_none()
    return LastValues(*row) if row else None


def save_last_values(connection: sa.Connection, rows: Sequence[tuple[int, str, LastValues]]) -> None:
    """Write the newest language and branch of projects."""
    _save(
        connection,
        last_values,
        [(u, project, v.language, v.language_at_us, v.branch, v.branch_at_us) for u, project, v in rows],
    )


def append_tail(connection: sa.Connection, rows: Sequence[tuple[str, int, int, int, int, int, int, bytes]]) -> None:
    """Add entries (log, shard, offset, user_id, min_us, max_us, count, value) to the tail."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        copy_in(connection, tail, rows)
    else:
        connection.exec_driver_sql(_INSERT_TAIL, list(rows))


def _save(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        put_over(connection, table, rows)
    else:
        connection.exec_driver_sql(_UPSERTS[table.name], list(rows))
