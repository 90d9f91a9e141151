"""Counting heartbeats into segments, record by record: the live path (design.md, "The one idea").

Three cases: heartbeats later than all of the user's are no duplicates and only extend segments (in order); for others
their neighbours decide (overlap); whole days are recomputed elsewhere (`aggregator.recompute`) from tail and lake.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from aggregator.followed import add_gaps, gaps_of_late, gaps_of_run
from aggregator.window import Entry, Window, find, neighbours
from schemas.calendars import LIFETIME, UTC_DAYS, UTC_MONTHS, Period, local_calendar, period_at
from schemas.dimensions import Dimension, GroupKey, group_keys
from schemas.heartbeat import Heartbeat
from schemas.placeholders import LastValues, is_real
from schemas.segment import CAP_US, Segment, insert
from schemas.tables import users
from storage.errors import LossError, StorageError, UnavailableError, VanishedError
from storage.history import History
from storage.stats import Database
from storage.stats.segments import Groups, load_groups, load_last_values, segment_rows

_TOTAL: Final[GroupKey] = (int(Dimension.TOTAL), None)
_NEVER_US: Final = -(1 << 62)
_ROWS_PER_SPAN: Final = 10  # what a period costs at least: a heartbeat's own groups
_ROWS_PER_USER: Final = 5_000
"""Segments of a user's older days are dropped above it, and those of a larger period are read one by one."""


class _Span(NamedTuple):
    """A period in memory: its segments, and which of them changed since the last commit."""

    period: Period
    groups: Groups
    changed: set[GroupKey]


class _User:
    """What is held of a user between micro-batches."""

    __slots__ = ("calendars", "changed_values", "held", "lifetime", "newest", "spans", "values", "window")

    def __init__(self, calendars: tuple[str, ...], lifetime: _Span, window: Window) -> None:
        self.calendars = calendars  # the first one has the user's own days
        self.lifetime = lifetime
        self.window = window
        self.spans: dict[tuple[str, int], _Span] = {}
        self.newest: dict[str, _Span] = {}  # by calendar: the one used last
        self.values: dict[str, LastValues | None] = {}
        self.changed_values: set[str] = set()
        self.held = 0  # rows and entries, as of the last commit

    def last_us(self) -> int:
        total = self.lifetime.groups.get(_TOTAL)
        return total[1] if total else _NEVER_US

    def all_spans(self) -> Iterator[_Span]:
        yield self.lifetime
        yield from self.spans.values()

    def shrink(self) -> None:
        """Keep what the next heartbeats are likely to need, once everything here is committed."""
        if sum(len(span.groups) for span in self.spans.values()) > _ROWS_PER_USER:
            self.newest = {c: span for c, span in self.newest.items() if len(span.groups) <= _ROWS_PER_USER}
            self.spans = {(calendar, span.period.day): span for calendar, span in self.newest.items()}
        if len(self.values) > _ROWS_PER_USER:
            self.values.clear()
        rows = sum(len(span.groups) for span in self.spans.values())
        self.held = rows + len(self.values) + self.window.shrink()


class Changes(NamedTuple):
    """Rows that a micro-batch changed."""

    segments: list[tuple[Any, ...]]
    last_values: list[tuple[int, str, LastValues]]


class Counter:
    """The segments and recent heartbeats of active users, in memory; what it forgets it reads again.

    `max_rows` bounds what stays between micro-batches, in segments and heartbeats; within one, `is_full` tells when a
    quarter of it has come in addition. `close` it after use.
    """

    def __init__(self, database: Database, history: History, max_rows: int) -> None:
        self._database = database
        self._connection: sa.Connection | None = None
        self._history = history
        self._max_rows = max_rows
        self._users: OrderedDict[int, _User] = OrderedDict()
        self._touched: set[int] = set()
        self._held = 0
        self._taken_in = 0  # segments and heartbeats read since the last commit

    @property
    def is_full(self) -> bool:
        """Whether this micro-batch is to be committed now: late heartbeats of many days hold all of those days."""
        return self._taken_in * 4 > self._max_rows

    def count(self, user_id: int, heartbeats: Sequence[Heartbeat]) -> list[Heartbeat]:
        """Count one record's heartbeats; return those that are no duplicates, in order of (time, id)."""
        user = self._user(user_id)
        self._touched.add(user_id)
        ordered = sorted(heartbeats, key=_order)
        late = bisect_right(ordered, user.last_us(), key=_time)
        user.window.prepare(h.time_us for h in ordered[:late])
        new = [h for h in ordered[:late] if self._overlap(user, user_id, h)]
        new += self._extend(user, user_id, ordered[late:])
        for h in new:
            if is_real(h.project):
                self._remember_values(user, user_id, h.project, h)
        return new

    def stored_values(self, user_id: int, project: str) -> LastValues | None:
        """Give the newest language and branch of a project, this micro-batch included."""
        user = self._user(user_id)
        if project not in user.values:
            user.values[project] = load_last_values(self._reading, user_id, project)
        return user.values[project]

    def changes(self) -> Changes:
        """Give what changed since the last commit."""
        segments: list[tuple[Any, ...]] = []
        values: list[tuple[int, str, LastValues]] = []
        for user_id in self._touched:
            user = self._users[user_id]
            for period, groups, changed in user.all_spans():
                segments.extend(segment_rows(user_id, period.calendar, period.day, groups, changed))
            values.extend((user_id, p, v) for p in user.changed_values if (v := user.values[p]) is not None)
        return Changes(segments, values)

    def committed(self) -> None:
        """Take the changes as stored, and forget down to the bound."""
        for user_id in self._touched:
            user = self._users[user_id]
            for span in user.all_spans():
                span.changed.clear()
            user.changed_values.clear()
            self._held -= user.held
            user.shrink()
            self._held += user.held
        self._touched.clear()
        self._taken_in = 0
        while self._held > self._max_rows and len(self._users) > 1:
            _, unused_longest = self._users.popitem(last=False)
            self._held -= unused_longest.held

    def holds(self, user_id: int) -> bool:
        """Tell whether anything of a user is in memory."""
        return user_id in self._users

    def forget(self, user_id: int | None = None) -> None:
        """Drop what is held of a user, or of all: after a failed commit, or when stats changed by another way."""
        if user_id is None:
            self._users.clear()
            self._touched.clear()
            self._held = self._taken_in = 0
            self.close()  # the connection may be the cause
        elif user := self._users.pop(user_id, None):
            self._held -= user.held
            self._touched.discard(user_id)

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _reading(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._database.statements()
        return self._connection

    def _user(self, user_id: int) -> _User:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = self._load(user_id)
        else:
            self._users.move_to_end(user_id)
        return user

    def _load(self, user_id: int) -> _User:
        zone = self._reading.scalar(sa.select(users.c.timezone).where(users.c.user_id == user_id)) or "UTC"
        calendars = tuple(dict.fromkeys((local_calendar(zone), UTC_DAYS, UTC_MONTHS)))
        stored = load_groups(self._reading, user_id, LIFETIME, 0, _ROWS_PER_USER)
        lifetime = _Span(period_at(LIFETIME, 0), stored, set())
        total = lifetime.groups.get(_TOTAL)
        window = Window(total[1] + 1 if total else _NEVER_US, lambda days: self._entries(user_id, days))
        return _User(calendars, lifetime, window)

    def _entries(self, user_id: int, days: set[int]) -> list[Entry]:
        try:
            stored = self._history.read_days(user_id, days)
        except StorageError as error:
            if isinstance(error, UnavailableError) and not isinstance(error, VanishedError):
                raise  # a place that is away comes back by itself
            raise LossError(error) from error
        entries = [(h.time_us, h.id, _keys(h)) for h in stored]
        self._taken_in += len(entries)
        return entries

    def _span(self, user: _User, user_id: int, calendar: str, time_us: int) -> _Span:
        span = user.newest.get(calendar)
        if span is not None and span.period.start_us <= time_us < span.period.end_us:
            return span
        period = period_at(calendar, time_us)
        span = user.spans.get((calendar, period.day))
        if span is None:
            span = _Span(period, load_groups(self._reading, user_id, calendar, period.day, _ROWS_PER_USER), set())
            user.spans[calendar, period.day] = span
            self._taken_in += _ROWS_PER_SPAN + len(span.groups)
        user.newest[calendar] = span
        return span

    def _extend(self, user: _User, user_id: int, ordered: Sequence[Heartbeat]) -> list[Heartbeat]:
        """Put heartbeats after all earlier ones: measured once, they merge into each calendar's segments."""
        run = [h for n, h in enumerate(ordered) if n == 0 or _order(h) != _order(ordered[n - 1])]
        start = 0
        while start < len(run):
            spans = [self._span(user, user_id, calendar, run[start].time_us) for calendar in user.calendars]
            end = bisect_left(run, min(span.period.end_us for span in spans), lo=start, key=_time)
            entries = [(h.time_us, h.id, _keys(h)) for h in run[start:end]]
            groups = _measure(entries)
            own_day = spans[0]
            gaps = gaps_of_run(own_day.groups, user.window, entries)
            for span in spans:
                _merge(span, groups)
            own_day.changed.update(add_gaps(own_day.groups, gaps))
            _merge(user.lifetime, {_TOTAL: groups[_TOTAL]})
            user.window.extend(entries)
            start = end
        return run

    def _overlap(self, user: _User, user_id: int, h: Heartbeat) -> bool:
        """Put a heartbeat among earlier and later ones; False for a duplicate."""
        time_us, keys = h.time_us, _keys(h)
        entries = user.window.around(time_us)
        place, known = find(entries, time_us, h.id)
        if known:
            return False
        before, after = neighbours(entries, place, time_us, keys)
        spans = [self._span(user, user_id, calendar, time_us) for calendar in user.calendars]
        own_day, late = spans[0], (time_us, h.id, keys)
        gaps = gaps_of_late(own_day.period, own_day.groups, user.window, entries, place, late)
        for span in spans:
            _insert(span, keys, time_us, before, after)
        own_day.changed.update(add_gaps(own_day.groups, gaps))
        _insert(user.lifetime, (_TOTAL,), time_us, before, after)
        user.window.insert(late)
        return True

    def _remember_values(self, user: _User, user_id: int, project: str, h: Heartbeat) -> None:
        known = self.stored_values(user_id, project)
        newest = newest_values(known, h)
        if newest is not known:
            user.values[project] = newest
            user.changed_values.add(project)


def newest_values(known: LastValues | None, h: Heartbeat) -> LastValues | None:
    """Take a heartbeat's language and branch where they are newer; at one instant the greater text, in any order."""
    old = known or LastValues()
    language = _newer(h.time_us, h.language, old.language_at_us, old.language)
    branch = _newer(h.time_us, h.branch, old.branch_at_us, old.branch)
    if not (language or branch):
        return known
    return LastValues(
        h.language if language else old.language,
        h.time_us if language else old.language_at_us,
        h.branch if branch else old.branch,
        h.time_us if branch else old.branch_at_us,
    )


def _newer(at_us: int, value: str | None, known_at_us: int | None, known: str | None) -> bool:
    return is_real(value) and (known_at_us is None or (at_us, value) > (known_at_us, known or ""))


def _order(h: Heartbeat) -> tuple[int, int]:
    return h.time_us, h.id


def _time(h: Heartbeat) -> int:
    return h.time_us


def _keys(h: Heartbeat) -> tuple[GroupKey, ...]:
    return _cached_keys(h.project, h.language, h.editor, h.operating_system, h.machine, h.category)


@lru_cache(maxsize=65_536)
def _cached_keys(
    project: str | None,
    language: str | None,
    editor: str | None,
    operating_system: str | None,
    machine: str | None,
    category: str,
) -> tuple[GroupKey, ...]:
    return group_keys(project, language, editor, operating_system, machine, category)


def _measure(entries: Sequence[Entry]) -> Groups:
    """Measure every group of entries given in order."""
    groups: Groups = {}
    for time_us, _, keys in entries:
        for key in keys:
            group = groups.get(key)
            if group is None:
                groups[key] = [time_us, time_us, 0, 1]
            else:
                gap = time_us - group[1]
                group[2] += gap if gap < CAP_US else CAP_US  # noqa: FURB136 - the hottest line; a call costs half of it
                group[1] = time_us
                group[3] += 1
    return groups


def _merge(span: _Span, later: Groups) -> None:
    """Merge groups that begin after everything in the span."""
    for key, (first_us, last_us, duration_us, count) in later.items():
        group = span.groups.get(key)
        if group is None:
            span.groups[key] = [first_us, last_us, duration_us, count]
        else:
            group[2] += min(first_us - group[1], CAP_US) + duration_us
            group[1] = last_us
            group[3] += count
    span.changed.update(later)


def _insert(
    span: _Span, keys: tuple[GroupKey, ...], time_us: int, before: dict[GroupKey, int], after: dict[GroupKey, int]
) -> None:
    for key in keys:
        group = span.groups.get(key)
        segment = Segment(*group) if group else None
        span.groups[key] = list(insert(segment, time_us, before.get(key), after.get(key)))
    span.changed.update(keys)
