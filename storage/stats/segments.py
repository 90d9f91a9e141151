"""The aggregator's statements: segments, last values and tail, many rows at once.

Statements are SQLAlchemy's, compiled once and run by the driver: building them for each micro-batch would cost more
than the database does.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from schemas.dimensions import GroupKey, decode_value, encode_value
from schemas.placeholders import LastValues
from schemas.tables import last_values, segments, tail

_DIALECT: Final = sqlite.dialect()

Groups = dict[GroupKey, list[int]]
"""The segments of one period: group → [first_us, last_us, duration_us, count]."""


def _compiled(statement: sa.Insert) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _upsert(table: sa.Table) -> str:
    """Insert a row of all columns, or replace what the row with its key has."""
    insert = sqlite.insert(table).values({c.name: sa.bindparam(c.name) for c in table.columns})
    keys = list(table.primary_key.columns)
    changed = {c.name: insert.excluded[c.name] for c in table.columns if not c.primary_key}
    return _compiled(insert.on_conflict_do_update(index_elements=keys, set_=changed))


_UPSERT_SEGMENT: Final = _upsert(segments)
_UPSERT_LAST: Final = _upsert(last_values)
_INSERT_TAIL: Final = _compiled(sa.insert(tail).values({c.name: sa.bindparam(c.name) for c in tail.columns}))

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
_SOME: Final = f"{_ONE_PERIOD.compile(dialect=_DIALECT)} LIMIT ?"
_ONE_GROUP: Final = str(
    _ONE_PERIOD.where(
        segments.c.dimension == sa.bindparam("dimension"), segments.c.value == sa.bindparam("value")
    ).compile(dialect=_DIALECT)
)


class _LargePeriod(dict[GroupKey, list[int]]):
    """A period with more segments than memory is to hold: `get` reads each when it is asked for first."""

    def __init__(self, connection: sa.Connection, user_id: int, calendar: str, day: int) -> None:
        super().__init__()
        self._connection = connection
        self._period = (user_id, calendar, day)

    def get(self, key: GroupKey) -> list[int] | None:  # type: ignore[override] # nobody asks with a default
        if key not in self:
            mine = (*self._period, key[0], encode_value(key[1]))
            found = self._connection.exec_driver_sql(_ONE_GROUP, mine).one_or_none()
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
    rows = connection.exec_driver_sql(_SOME, (user_id, calendar, day, max_rows + 1)).all()
    if len(rows) > max_rows:
        return _LargePeriod(connection, user_id, calendar, day)
    return {(d, decode_value(v)): [first, last, us, n] for d, v, first, last, us, n in rows}


def save_groups(connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write segments; `rows` as `segment_rows` gives them."""
    if rows:
        connection.exec_driver_sql(_UPSERT_SEGMENT, list(rows))


def segment_rows(
    user_id: int, calendar: str, day: int, groups: Groups, keys: Iterable[GroupKey]
) -> Iterable[tuple[Any, ...]]:
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
    if rows:
        connection.exec_driver_sql(
            _UPSERT_LAST,
            [(u, project, v.language, v.language_at_us, v.branch, v.branch_at_us) for u, project, v in rows],
        )


def append_tail(connection: sa.Connection, rows: Sequence[tuple[str, int, int, int, int, int, int, bytes]]) -> None:
    """Add entries (log, shard, offset, user_id, min_us, max_us, count, value) to the tail."""
    if rows:
        connection.exec_driver_sql(_INSERT_TAIL, list(rows))
