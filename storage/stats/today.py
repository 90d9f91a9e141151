"""Today's total for the status bar: one statement, asked far more often than anything else."""

import sqlite3
import threading
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from schemas.calendars import Period, local_calendar, period_at
from schemas.dimensions import NULL, Dimension
from schemas.tables import segments, users
from storage.errors import UnavailableError
from storage.stats.database import Database

_BUSY_TIMEOUT_S: Final = 1.0
"""A reader of a WAL never waits for a writer, only for the rare moment in which the file is set up or recovered."""

_TODAY: Final = (
    sa.select(users.c.timezone, segments.c.duration_us)
    .join_from(
        users,
        segments,
        sa.and_(
            segments.c.user_id == users.c.user_id,
            segments.c.calendar == sa.bindparam("calendar"),
            segments.c.day == sa.bindparam("day"),
            segments.c.dimension == int(Dimension.TOTAL),
            segments.c.value == NULL,
        ),
        isouter=True,
    )
    .where(users.c.user_id == sa.bindparam("user_id"))
)

_ON_SQLITE: Final = _TODAY.compile(dialect=sqlite.dialect(paramstyle="named"))
_SQLITE_TEXT: Final = str(_ON_SQLITE)
_SQLITE_CONSTANTS: Final = {name: value for name, value in _ON_SQLITE.params.items() if value is not None}


class Today(NamedTuple):
    """A user's total of one local day."""

    duration_us: int
    timezone: str
    day: Period


_Found = tuple[str, int | None]
"""A user's zone, and their total of the day."""


class _Source(Protocol):
    def select(self, user_id: int, calendar: str, day: int) -> _Found | None: ...

    def close(self) -> None: ...


class TodayStatement:
    """Asks for a user's zone and the total of one local day, in one statement and so in one snapshot."""

    def __init__(self, database: Database) -> None:
        self._source: _Source = _Pooled(database) if database.is_remote else _OneSqliteConnection(database)
        self._days: dict[str, Period] = {}  # by calendar; there are some 600 zones

    def read(self, user_id: int, timezone: str, now_us: int) -> Today | None:
        """See `StatsReader.today`."""
        while True:
            calendar = local_calendar(timezone)
            day = self._day(calendar, now_us)
            found = self._source.select(user_id, calendar, day.day)
            if found is None:
                return None
            if found[0] == timezone:
                return Today(found[1] or 0, timezone, day)
            timezone = found[0]

    def close(self) -> None:
        """Close the connection of its own."""
        self._source.close()

    def _day(self, calendar: str, now_us: int) -> Period:
        day = self._days.get(calendar)
        if day is None or not day.start_us <= now_us < day.end_us:
            day = self._days[calendar] = period_at(calendar, now_us)
        return day


class _Pooled:
    """PostgreSQL: any connection of the pool, for several threads ask at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def select(self, user_id: int, calendar: str, day: int) -> _Found | None:
        with self._database.statements() as connection:
            row = connection.execute(_TODAY, {"user_id": user_id, "calendar": calendar, "day": day}).one_or_none()
        return None if row is None else (row[0], row[1])

    def close(self) -> None:
        pass


class _OneSqliteConnection:
    """SQLite: a prepared statement on a connection of its own, ten times as fast as by way of a pool."""

    def __init__(self, database: Database) -> None:
        self._path = database.url.database or ""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def select(self, user_id: int, calendar: str, day: int) -> _Found | None:
        parameters = {"user_id": user_id, "calendar": calendar, "day": day, **_SQLITE_CONSTANTS}
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _connect_read_only(self._path)
                row: _Found | None = self._connection.execute(_SQLITE_TEXT, parameters).fetchone()
            except sqlite3.Error as error:
                self._connection = None
                raise UnavailableError(f"The stats database cannot be read: {error}.") from error
            return row

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _connect_read_only(path: str) -> sqlite3.Connection:
    # "rw" for the WAL's index, without making an empty database where there is none.
    address = f"file:{quote(path)}?mode=rw"
    connection = sqlite3.connect(
        address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only=ON")
    return connection
