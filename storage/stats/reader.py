"""Reading the stats tables: today's total for the status bar, and ranges for everything else.

A range [from, to) is read as whole months, the whole days that no month covers, and the days at its ends
(design.md, "The one idea"). Only a day at an end that the cut really divides is left to the heartbeats themselves.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import sqlalchemy as sa

from schemas.calendars import DAY_US, LIFETIME, UTC_DAYS, UTC_MONTHS, local_calendar, month_of
from schemas.dimensions import NULL, Dimension, Value, decode_value, encode_value
from schemas.instants import MAX_TIME_US, MIN_TIME_US
from schemas.segment import Segment, merge_all
from schemas.tables import segments, users
from storage.stats.database import Database
from storage.stats.today import Today, TodayStatement

_USERS_AT_ONCE: Final = 200
"""Users measured in one snapshot: 200 with 400 periods each stay well below a second."""

_FIRST_US: Final = MIN_TIME_US // DAY_US * DAY_US
_END_US: Final = -(-MAX_TIME_US // DAY_US) * DAY_US
"""No accepted heartbeat lies outside, so no range needs to be wider; whole days, so that whole days stay whole."""

_VALUES_AT_ONCE: Final = 10_000
"""Of a group's values in one statement: SQLite takes 32,766 parameters, PostgreSQL 65,535."""

_IS_LIFETIME: Final = sa.and_(
    segments.c.calendar == LIFETIME,
    segments.c.day == 0,
    segments.c.dimension == int(Dimension.TOTAL),
    segments.c.value == NULL,
)
"""Of the one row about all of a user's heartbeats."""

_EVER_COUNTED: Final = sa.select(segments.c.count).where(segments.c.user_id == sa.bindparam("user_id"), _IS_LIFETIME)
"""Made once: it is asked twice for each answer of several reads."""


class Span(NamedTuple):
    """Instants [from_us, to_us)."""

    from_us: int
    to_us: int


class Cover(NamedTuple):
    """How stored periods cover a range: numbers of whole months and days, and what of its ends' days lies inside."""

    months: list[int]
    days: list[int]
    ends: list[Span]


Pieces = dict[tuple[Dimension, Value], list[Segment]]
"""For each group the segments of disjoint periods, in no order yet."""


class RangeRead(NamedTuple):
    """What the tables know of a range; `missing`: parts of it that only the heartbeats themselves can measure."""

    pieces: Pieces
    missing: list[Span]


class LocalDays(NamedTuple):
    """Segments of a user's own local days `days`, in `timezone`: day → group → segment, days without any left out."""

    timezone: str
    days: range
    measured: dict[int, dict[tuple[Dimension, Value], Segment]]


class StatsReader:
    """Reads segments, each call in one snapshot; `database` is only read.

    `is_remote`: its calls take round trips through a network, too long for an event loop to wait.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._today = TodayStatement(database)
        self.is_remote = database.is_remote

    def today(self, user_id: int, timezone: str, now_us: int) -> Today | None:
        """Read a user's total of the local day that holds `now_us`; None when there is no such user.

        `timezone` is what the caller believes the user's zone to be; zone and total come from one snapshot, and where
        the zone turns out to be another one, that one's day is read. Raises `UnavailableError`.
        """
        return self._today.read(user_id, timezone, now_us)

    def read_range(self, user_id: int, span: Span, dimensions: Iterable[Dimension]) -> RangeRead:
        """Read the segments of a user's heartbeats in `span`, by group, in one snapshot."""
        wanted = sorted({Dimension.TOTAL, *dimensions})
        months, days, ends = cover(span)
        end_days = {end.from_us // DAY_US: end for end in ends}
        with self._database.reading() as connection:
            whole = _select_rows(connection, user_id, UTC_MONTHS, months, wanted)
            whole += _select_rows(connection, user_id, UTC_DAYS, days, wanted)
            divided = _select_rows(connection, user_id, UTC_DAYS, list(end_days), wanted)
        usable, missing = _judge_ends(divided, end_days)
        return RangeRead(_group(whole + usable), missing)

    def local_days(
        self, user_id: int, choose: Callable[[str], range], dimensions: Iterable[Dimension]
    ) -> LocalDays | None:
        """Read a user's local days, the zone and the segments in one snapshot; None when there is no such user.

        `choose` gives the days (since 1970-01-01) to read, for the zone that the user turns out to have.
        """
        c = segments.c
        measured: dict[int, dict[tuple[Dimension, Value], Segment]] = defaultdict(dict)
        with self._database.reading() as connection:
            timezone = connection.scalar(sa.select(users.c.timezone).where(users.c.user_id == user_id))
            if timezone is None:
                return None
            days = choose(timezone)
            within = c.day.between(days.start, days.stop - 1)
            rows = _select(connection, user_id, local_calendar(timezone), within, sorted({*dimensions}))
        for row in rows:
            measured[row.day][Dimension(row.dimension), decode_value(row.value)] = row.segment
        return LocalDays(timezone, days, dict(measured))

    def days_with(self, user_id: int, span: Span, dimension: Dimension, values: Iterable[Value]) -> list[int]:
        """Find the UTC days of `span`, ascending, on which a user's heartbeats have any of `values`."""
        c = segments.c
        # No stored text has a NUL, and PostgreSQL refuses to look for one.
        encoded = [text for text in map(encode_value, values) if "\0" not in text]
        selection = sa.select(c.day).where(
            c.user_id == user_id,
            c.calendar == UTC_DAYS,
            c.day.between(span.from_us // DAY_US, (span.to_us - 1) // DAY_US),
            c.dimension == dimension,
        )
        found: set[int] = set()
        with self._database.reading() as connection:
            for start in range(0, len(encoded), _VALUES_AT_ONCE):
                some = c.value.in_(encoded[start : start + _VALUES_AT_ONCE])
                found.update(connection.scalars(selection.where(some)))
        return sorted(found)

    def days_of(self, user_id: int, span: Span) -> frozenset[int]:
        """Find the UTC days of `span` on which a user has heartbeats."""
        return frozenset(self.days_with(user_id, span, Dimension.TOTAL, (None,)))

    def one_snapshot(self) -> AbstractContextManager[None]:
        """Let whatever this thread reads of the database meanwhile be of one snapshot; not for longer than a second."""
        return self._database.one_snapshot()

    def heartbeats_of(self, user_id: int) -> int:
        """Count a user's heartbeats: while it stays the same, nothing of theirs has been counted."""
        with self._database.reading() as connection:
            return connection.scalar(_EVER_COUNTED, {"user_id": user_id}) or 0

    def total_of_everyone(self, span: Span) -> int:
        """Sum all users' totals in `span`, which starts and ends at UTC midnights, in microseconds."""
        total_us = 0
        after: int | None = None
        while True:
            with self._database.reading() as connection:
                lifetimes = _select_lifetimes(connection, after)
                total_us += _sum_totals(connection, lifetimes, span)
            if len(lifetimes) < _USERS_AT_ONCE:
                return total_us
            after = lifetimes[-1].user_id

    def ping(self) -> None:
        """Raise when the database does not answer."""
        with self._database.reading() as connection:
            connection.execute(sa.select(sa.literal(1)))

    def close(self) -> None:
        """Close the connection of its own; the database is the caller's."""
        self._today.close()


def cover(span: Span) -> Cover:
    """Divide a range into whole UTC months, whole UTC days, and the parts of the days at its ends."""
    start, end = max(span.from_us, _FIRST_US), min(span.to_us, _END_US)
    if start >= end:
        return Cover([], [], [])
    first_day, last_day = -(-start // DAY_US), end // DAY_US
    if first_day > last_day:
        return Cover([], [], [Span(start, end)])
    ends = [Span(start, first_day * DAY_US), Span(last_day * DAY_US, end)]
    months, days = _whole_periods(first_day, last_day)
    return Cover(months, days, [end for end in ends if end.from_us < end.to_us])


def _whole_periods(first_day: int, last_day: int) -> tuple[list[int], list[int]]:
    months: list[int] = []
    days: list[int] = []
    day = first_day
    while day < last_day:
        month = month_of(day)
        following = month.end_us // DAY_US
        if day == month.day and following <= last_day:
            months.append(day)
            day = following
        else:
            days.append(day)
            day += 1
    return months, days


class _Row(NamedTuple):
    day: int
    dimension: int
    value: str
    segment: Segment


def _select_rows(
    connection: sa.Connection, user_id: int, calendar: str, days: Sequence[int], dimensions: Sequence[Dimension]
) -> list[_Row]:
    return _select(connection, user_id, calendar, segments.c.day.in_(days), dimensions) if days else []


def _select(
    connection: sa.Connection,
    user_id: int,
    calendar: str,
    within: sa.ColumnElement[bool],
    dimensions: Sequence[Dimension],
) -> list[_Row]:
    c = segments.c
    rows = connection.execute(
        sa.select(c.day, c.dimension, c.value, c.first_us, c.last_us, c.duration_us, c.count).where(
            c.user_id == user_id, c.calendar == calendar, within, c.dimension.in_(dimensions)
        )
    )
    return [_Row(day, dim, value, Segment(first, last, us, n)) for day, dim, value, first, last, us, n in rows]


def _judge_ends(rows: Iterable[_Row], ends: dict[int, Span]) -> tuple[list[_Row], list[Span]]:
    """Tell which days at the ends the cut leaves whole, and which parts it really divides."""
    whole: set[int] = set()
    missing: list[Span] = []
    rows = list(rows)
    for row in rows:
        if row.dimension != Dimension.TOTAL:
            continue
        cut = ends[row.day]
        if cut.from_us <= row.segment.first_us and row.segment.last_us < cut.to_us:
            whole.add(row.day)
        elif row.segment.first_us < cut.to_us and cut.from_us <= row.segment.last_us:
            missing.append(cut)
    return [row for row in rows if row.day in whole], missing


def _group(rows: Iterable[_Row]) -> Pieces:
    pieces: Pieces = defaultdict(list)
    for row in rows:
        pieces[Dimension(row.dimension), decode_value(row.value)].append(row.segment)
    return dict(pieces)


class _Lifetime(NamedTuple):
    user_id: int
    first_us: int
    last_us: int
    duration_us: int


def _select_lifetimes(connection: sa.Connection, after: int | None) -> list[_Lifetime]:
    c = segments.c
    selection = (
        sa.select(users.c.user_id, c.first_us, c.last_us, c.duration_us)
        .join_from(users, segments, sa.and_(c.user_id == users.c.user_id, _IS_LIFETIME))
        .order_by(users.c.user_id)
        .limit(_USERS_AT_ONCE)
    )
    if after is not None:
        selection = selection.where(users.c.user_id > after)
    return [_Lifetime(*row) for row in connection.execute(selection)]


def _sum_totals(connection: sa.Connection, lifetimes: Iterable[_Lifetime], span: Span) -> int:
    """Sum totals in a span of whole days: a lifetime wholly inside serves as it is."""
    total_us = 0
    divided: list[int] = []
    for lifetime in lifetimes:
        if span.from_us <= lifetime.first_us and lifetime.last_us < span.to_us:
            total_us += lifetime.duration_us
        elif lifetime.first_us < span.to_us and span.from_us <= lifetime.last_us:
            divided.append(lifetime.user_id)
    if not divided:
        return total_us
    pieces: dict[int, list[Segment]] = defaultdict(list)
    months, days, _ = cover(span)
    for calendar, numbers in ((UTC_MONTHS, months), (UTC_DAYS, days)):
        for user_id, segment in _select_totals(connection, divided, calendar, numbers):
            pieces[user_id].append(segment)
    merged = (merge_all(sorted(segments)) for segments in pieces.values())
    return total_us + sum(segment.duration_us for segment in merged if segment)


def _select_totals(
    connection: sa.Connection, user_ids: Sequence[int], calendar: str, days: Sequence[int]
) -> list[tuple[int, Segment]]:
    c = segments.c
    rows = connection.execute(
        sa.select(c.user_id, c.first_us, c.last_us, c.duration_us, c.count).where(
            c.user_id.in_(user_ids),
            c.calendar == calendar,
            c.day.in_(days),
            c.dimension == Dimension.TOTAL,
            c.value == NULL,
        )
    )
    return [(user_id, Segment(*rest)) for user_id, *rest in rows]
